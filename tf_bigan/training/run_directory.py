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
import os
import pathlib
import warnings

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment
from tf_bigan.files import CHECKSUMS, read_checksums, replacing, verify_checksums, write_checksums, write_text

FLAGFILE = "train.flags"
WEIGHTS = "weights.json"
INITIAL = "initial.json"
_DIGEST = "# SHA-256 of the lines below: "


class RunDirectory:
    """A run directory at `path`, or a published run, which is one without its checkpoints."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "metrics.jsonl"
        self.images = self.path / "images"
        self.tensorboard = self.path / "tensorboard"

    def experiment(self) -> Experiment:
        """The run's `Experiment`. Raises InputError when train.flags is missing, damaged or was changed by hand."""
        path = self.path / FLAGFILE
        try:
            first, _, flags = path.read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{path} is missing or damaged, so {self.path} is no run directory") from None
        if not first.startswith(_DIGEST) and self.has_begun():
            raise InputError(f"{path} is damaged or was changed: its first line, with its SHA-256, is missing")
        if first.startswith(_DIGEST) and first != _DIGEST + _digest(flags):
            raise InputError(f"{path} is damaged or was changed: its SHA-256 is not the one in its first line")
        known = {field.name for field in dataclasses.fields(Experiment)}
        named = [line.removeprefix("--").partition("=")[0] for line in flags.splitlines() if line.startswith("--")]
        if unknown := [name for name in named if name not in known and name.removeprefix("no") not in known]:
            raise InputError(
                f"{path} has settings that this version of tf_bigan does not know: {', '.join(unknown[:5])}.\n"
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
        if not path.exists():
            return []
        try:
            lineage = json.loads(path.read_text(encoding="utf-8"))
            lineage = [{name: run[name] for name in ("weights", "epochs", "flags")} for run in lineage]
        except (OSError, ValueError, KeyError, TypeError):
            lineage = []
        if not lineage:
            raise InputError(f"{path} is damaged")
        return lineage

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
        write_text(self.path / INITIAL, json.dumps(lineage, indent=1) + "\n")

    @contextlib.contextmanager
    def lock(self, say=print):
        """Within this context, this process holds the directory, in order to train in it.

        Raises:
          InputError: another process holds it, or `path` cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w")  # noqa: SIM115  (held open for as long as the lock)
        except OSError as error:
            raise InputError(f"cannot write in {self.path}: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is training in {self.path}") from None
            except OSError as error:  # some network file systems
                say(f"{self.path} cannot be locked ({error.strerror}); train in it with one process only")
            yield

    def append_log(self, record: dict):
        """Adds a record to metrics.jsonl. Raises InputError if it cannot be written."""
        try:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self.log}: {error.strerror}") from None

    def extend_log(self, step: int, entries: dict):
        """Adds entries to the record of `step` in metrics.jsonl. Raises InputError if it cannot be written."""
        records = [record | entries if record["step"] == step else record for record in self.read_log()]
        self._write_log(records)

    def read_log(self) -> list[dict]:
        """The records of metrics.jsonl; lines that a crash cut short are left out."""
        records = []
        if self.log.exists():
            for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    records.append(json.loads(line))
        return [record for record in records if isinstance(record, dict) and "step" in record]

    def rewind_log(self, step: int):
        """Drops the records after `step`, which a resumed run will write again."""
        kept = [record for record in self.read_log() if record["step"] <= step]
        if self.log.exists():
            self._write_log(kept)

    def _write_log(self, records):
        write_text(self.log, "".join(json.dumps(record) + "\n" for record in records))

    def save_weights(self, networks: dict, epochs: int, statistics_steps: int, trainer: dict | None = None):
        """Writes each network's weights, float32, and weights.json, and their checksums.

        Args:
          networks: role -> keras.Model.
          epochs: epochs that the networks were trained for.
          statistics_steps: batches behind their inference statistics; 0 if none are estimated.
          trainer: a record of the program that trained them, if not `train`: see `tf_bigan.training.foreign`.
        """
        for role, network in networks.items():
            with replacing(self.weights_path(role)) as temporary:
                network.save_weights(temporary)
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
        path = self.weights_path(role)
        verify_checksums(self.path, [path.name])
        try:
            with warnings.catch_warnings():
                # Keras only warns if a file leaves layers at their initial values.
                warnings.simplefilter("error")
                network.load_weights(path)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} does not fit the {role} that the flags describe: {reason}") from None

    def weights_state(self) -> dict:
        """The state of the weights: {"epochs": epochs trained, "statistics_steps": batches behind the statistics}.

        If another program trained the weights, there is also "trainer", a record of that program.

        Raises:
          InputError: the weights or weights.json are missing or damaged.
        """
        verify_checksums(self.path)
        try:
            return json.loads((self.path / WEIGHTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise InputError(f"{self.path / WEIGHTS} is missing or damaged") from None

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
        return sorted(self.path.glob("*.weights.h5"))

    def weights_path(self, role: str) -> pathlib.Path:
        """The path of the weight file of the network called `role`."""
        return self.path / f"{role}.weights.h5"


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
