"""The zoo: list, load, publish and verify published runs. Importing it does not import TensorFlow."""

import dataclasses
import fnmatch
import json
import pathlib
import re
import shutil

from tf_bigan.errors import InputError, did_you_mean
from tf_bigan.evaluation.report import TRANSFERS, carried, describe_dataset, table
from tf_bigan.experiment import Experiment
from tf_bigan.files import CHECKSUMS, replacing, write_checksums, write_text
from tf_bigan.training.run_directory import FLAGFILE, INITIAL, WEIGHTS, RunDirectory

METRICS = "metrics.json"
CARD = "README.md"


def zoo_path() -> pathlib.Path:
    """Where the published runs lie: beside the package in a checkout, inside it once installed."""
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_zoo"
    return installed if installed.is_dir() else package.parent / "zoo"


def list_models(pattern: str = "*") -> list[str]:
    """The names of the zoo's models that match a shell pattern, sorted.

    A listed model may come without weights; `load` then says how to get them.
    """
    names = (path.parent.name for path in zoo_path().glob(f"[!.]*/{FLAGFILE}"))
    return sorted(fnmatch.filter(names, pattern))


def run_path(name) -> pathlib.Path:
    """The directory of a zoo model or run.

    Args:
      name: a name from `list_models`, or the path of a run directory.

    Raises:
      InputError: neither; the message lists the nearest names.
    """
    if str(name) in list_models():
        return zoo_path() / str(name)
    path = pathlib.Path(name).expanduser()
    if (path / FLAGFILE).is_file():
        return path
    if path.is_dir():
        raise InputError(f"{path} is no run directory: it has no {FLAGFILE}")
    raise InputError(
        f"unknown model {str(name)!r}.{did_you_mean(str(name), list_models())} A run directory's path works too"
    )


def is_entry(path) -> bool:
    """Whether a directory is an entry of the zoo, which nothing but `publish` writes to."""
    return pathlib.Path(path).resolve().parent == zoo_path().resolve()


def load(name, weights="published", dtype="float32"):
    """Loads a model: a zoo model by name, or a run directory by path.

    Args:
      name: as "bigan_mnist", or the path of a run directory.
      weights: "published" = the trained ones, their SHA-256 verified before they are read; None = the same
        networks, freshly initialised from the run's seed.
      dtype: the networks' dtype policy. Weights are float32 whatever it is.

    Returns:
      A `tf_bigan.games.Game`: a `keras.Model` with `encode`, `features`, `generate` and `reconstruct`, and its
      networks as `encoder`, `generator` and `discriminator`.

    Raises:
      InputError: an unknown name, or weights that are not published, damaged or of another network.
    """
    if weights not in ("published", None):
        raise InputError(f"weights must be 'published' or None, found {weights!r}")
    path = run_path(name)

    from tf_bigan.games import make_game

    run = RunDirectory(path)
    experiment = run.experiment()
    if weights and not run.weight_files():
        flagfile = path / FLAGFILE
        how = (
            f"Train it, in a checkout: python tools/train.py --flagfile={flagfile} --workdir=DIR, then load DIR"
            if is_entry(path)
            else "Start tools/train.py there again: weights are written with the first pictures and at the end"
        )
        raise InputError(f"{name} has no weights yet; weights=None gives fresh ones.\n{how}")
    game = make_game(experiment, dtype)
    if weights:
        run.load_all_weights(game.networks)
    return game


def trained_experiment(name) -> Experiment:
    """What a zoo model or run is, with the precision it trained in, which the flags of a zoo model leave open.

    Raises:
      InputError: as `RunDirectory.experiment`; or the zoo model's metrics are damaged.
    """
    path = run_path(name)
    experiment = RunDirectory(path).experiment()
    if is_entry(path) and (path / METRICS).exists():
        experiment = dataclasses.replace(experiment, precision=read_report(path / METRICS)["training_precision"])
    return experiment


def load_with_digest(name):
    """As `load`, with the SHA-256 of all the weights it has, as `RunDirectory.weights_digest` tells it.

    Raises:
      InputError: as `load`; or a training there wrote new weights meanwhile.
    """
    run = RunDirectory(run_path(name))
    digest = run.weights_digest() if run.has_weights() else None
    model = load(name)
    if run.weights_digest() != digest:
        raise InputError(f"{run.path} wrote new weights meanwhile; start again")
    return model, digest


def publish(run, name, terms, weights=True, zoo=None, notes="", interim=False):
    """Publishes a run: its directory with the optimizer state left out, plus a card.

    Flags that belong to the machine (strategy, logical CPUs, precision, xla, threads) go back to their defaults.

    Args:
      run: a run directory with weights and an evaluation (tools/evaluate.py writes it).
      name: of the zoo entry, which is replaced if it exists.
      terms: of the training data, for the card.
      weights: whether the weights go with it, or the flags, metrics and card alone.
      zoo: the zoo's folder; None = the project's.
      notes: what else the card should say, in Markdown.
      interim: take a run that is still going on, at the weights it wrote last; the card says of which epoch.

    Returns:
      The entry's path.

    Raises:
      InputError: a run that is unfinished, damaged or not evaluated, or an unusable name.
    """
    run = RunDirectory(run)
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise InputError(f"a model's name has lower-case letters, digits and _ only, found {name!r}")
    experiment = run.experiment()
    if not run.has_weights():
        raise InputError(f"{run.path} has no weights; train it to the end first")
    state = run.weights_state()
    if not run.is_finished() and not interim:
        raise InputError(
            f"{run.path} has weights of epoch {state['epochs']} of {experiment.epochs}; finish it, or publish it as "
            "interim"
        )
    if not (run.path / METRICS).exists():
        raise InputError(f"{run.path} has no {METRICS}; run tools/evaluate.py --model={run.path} first")
    report = read_report(run.path / METRICS)
    if report.get("weights") != run.weights_digest():
        raise InputError(f"{run.path / METRICS} is of other weights; run tools/evaluate.py --model={run.path} again")
    lineage = run.initial()
    log = [record for record in run.read_log() if record["epoch"] <= state["epochs"]]
    if not log:
        raise InputError(f"{run.log} is missing or damaged")

    names = ("strategy", "logical_cpus", "precision", "xla", "inter_op_threads", "intra_op_threads")
    machine = {name: Experiment.default(name) for name in names}
    with replacing((zoo or zoo_path()) / name) as entry:
        entry.mkdir()
        published = RunDirectory(entry)
        published.write_experiment(dataclasses.replace(experiment, **machine))
        initial = [INITIAL] if lineage else []
        for file in [METRICS, *initial, *([*(file.name for file in run.weight_files()), WEIGHTS] if weights else [])]:
            shutil.copyfile(run.path / file, entry / file)
        write_checksums(entry, [file.name for file in entry.iterdir()])
        if weights and published.weights_digest() != report["weights"]:
            raise InputError(f"{run.path} wrote new weights meanwhile; evaluate and publish those")
        write_text(entry / CARD, card(name, experiment, report, log[-1], terms, weights, notes, state, lineage))
    return (zoo or zoo_path()) / name


def publish_metrics(report, name, zoo=None, notes=None):
    """Adds an evaluation to a published entry, and writes the numbers of its card anew.

    Args:
      report: the path of what tools/evaluate.py --model=NAME --json=PATH wrote.
      name: of the zoo entry, whose weights and flags stay as they are.
      zoo: the zoo's folder; None = the project's.
      notes: what else the card should say, in Markdown; None = what it says.

    Returns:
      The entry's path.

    Raises:
      InputError: no such entry, or a report that is damaged or of other weights or data.
    """
    path = (zoo or zoo_path()) / name
    if not (path / METRICS).exists():
        raise InputError(f"{path} is no published entry: it has no {METRICS}")
    published, added = read_report(path / METRICS), read_report(report)
    of = [key for key in published if key not in ("protocols", "commands", "results")]
    if other := [key for key in of if added.get(key) != published[key]]:
        raise InputError(f"{report} is of other {', '.join(other)} than {path / METRICS}")
    try:
        text = (path / CARD).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path / CARD} is damaged or unreadable: {error}") from None
    head, found, rest = text.partition("## Numbers\n")
    rest, end, terms = rest.rpartition("\n## Terms\n")
    if not (found and end):
        raise InputError(f"{path / CARD} has no numbers and terms")
    if notes is None:
        notes = rest.partition("\n## Notes\n\n")[2].strip()
    with replacing(path) as entry:
        shutil.copytree(path, entry)
        write_report(entry / METRICS, added)
        numbers = _numbers(name, read_report(entry / METRICS), RunDirectory(entry).has_weights())
        write_text(entry / CARD, f"{head}{numbers}{_notes(notes)}{end}{terms}")
        write_checksums(entry, [file.name for file in entry.iterdir() if file.name not in (CARD, CHECKSUMS)])
    return path


def card(name, experiment, report, last, terms, weights, notes, state, lineage) -> str:
    """The model card, in Markdown: what it is, how it was trained, its numbers and their protocol."""
    losses = ", ".join(
        f"{key.removesuffix('_loss')} {value:.4f}" for key, value in last.items() if key.endswith("_loss")
    )
    notes, trainer = _notes(notes), state.get("trainer")
    points = bool(experiment.dimensions)
    shape = ", ".join(map(str, experiment.encoder_shape))
    if weights:
        use = f'```python\nimport tf_bigan\nmodel = tf_bigan.load("{name}")\n' + (
            f"points = model.generate(1000, seed=0)     # float32 [N, {shape}]\ncodes = model.encode(points)\n```"
            if points
            else f"features = model.features(images)   # float32 images [N, {shape}] in [0, 1]\n```"
        )
    else:
        use = "The weights are not published; training gives them."
    return f"""# {name}

{experiment.system} with {experiment.networks} networks on {_examples(experiment)}: \
{_schedule(experiment, state["epochs"])}, {report["training_precision"]}. {_began(lineage)}{_trainer(trainer)}

{use}

Trained with

    {_command(name, trainer, lineage)}

Losses over epoch {state["epochs"]}: {losses}. {_statistics(state)}

{_numbers(name, report, weights)}{notes}
## Terms

Code and weights: Apache-2.0. Training data: {terms}
"""


def _numbers(name, report, weights):
    """A card's section of numbers and their protocol, to its last line's end."""
    protocols = "\n".join(f"- {metric}: {text}." for metric, text in report["protocols"].items())
    told = dict(report.get("commands", {}))
    if untold := [metric for metric in report["results"] if metric not in told]:  # of before reports told them
        told = {"": [f"--metrics={','.join(untold)}"], **told}
    evaluate = f"python tools/evaluate.py --model={name if weights else 'DIR'}"
    # Results that take hours are kept in a file, which an entry of the zoo has not.
    kept = {metric: " --json=FILE" * (weights and metric in TRANSFERS) for metric in told}
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
    """Where a run's inference statistics come from, as text."""
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
    """How long a run has trained, how fast, on which batches, as text."""
    if epochs < experiment.epochs:
        epochs = f"interim weights, after {epochs} of {experiment.epochs}"
    return (
        f"{epochs} epochs ({experiment.constant_epochs} at {experiment.learning_rate:g}, {experiment.decay_epochs} of "
        f"decay to {experiment.final_learning_rate:.0%} of it), batch {experiment.batch_size}, seed {experiment.seed}"
    )


def _began(lineage):
    """What trained the weights that a run began from, as text."""
    if not lineage:
        return "One run."
    runs = []
    for run in lineage:
        experiment = Experiment().changed_by(run["flags"].splitlines())
        told = f"{_examples(experiment)}: {_schedule(experiment, run['epochs'])}"
        runs.append(f"- {told}; ended with weights `{run['weights'][:12]}`")
    return "It began with the weights of earlier training (RUN), with Adam's moments at 0:\n\n" + "\n".join(runs)


def _trainer(trainer):
    """Who trained a run, if not tools/train.py, as text."""
    if not trainer:
        return ""
    return (
        f" Trained by benchmarks/torch_train.py, PyTorch {trainer['version']} on {trainer['device']}: "
        f"{trainer['steps']} steps in {trainer['seconds']:.0f} s."
    )


def _command(name, trainer, lineage):
    """What trains a run, as text."""
    flagfile = f"--flagfile=zoo/{name}/train.flags"
    if trainer:
        pack = f"python tools/pack_examples.py {flagfile} --output=EXAMPLES"
        return (
            f"{pack}\n    python benchmarks/torch_train.py {flagfile} --examples=EXAMPLES --workdir=TRAINED\n"
            "    python tools/import_run.py --pieces=TRAINED/weights --workdir=DIR"
        )
    return f"python tools/train.py {flagfile} --workdir=DIR{' --initial_weights=RUN' * bool(lineage)}"


def write_report(path, report: dict):
    """Writes an evaluation report as JSON, adding its results to what an earlier one there holds that still counts.

    Rows of the same layer of the same encoder and setting replace the earlier ones, and rows of another protocol all of
    them; "commands", the list that gave a metric's rows, grows while it has earlier rows.
    """
    path = pathlib.Path(path)
    header = {key: report[key] for key in report.keys() - {"protocols", "commands", "results"}}
    earlier = carried(read_report(path), header) if path.exists() else None
    if earlier:
        results, commands = dict(earlier["results"]), dict(earlier.get("commands", {}))
        protocols = earlier.get("protocols", {})
        for name, rows in report["results"].items():
            same = protocols.get(name) == report["protocols"].get(name)
            kept = _rows_beside(earlier["results"].get(name), rows) if same else []
            results[name] = kept + rows if isinstance(rows, list) else rows
            told = [*(commands.get(name, []) if kept else []), *report.get("commands", {}).get(name, [])]
            commands[name] = list(dict.fromkeys(told))
        report = {**report, "results": results, "protocols": {**protocols, **report["protocols"]}}
        report["commands"] = {name: told for name, told in commands.items() if told}
    write_text(path, json.dumps(report, indent=1) + "\n")


def _rows_beside(earlier, rows):
    """The earlier rows that none of the new ones replaces."""
    if not (isinstance(earlier, list) and isinstance(rows, list)):
        return []

    def place(row):
        return [row.get(name) for name in ("encoder", "seed", "layer", "metric", "k", "pool", "edge", "settings")]

    made = [place(row) for row in rows]
    return [row for row in earlier if place(row) not in made]


def read_report(path) -> dict:
    """Reads an evaluation report. Raises InputError if it is damaged, or something else."""
    try:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or unreadable: {error}") from None
    if not isinstance(report, dict) or not isinstance(report.get("results"), dict):
        raise InputError(f"{path} is no evaluation report")
    return report
