"""The run directory: what a run is, its log, its pictures and its weights.

train.flags            the resolved Experiment
data.json              the data that the run began with; absent from a published run (see `begun_data`)
initial.json           the runs that trained the initial weights; absent if the run began from fresh weights
checkpoints/           for resuming; absent from a published run
metrics.jsonl          one record per epoch
tensorboard/, images/  the same numbers, and grids of samples and reconstructions
*.weights.h5           one file per network, float32, with inference statistics
weights.json           the state of the weights: epochs trained, batches behind the statistics
SHA256SUMS             checksums of the weights
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import warnings

from tf_bigan.errors import InputError, short
from tf_bigan.experiment import Experiment
from tf_bigan.files import (
    CHECKSUMS,
    read_checksums,
    remove_leftovers,
    verify_checksums,
    without_waiting,
    write_checksums,
    write_from_memory,
    write_text,
)
from tf_bigan.reading import COUNT, Missing, Optional, checked_path, json_text, read_json, read_text
from tf_bigan.training import run_log
from tf_bigan.training.weight_files import weight_file_damage

FLAGFILE = "train.flags"
WEIGHTS = "weights.json"
INITIAL = "initial.json"
_DIGEST = "# SHA-256 of the lines below: "
_LARGEST_FLAGS = 1 << 20  # bytes of train.flags

# What the JSON files hold; see `read_json`. "trainer" is a record of another program that trained the weights.
_LINEAGE = [{"weights": str, "epochs": COUNT, "flags": str}]
_TRAINER = {"version": str, "device": str, "steps": COUNT, "seconds": float}
WEIGHTS_STATE = {"epochs": COUNT, "statistics_steps": COUNT, Optional("trainer"): _TRAINER}


class RunDirectory:
    """A run directory at `path`, or a published run, which is one without its checkpoints."""

    def __init__(self, path):
        self.path = checked_path(path)
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "metrics.jsonl"
        self.images = self.path / "images"
        self.tensorboard = self.path / "tensorboard"

    def experiment(self) -> Experiment:
        """The run's `Experiment`. Raises InputError when train.flags is missing, damaged or was changed by hand."""
        path = self.path / FLAGFILE
        try:
            first, _, flags = read_text(path, _LARGEST_FLAGS).partition("\n")
        except InputError as error:
            raise InputError(f"{error}, so {self.path} is no run directory") from None
        if not first.startswith(_DIGEST) and self.has_begun():
            raise InputError(f"{path} is damaged or was changed: its first line, with its SHA-256, is missing")
        if first.startswith(_DIGEST) and first != _DIGEST + _digest(flags):
            raise InputError(f"{path} is damaged or was changed: its SHA-256 is not the one in its first line")
        known = {field.name for field in dataclasses.fields(Experiment)}
        named = [line.removeprefix("--").partition("=")[0] for line in flags.splitlines() if line.startswith("--")]
        if unknown := [name for name in named if name not in known and name.removeprefix("no") not in known]:
            raise InputError(
                f"{path} has settings that this version of tf_bigan does not know: {short(', '.join(unknown[:5]))}.\n"
                "A newer one wrote it; update tf_bigan"
            )
        return Experiment.from_flagfile(path)

    def resolve(self, experiment: Experiment) -> Experiment:
        """Fills what `experiment` leaves open from the recorded experiment, if there is a run to resume here.

        Raises:
          InputError: the run here is another experiment; the message names the flags that differ.
        """
        if not self.has_begun():
            return experiment
        recorded = self.experiment()
        experiment = experiment.filled_from(recorded)
        if names := experiment.difference(recorded):
            flags = ", ".join(f"--{n}={getattr(recorded, n)} (now {getattr(experiment, n)})" for n in names)
            if {"constant_epochs", "decay_epochs"} & set(names) and self.has_weights():
                # The learning rate of every step follows from all epochs, so more epochs would be another run.
                state = "finished" if self.is_finished() else "being trained"
                raise InputError(
                    f"{self.path} is {state} with {flags}; its epochs cannot change.\n"
                    f"To train its weights further, begin another run: --initial_weights={self.path} --workdir=OTHER"
                )
            raise InputError(
                f"{self.path} holds another experiment. It was started with {flags}\n"
                "Give those flags to resume it, or another --workdir"
            )
        return experiment

    def write_experiment(self, experiment: Experiment):
        """Writes train.flags."""
        flags = experiment.to_flagfile()
        write_text(self.path / FLAGFILE, f"{_DIGEST}{_digest(flags)}\n{flags}")

    def lineage(self) -> list[dict]:
        """The runs behind the weights here: the oldest run first, this one last.

        Each is {"weights": the digest of its last weights, "epochs": epochs trained, "flags": its train.flags}.

        Raises:
          InputError: there are no weights, or a file is damaged.
        """
        if not self.has_weights():
            raise InputError(f"{self.path} has no weights to begin from")
        own = {
            "weights": self.weights_digest(),
            "epochs": self.weights_state()["epochs"],
            "flags": self.experiment().to_flagfile(),
        }
        return [*self.initial(), own]

    def initial(self) -> list[dict]:
        """The lineage of the run's initial weights (see `lineage`); [] if they were fresh.

        Raises:
          InputError: initial.json is damaged.
        """
        path = self.path / INITIAL
        try:
            content = read_json(path, ({"runs": _LINEAGE}, _LINEAGE))
        except Missing:
            return []
        lineage = content if isinstance(content, list) else content["runs"]  # a list is of an earlier version
        if not lineage:
            raise InputError(f"{path} is damaged: it names no run")
        return [{name: run[name] for name in _LINEAGE[0]} for run in lineage]

    def check_initial(self, other: "RunDirectory | None"):
        """Raises InputError if there is a run to resume here that did not begin from the weights of `other`.

        None is accepted for every run: a resumed run need not name its initial weights again.
        """
        if other is None or not self.has_begun():
            return
        began = [run["weights"] for run in self.initial()]
        if began[-1:] != [other.lineage()[-1]["weights"]]:
            raise InputError(
                f"{self.path} began from {'other' if began else 'fresh'} weights, not from those of {other.path}.\n"
                "Leave --initial_weights out to resume it, or give another --workdir"
            )

    def write_initial(self, lineage: list[dict]):
        """Writes initial.json."""
        write_text(self.path / INITIAL, json_text({"runs": lineage}, indent=1))

    @contextlib.contextmanager
    def lock(self, say=print):
        """Within this context, this process holds the directory, in order to train in it.

        What an earlier process that was killed left of unfinished files is removed.

        Raises:
          InputError: another process holds it, or `path` cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w", opener=without_waiting)  # noqa: SIM115  (held as long as the lock)
        except OSError as error:
            raise InputError(f"cannot write in {self.path}: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is training in {self.path}") from None
            except OSError as error:  # some network file systems
                say(f"{self.path} cannot be locked ({error.strerror}); train in it with one process only")
            else:
                for folder in (self.path, self.images):
                    remove_leftovers(folder, sole_writer=True)
            yield

    def append_log(self, record: dict):
        """Adds a record to metrics.jsonl. Raises InputError if it cannot be written."""
        run_log.append_record(self.log, record)

    def extend_log(self, step: int, entries: dict):
        """Adds entries to the record of `step` in metrics.jsonl. Raises InputError if it is damaged or read-only."""
        records = [record | entries if record["step"] == step else record for record in self.read_log()]
        run_log.write_records(self.log, records)

    def read_log(self) -> list[dict]:
        """The records of metrics.jsonl; see `run_log.read_records`."""
        return run_log.read_records(self.log)

    def rewind_log(self, step: int, kept=None):
        """Drops the records after `step`, which a resumed run will write again, and puts back those that are missing.

        Args:
          step: the step of the checkpoint that the run is resumed from.
          kept: the log that this checkpoint holds, a path; None = it holds none.
        """
        records = run_log.rewound(self.read_log(), step, run_log.read_records(kept) if kept else ())
        if records or self.log.exists():
            run_log.write_records(self.log, records)

    def save_weights(self, networks: dict, epochs: int, statistics_steps: int, trainer: dict | None = None):
        """Writes each network's weights, float32, and weights.json, and their checksums.

        Args:
          networks: role -> keras.Model.
          epochs: epochs that the networks were trained for.
          statistics_steps: batches behind their inference statistics; 0 if none are estimated.
          trainer: a record of the program that trained them, if not `train`: see `tf_bigan.training.foreign`.
        """
        for role, network in networks.items():
            write_from_memory(self.weights_path(role), network.save_weights)
        content = {"epochs": epochs, "statistics_steps": statistics_steps}
        if trainer:
            content["trainer"] = trainer
        write_text(self.path / WEIGHTS, json.dumps(content) + "\n")
        write_checksums(self.path, [*(self.weights_path(role).name for role in networks), WEIGHTS])

    def load_all_weights(self, networks: dict):
        """Fills all `networks` (role -> keras.Model); see `load_weights`."""
        for role, network in networks.items():
            self.load_weights(role, network)

    def load_weights(self, role: str, network):
        """Fills `network` from its verified weight file.

        Raises:
          InputError: the file is missing, damaged, changed, or of another architecture.
        """
        self.check_weights({role: [variable.shape for variable in network.variables]})
        path = self.weights_path(role)
        try:
            with warnings.catch_warnings():
                # Keras only warns if a file leaves layers at their initial values.
                warnings.simplefilter("error")
                network.load_weights(path)
        except Exception as error:  # for its reasons, see `weight_file_damage`
            raise _misfit(path, role, (str(error).splitlines() or [type(error).__name__])[0]) from None

    def check_weights(self, shapes: dict):
        """Checks weight files before there is room for their weights.

        Args:
          shapes: role -> the shapes of the network's weights and statistics.

        Raises:
          InputError: as for `load_weights`.
        """
        for role, of_network in shapes.items():
            path = self.weights_path(role)
            verify_checksums(self.path, [path.name])
            if reason := weight_file_damage(path, of_network):
                raise _misfit(path, role, reason)

    def weights_state(self) -> dict:
        """The state of the weights: {"epochs": epochs trained, "statistics_steps": batches behind the statistics}.

        If another program trained the weights, there is also "trainer", a record of that program.

        Raises:
          InputError: the weights or weights.json are missing or damaged.
        """
        verify_checksums(self.path)
        return read_json(self.path / WEIGHTS, WEIGHTS_STATE)

    def is_finished(self) -> bool:
        """Whether the weights from the end of the run are here, undamaged."""
        try:
            experiment = self.experiment()
            state = self.weights_state()
            # 0 = nothing was estimated: the networks keep running averages, or have no batch norm.
            estimated = state.get("statistics_steps") in (experiment.statistics_steps, 0)
            return state.get("epochs") == experiment.epochs and estimated
        except InputError:
            return False

    def weights_digest(self) -> str:
        """One SHA-256 of all weights, made from SHA256SUMS; an evaluation names the weights by it."""
        lines = read_checksums(self.path)
        return _digest("\n".join(line for line in sorted(lines) if line.endswith(".weights.h5")))

    def has_begun(self) -> bool:
        """Whether there is a run here, finished or not."""
        return self.has_weights() or self.has_checkpoints()

    def has_checkpoints(self) -> bool:
        """Whether there are checkpoints to resume from, damaged or not."""
        return any(self.checkpoints.glob("step-*"))

    def has_weights(self) -> bool:
        """Whether weights were written."""
        return bool(self.weight_files()) and (self.path / CHECKSUMS).exists()

    def weight_files(self) -> list[pathlib.Path]:
        """The weight files, sorted."""
        return sorted(self.path.glob("[!.]*.weights.h5"))

    def weights_path(self, role: str) -> pathlib.Path:
        """The path of the weight file of the network called `role`."""
        return self.path / f"{role}.weights.h5"


def _misfit(path, role, reason):
    return InputError(f"{path} does not fit the {role} that the flags describe: {reason}")


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
