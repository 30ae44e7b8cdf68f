"""One of every kind of file that the library reads, for robustness_files.py to damage."""

import json
import shutil

import keras
import numpy as np
from timing import ROOT

from tf_bigan import exporting, zoo
from tf_bigan.data import open_data
from tf_bigan.evaluation.kept_features import KeptFeatures
from tf_bigan.evaluation.report_files import write_report
from tf_bigan.experiment import Experiment
from tf_bigan.files import sha256, write_text
from tf_bigan.games import Adam, make_game
from tf_bigan.pieces import write_pieces
from tf_bigan.reading import json_text
from tf_bigan.studies.mixture_results import Results
from tf_bigan.training import begun_data
from tf_bigan.training.checkpoints import Checkpoints
from tf_bigan.training.run_directory import RunDirectory

_FLAGS = ("--dataset=digits", "--image_size=8", "--channels=1", "--width=16", "--latent_dim=4", "--constant_epochs=1")
_FLAGS += ("--decay_epochs=1", "--images_every=0", "--precision=float32", "--xla=off", "--statistics_steps=2")
KEPT = {"data": "digits"}


def experiment():
    """The experiment whose files are damaged."""
    return Experiment().changed_by(list(_FLAGS))


def make_materials(folder):
    """Writes one of everything that is damaged, each in a folder of its own, below `folder`."""
    game, trained = make_game(experiment()), experiment()
    game.compile(Adam())
    run = RunDirectory(folder / "run" / "run")
    run.path.mkdir(parents=True)
    run.write_experiment(trained)
    write_text(run.path / begun_data.FILE, json_text({"origin": "digits train", "images": 1797, "left_out": [3, 17]}))
    run.write_initial([{"weights": "0" * 64, "epochs": 3, "flags": trained.to_flagfile()}])
    for step in (15, 30):
        game.step.assign(step)
        Checkpoints(run.checkpoints, game).save()
        run.append_log({"step": step, "epoch": step // 15, "encoder_generator_loss": 0.5})
    run.save_weights(game.networks, 2, 2)
    shutil.copytree(folder / "run", folder / "resumed")
    write_report(run.path / "metrics.json", _report(run))
    entry = zoo.publish(run.path, "entry", "nobody's data.", zoo=folder / "entry")
    (folder / "report").mkdir()
    shutil.copyfile(entry / "metrics.json", folder / "report" / "metrics.json")
    exporting.export(game, folder / "module" / "module")
    (folder / "joblib").mkdir()
    for file in (ROOT / "tests" / "fixtures" / "joblib").glob("tiny_joblib*.jl*"):
        shutil.copyfile(file, folder / "joblib" / file.name)
    arrays = {"images": np.arange(640, dtype=np.uint8).reshape(10, 8, 8), "labels": np.arange(10)}
    for name, compress in (("plain", False), ("lzma", True)):
        write_pieces(folder / "pieces" / name, arrays, {"count": 10, "split": "train"}, 300, compress)
    _make_classifier(folder / "classifier" / "classifier")
    KeptFeatures(folder / "kept").save(KEPT, {"features": np.ones((20, 3), np.float32), "labels": np.arange(20)})
    write_text(folder / "flags" / "train.flags", "# A comment.\n" + trained.to_flagfile())
    results = Results(folder / "study" / "study.json", [])
    reached = {"modes": 25, "modes_near": 25, "modes_covered": 24, "high_quality": 0.9, "kl": 0.1, "seconds": 3.0}
    results.add("ali-00", reached), results.add("gan-01", {"diverged": "a loss is not finite"})
    open_data("digits", "train", data_dir=str(folder / "data"))


def _report(run):
    """A report with the rows of several measures."""
    rows = [
        {"encoder": encoder, "seed": 0, "layer": "penultimate", "dimensions": 16, "pool": 0, "metric": "cosine", "k": 1}
        for encoder in ("trained", "untrained")
    ]
    settings = {"feature_network": "inception", "weights": "0" * 64, "preparation": "as stored", "samples": 100}
    fid = {"encoder": "trained", "images": 100, "settings": settings, "fid": 12.5}
    results = {
        "knn": [{**row, "accuracy": 91.5} for row in rows],
        "linear": [{**row, "accuracy": 92.5, "l2": 0.1, "converged": True} for row in rows],
        "reconstruction": {"EGr": 1.5, "EGr_b": 3.5},
        "fid": [fid, {**fid, "encoder": "queries"}],
    }
    return {
        "epochs": 2,
        "weights": run.weights_digest(),
        "system": "bigan",
        "dataset": "digits",
        "gallery": {"split": "train", "images": 1500},
        "queries": {"dataset": "digits", "split": "test", "images": 297},
        "training_precision": "float32",
        "training_seed": 42,
        "untrained": "0" * 64,
        "evaluation_seed": 0,
        "protocols": dict.fromkeys(results, "as always"),
        "commands": {"knn": ["--metrics=knn"]},
        "results": results,
    }


def _make_classifier(folder):
    folder.mkdir(parents=True)
    h = keras.layers.Flatten()(image := keras.Input((8, 8, 1)))
    h = keras.layers.Dense(8, "relu", name="features")(h)
    keras.Model(image, keras.layers.Dense(10)(h)).save(folder / "classifier.keras")
    about = {"dataset": "digits", "split": "train", "examples": 1500, "test_dataset": "digits", "test_split": "test"}
    about |= {"queries": 297, "image_shape": [8, 8, 1], "class_names": [str(n) for n in range(10)], "accuracy": 91.5}
    about["settings"] = {"architecture": "MobileNet", "input_size": 0, "seed": 0, "epochs": 2, "flip": False}
    about["sha256"] = sha256(folder / "classifier.keras")
    (folder / "classifier.json").write_text(json.dumps(about))
