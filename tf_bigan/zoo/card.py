"""The model card of a zoo entry, in Markdown."""

import dataclasses

from tf_bigan import registry
from tf_bigan.evaluation.measure import find_measure
from tf_bigan.evaluation.report import describe_dataset
from tf_bigan.evaluation.table import table
from tf_bigan.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Publication:
    """A published run, as its card is written from it.

    Attributes:
      name: name of the zoo entry.
      experiment: the run's Experiment.
      report: the run's evaluation report.
      losses: the record of the run's log at the epoch of the weights; the card gives its entries that end in "_loss".
      terms: the terms of use of the training data.
      weights: whether the weights are published.
      notes: further text of the card, in Markdown; "" = none.
      state: the state of the weights as `RunDirectory` stores it: "epochs", "statistics_steps", "trainer".
      lineage: the runs behind the weights that this run began with or inherited, as `RunDirectory.initial` returns
        them.
    """

    name: str
    experiment: Experiment
    report: dict
    losses: dict
    terms: str
    weights: bool
    notes: str
    state: dict
    lineage: list


def card(published: Publication) -> str:
    """The model card: what the model is, how it was trained, its numbers and their protocols."""
    name, experiment, state = published.name, published.experiment, published.state
    losses = ", ".join(
        f"{key.removesuffix('_loss')} {value:.4f}" for key, value in published.losses.items() if key.endswith("_loss")
    )
    trainer = state.get("trainer")
    points = bool(experiment.dimensions)
    shape = ", ".join(map(str, experiment.encoder_shape))
    if published.weights:
        use = f'```python\nimport tf_bigan\nmodel = tf_bigan.load("{name}")\n' + (
            f"points = model.generate(1000, seed=0)     # float32 [N, {shape}]\ncodes = model.encode(points)\n```"
            if points
            else f"features = model.features(images)   # float32 images [N, {shape}] in [0, 1]\n```"
        )
    else:
        use = "The weights are not published; training gives them."
    return f"""# {name}

{experiment.system} with {experiment.networks} networks on {_examples(experiment)}: \
{_schedule(experiment, state["epochs"])}, {published.report["training_precision"]}. \
{_began(experiment.system, published.lineage)}{_trainer(trainer)}

{use}

Trained with

    {_command(name, trainer, published.lineage)}

Losses over epoch {state["epochs"]}: {losses}. {_statistics(state)}

{_numbers(name, published.report, published.weights)}{_notes(published.notes)}
## Terms

Code and weights: Apache-2.0. Training data: {published.terms}
"""


def changed_card(text, name, report, weights, notes=None) -> str:
    """A card whose numbers are replaced by those of another report.

    Args:
      text: the text of the card.
      name, report, weights: as in `Publication`.
      notes: further text of the card, in Markdown; None = the card's present notes.

    Raises:
      ValueError: the text is not a card.
    """
    head, found, rest = text.partition("## Numbers\n")
    rest, end, terms = rest.rpartition("\n## Terms\n")
    if not (found and end):
        raise ValueError("it lacks the section Numbers or Terms")
    if notes is None:
        notes = rest.partition("\n## Notes\n\n")[2].strip()
    return f"{head}{_numbers(name, report, weights)}{_notes(notes)}{end}{terms}"


def _numbers(name, report, weights):
    """A card's section of the numbers and their protocols, with the end of its last line."""
    protocols = "\n".join(f"- {metric}: {text}." for metric, text in report["protocols"].items())
    told = dict(report.get("commands", {}))
    if untold := [metric for metric in report["results"] if metric not in told]:  # old reports do not record them
        told = {"": [f"--metrics={','.join(untold)}"], **told}
    evaluate = f"python tools/evaluate.py --model={name if weights else 'DIR'}"
    # Results that take hours must be kept in a file, and tools/evaluate.py writes none for a zoo entry by itself.
    slow = {name for name in told if name in registry.MEASURES and find_measure(name).slow}
    kept = {metric: " --json=FILE" * (weights and metric in slow) for metric in told}
    lines = [f"{evaluate} {flags}{kept[metric]}" for metric, given in told.items() for flags in given]
    commands = "\n    ".join(dict.fromkeys(lines))
    queries = report["queries"]
    gallery = f"{describe_dataset(report)} {report['gallery']['split']}".rstrip()  # a folder has no split
    judged = f"{queries.get('dataset', report['dataset'])} {queries['split']}".rstrip()
    of_gallery = ", images of the gallery" if queries.get("of_gallery") else ""
    return f"""## Numbers

Gallery: all {report["gallery"]["images"]} examples of {gallery}; queries: all {queries["images"]} of \
{judged}{of_gallery}; evaluation seed {report["evaluation_seed"]}.
"untrained" is the same network before training, with its own inference statistics; ± is the standard deviation over
several of them.

```
{table(report)}
```

{protocols}

Printed by

    {commands}
"""


def _notes(text):
    return f"\n## Notes\n\n{text}\n" if text else ""


def _statistics(state):
    """How a run's inference statistics were made, as text."""
    if not state["statistics_steps"]:
        return "The inference statistics of its batch norms are running averages."
    return f"Inference statistics over {state['statistics_steps']} batches."


def _examples(experiment):
    """What a run trains on, as text."""
    classes = f"first {experiment.max_labels} classes, " if experiment.max_labels else ""
    if experiment.dimensions:
        shape = f"points of {experiment.dimensions} coordinates"
    else:
        shape = "x".join(map(str, experiment.encoder_shape))
    return f"{experiment.dataset} ({experiment.split}, {classes}{shape})"


def _schedule(experiment, epochs):
    """A run's epochs, learning rates, batch size and seed, as text."""
    if epochs < experiment.epochs:
        epochs = f"interim weights, after {epochs} of {experiment.epochs}"
    return (
        f"{epochs} epochs ({experiment.constant_epochs} at {experiment.learning_rate:g}, {experiment.decay_epochs} of "
        f"decay to {experiment.final_learning_rate:.0%} of it), batch {experiment.batch_size}, seed {experiment.seed}"
    )


def _began(system, lineage):
    """The earlier runs that trained the weights that a run of `system` began with, as text."""
    if not lineage:
        return "One run."
    runs = []
    for run in lineage:
        experiment = Experiment().changed_by(run["flags"].splitlines())
        told = f"{_examples(experiment)}: {_schedule(experiment, run['epochs'])}"
        runs.append(f"- {told}; ended with weights `{run['weights'][:12]}`")
    head = "It began with the weights of earlier training (RUN), with Adam's moments at 0:"
    if inherited := registry.INHERITED.get(system):
        head = f"Its {inherited[0]} is that of RUN, and was not trained further. RUN was trained like this:"
    return "\n".join([head, "", *runs])


def _trainer(trainer):
    """The program and device that trained a run, as text; empty for tools/train.py."""
    if not trainer:
        return ""
    return (
        f" Trained by benchmarks/torch_train.py, PyTorch {trainer['version']} on {trainer['device']}: "
        f"{trainer['steps']} steps in {trainer['seconds']:.0f} s."
    )


def _command(name, trainer, lineage):
    """The commands that train a run, as text."""
    flagfile = f"--flagfile=zoo/{name}/train.flags"
    if trainer:
        pack = f"python tools/pack_examples.py {flagfile} --output=EXAMPLES"
        return (
            f"{pack}\n    python benchmarks/torch_train.py {flagfile} --examples=EXAMPLES --workdir=TRAINED\n"
            "    python tools/import_run.py --pieces=TRAINED/weights --workdir=DIR"
        )
    return f"python tools/train.py {flagfile} --workdir=DIR{' --initial_weights=RUN' * bool(lineage)}"
