"""The model card of a zoo entry, in Markdown. It is written from the entry's files."""

import pathlib

from tf_bigan import registry
from tf_bigan.evaluation.measure import find_measure
from tf_bigan.evaluation.report import describe_dataset
from tf_bigan.evaluation.report_files import read_report
from tf_bigan.evaluation.table import table
from tf_bigan.experiment import Experiment
from tf_bigan.reading import described
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory
from tf_bigan.zoo.describing import fact_rows
from tf_bigan.zoo.finding import REPORT
from tf_bigan.zoo.model_facts import CARD_FACTS, facts_of, read_card_facts

_CAPTIONS = {
    "samples.png": "Samples",
    "reconstructions.png": "Unseen examples, with their reconstructions to the right",
}

# What the card shows of a report; see `reading.read_json`.
_SHOWN = dict.fromkeys(("gallery", "queries", "training_precision", "evaluation_seed"), object)


def card(folder, reference: str, notes: str = "") -> str:
    """The model card: what the model is, how it was trained, its numbers and their protocols.

    Args:
      folder: the entry's folder, with its flags, report, card.json and pictures.
      reference: what names the entry for `tf_bigan.load`: its name, or the path of its folder.
      notes: further text of the card, in Markdown.

    Raises:
      InputError: a file of the entry is missing or damaged.
    """
    folder = pathlib.Path(folder)
    run, report = RunDirectory(folder), read_report(folder / REPORT)
    described(report, _SHOWN, folder / REPORT)
    told = described(read_card_facts(folder), {"losses": object, "state": object}, folder / CARD_FACTS)
    experiment, lineage, state = run.experiment(), run.initial(), told["state"]
    losses = ", ".join(
        f"{key.removesuffix('_loss')} {value:.4f}"
        for key, value in told["losses"].items()
        if key.endswith("_loss") and isinstance(value, float)
    )
    facts = facts_of(folder, reference)
    pictures = "\n\n".join(f"![{_CAPTIONS[name]}]({name})" for name in _CAPTIONS if name in facts.pictures)
    rows = "\n".join(f"| {name} | {text} |" for name, text in fact_rows(facts))
    return f"""# {pathlib.Path(reference).name}

{experiment.system} with {experiment.networks} networks on {_examples(experiment)}: \
{_schedule(experiment, state["epochs"])}, {report["training_precision"]}. \
{_began(experiment.system, lineage)}{_trainer(state.get("trainer"))}

{pictures}{chr(10) * 2 * bool(pictures)}| | |
|---|---|
{rows}

{_use(experiment, reference, run.has_weights())}

Trained with

    {_command(reference, state.get("trainer"), lineage)}

Losses over epoch {state["epochs"]}: {losses}. {_statistics(state)}

{_numbers(reference, report, run.has_weights())}{_notes(notes)}
## Terms

Code and weights: Apache-2.0. Training data: {told["terms"]}
"""


def notes_of(text: str) -> str:
    """The notes in the text of a card; "" if it has none."""
    return text.partition("\n## Notes\n\n")[2].rpartition("\n## Terms\n")[0].strip()


def _use(experiment, reference, weights):
    """How the model is used, in Markdown."""
    if not weights:
        return "The weights are not published; training gives them."
    points = bool(experiment.dimensions)
    shape = ", ".join(map(str, experiment.encoder_shape))
    loads = f'```python\nimport tf_bigan\nmodel = tf_bigan.load("{reference}")\n'
    if points:
        return (
            f"{loads}points = model.generate(1000, seed=0)   # float32 [N, {shape}]\ncodes = model.encode(points)\n```"
        )
    return f"{loads}features = model.features(images)   # float32 images [N, {shape}] in [0, 1]\n```"


def _numbers(reference, report, weights):
    """A card's section of the numbers and their protocols, with the end of its last line."""
    protocols = "\n".join(f"- {metric}: {text}." for metric, text in report["protocols"].items())
    told = dict(report.get("commands", {}))
    if untold := [metric for metric in report["results"] if metric not in told]:  # old reports do not record them
        told = {"": [f"--metrics={','.join(untold)}"], **told}
    evaluate = f"python tools/evaluate.py --model={reference if weights else 'DIR'}"
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


def _command(reference, trainer, lineage):
    """The commands that train a run, as text."""
    folder = reference if pathlib.Path(reference).is_absolute() else f"zoo/{reference}"
    flagfile = f"--flagfile={folder}/{FLAGFILE}"
    if trainer:
        pack = f"python tools/pack_examples.py {flagfile} --output=EXAMPLES"
        return (
            f"{pack}\n    python benchmarks/torch_train.py {flagfile} --examples=EXAMPLES --workdir=TRAINED\n"
            "    python tools/import_run.py --pieces=TRAINED/weights --workdir=DIR"
        )
    return f"python tools/train.py {flagfile} --workdir=DIR{' --initial_weights=RUN' * bool(lineage)}"
