import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers import ROOT, flags_of, images, run_tool, tiny, tiny_game
from PIL import Image

import tf_bigan
from tf_bigan import zoo
from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation.report import values
from tf_bigan.evaluation.report_files import read_report, write_report
from tf_bigan.experiment import Experiment
from tf_bigan.priors import Squashed
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.zoo import loading, publishing

PUBLISHED = [name for name in zoo.list_models() if RunDirectory(zoo.zoo_path() / name).has_weights()]


def make_run(path, **changes):
    """A finished run directory, as training and evaluating leave it."""
    experiment = tiny(**changes)
    game = tiny_game(**changes)
    run = RunDirectory(path)
    run.write_experiment(experiment)
    run.save_weights(game.networks, 2, 3)
    run.append_log({"epoch": 2, "step": 24, "discriminator_loss": 0.5})
    report = {
        "system": experiment.system,
        "dataset": "digits",
        "gallery": {"split": "train", "images": 1437},
        "queries": {"split": "test", "images": 360},
        "epochs": 2,
        "weights": run.weights_digest(),
        "training_precision": "float32",
        "training_seed": 42,
        "evaluation_seed": 0,
        "protocols": {"reconstruction": "as it is"},
        "results": {"reconstruction": {"EGr": 1.25, "EGr_b": 2.5, "EGg": 1.0, "EGg_b": 2.0}},
    }
    write_report(run.path / zoo.REPORT, report)
    return game


def test_listing_does_not_import_tensorflow():
    code = "import sys, tf_bigan; print(tf_bigan.list_models('bigan*')); assert 'tensorflow' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "bigan_digits" in result.stdout and "gan_mnist'" in result.stdout and "autoencoder" not in result.stdout


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_load_and_work(name):
    model = tf_bigan.load(name)
    x = images(3, shape=model.example_shape)
    assert model.features(x).shape[0] == 3
    assert model.generate(2, seed=0).shape == (2, *model.generator.output_shape[1:])
    if model.encoder is not None:
        codes = model.encode(x)
        assert codes.shape == (3, model.prior.latent_dim) and np.isfinite(codes).all()
        if isinstance(model.posterior, Squashed):
            assert np.abs(codes).max() <= 1
    assert not np.allclose(model.features(x), tf_bigan.load(name, weights=None).features(x))


def test_something_is_published():
    assert "bigan_digits" in PUBLISHED


@pytest.mark.parametrize("name", [n for n in zoo.list_models() if (zoo.zoo_path() / n / zoo.REPORT).exists()])
def test_cards_tell_the_numbers_of_the_metrics_file(name):
    from tf_bigan.evaluation.table import table

    folder = zoo.zoo_path() / name
    assert table(read_report(folder / zoo.REPORT)) in (folder / zoo.CARD).read_text()


def test_unknown_names_list_the_nearest():
    with pytest.raises(InputError, match="unknown model 'bigan_mnits'. Did you mean 'bigan_mnist'"):
        tf_bigan.load("bigan_mnits")


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(InputError, match="no run directory: it has no train.flags"):
        tf_bigan.load(tmp_path)


def test_missing_weights_are_not_replaced_by_random_ones(tmp_path):
    RunDirectory(tmp_path).write_experiment(tiny())
    with pytest.raises(InputError, match="has no weights yet; weights=None gives fresh ones"):
        tf_bigan.load(tmp_path)
    assert tf_bigan.load(tmp_path, weights=None).encoder.count_params() > 0


def test_other_weights_than_the_published_cannot_be_asked_for():
    with pytest.raises(InputError, match="weights must be 'published' or None, found 'imagenet'"):
        tf_bigan.load("bigan_digits", weights="imagenet")


def test_a_model_is_known_by_the_weights_it_has(tmp_path, monkeypatch):
    game = make_run(tmp_path)
    model, digest = zoo.load_with_digest(tmp_path)
    np.testing.assert_array_equal(model.encode(images(4)), game.encode(images(4)))
    assert digest == RunDirectory(tmp_path).weights_digest()

    def load(name, load=zoo.load):
        RunDirectory(tmp_path).save_weights(tiny_game(seed=3).networks, 2, 3)  # as if a training were going on
        return load(name)

    monkeypatch.setattr(loading, "load", load)
    with pytest.raises(InputError, match="wrote new weights meanwhile; start again"):
        zoo.load_with_digest(tmp_path)


def test_run_directories_load_like_models(tmp_path):
    game = make_run(tmp_path)
    np.testing.assert_array_equal(tf_bigan.load(tmp_path).encode(images(4)), game.encode(images(4)))


def damage(path, where=100):
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["encoder.weights.h5", "generator.weights.h5", "train.flags"])
def test_damaged_files_are_named(tmp_path, file):
    make_run(tmp_path)
    damage(tmp_path / file)
    with pytest.raises(InputError, match=f"{file} is damaged or was changed"):
        tf_bigan.load(tmp_path)


def test_truncated_and_missing_weights_are_named(tmp_path):
    make_run(tmp_path)
    path = tmp_path / "encoder.weights.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="encoder.weights.h5 is damaged"):
        tf_bigan.load(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="encoder.weights.h5 is missing"):
        tf_bigan.load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path):
    make_run(tmp_path)
    run = RunDirectory(tmp_path)
    run.write_experiment(dataclasses.replace(run.experiment(), width=32))
    with pytest.raises(InputError, match="encoder.weights.h5 does not fit the encoder that the flags describe"):
        tf_bigan.load(tmp_path)


def test_publish_copies_the_run_and_writes_its_card(tmp_path):
    make_run(tmp_path / "run", strategy="mirrored", logical_cpus=2, precision="mixed_bfloat16")
    entry = zoo.publish(tmp_path / "run", "tiny", "nobody's data.", zoo=tmp_path / "zoo")
    assert {path.name for path in entry.iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "train.flags",
        "metrics.json",
        "encoder.weights.h5",
        "generator.weights.h5",
        "discriminator.weights.h5",
        "weights.json",
        "card.json",
    }
    np.testing.assert_array_equal(
        tf_bigan.load(entry).encode(images(2)), tf_bigan.load(tmp_path / "run").encode(images(2))
    )
    published = RunDirectory(entry).experiment()
    assert (published.strategy, published.logical_cpus, published.precision) == ("auto", 0, "auto")
    assert published.width == 16
    text = (entry / "README.md").read_text()
    assert "nobody's data." in text and "1.250" in text and "--metrics=reconstruction" in text


@pytest.mark.parametrize("weights, kept", [(True, " --json=FILE"), (False, "")])
def test_the_card_s_commands_work_as_they_stand(tmp_path, weights, kept):
    make_run(tmp_path / "run")
    told = {"reconstruction": ["--metrics=reconstruction"], "fine_tuning": ["--metrics=fine_tuning --seed=1"]}
    path = tmp_path / "run" / zoo.REPORT
    path.write_text(json.dumps(read_report(path) | {"commands": told}))
    entry = zoo.publish(tmp_path / "run", "tiny", "x", weights=weights, zoo=tmp_path / "zoo")
    model = entry if weights else "DIR"
    lines = [line.strip() for line in (entry / "README.md").read_text().splitlines() if "evaluate.py" in line]
    assert lines == [
        f"python tools/evaluate.py --model={model} --metrics=reconstruction",
        f"python tools/evaluate.py --model={model} --metrics=fine_tuning --seed=1{kept}",
    ]


def test_publish_without_weights(tmp_path):
    make_run(tmp_path / "run")
    entry = zoo.publish(tmp_path / "run", "tiny", "nobody's data.", weights=False, zoo=tmp_path / "zoo")
    assert {path.name for path in entry.iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "train.flags",
        "metrics.json",
        "card.json",
    }
    assert "weights are not published" in (entry / "README.md").read_text()
    with pytest.raises(InputError, match="has no weights yet"):
        tf_bigan.load(entry)


def test_an_evaluation_of_an_entry_is_added_to_it(tmp_path):
    make_run(tmp_path / "run")
    entry = zoo.publish(tmp_path / "run", "tiny", "nobody's data.", zoo=tmp_path / "zoo", notes="Grey images only.")
    before = {path.name: path.read_bytes() for path in entry.iterdir()}
    report = read_report(entry / zoo.REPORT)
    more = {
        "protocols": {"nnd": "to samples"},
        "commands": {"nnd": ["--metrics=nnd"]},
        "results": {"nnd": {"NND": 3.25}},
    }
    path = tmp_path / "more.json"
    write_report(path, report | more)
    arguments = [f"--add={path}", "--name=tiny", f"--zoo={tmp_path}/zoo"]
    status, stdout, stderr = run_tool("publish.py", *arguments)
    assert status == 0 and stdout == f"published {entry}\n", stderr
    published = read_report(entry / zoo.REPORT)
    assert published["results"] == report["results"] | more["results"]
    text, was = (entry / "README.md").read_text(), before["README.md"].decode()
    assert "3.250" in text and "1.250" in text and f"--model={entry} --metrics=nnd\n" in text
    assert f"--model={entry} --metrics=reconstruction\n" in text  # the report does not record this command
    assert text.partition("## Numbers")[0] == was.partition("## Numbers")[0]
    assert text.partition("## Notes")[2] == was.partition("## Notes")[2] and "Grey images only." in text
    changed = {file for file, content in before.items() if (entry / file).read_bytes() != content}
    assert changed == {"README.md", "metrics.json", "SHA256SUMS"} and len(list(entry.iterdir())) == len(before)
    RunDirectory(entry).weights_state()  # all that is listed has its checksum
    # Adding the same report again with other notes leaves the numbers unchanged.
    zoo.publish_metrics(path, "tiny", tmp_path / "zoo", "Of digits.")
    assert (entry / "README.md").read_text() == text.replace("Grey images only.", "Of digits.")

    status, _, stderr = run_tool("publish.py", *arguments, "--terms=x")
    assert status == 2 and "--add takes an entry as it is" in stderr
    with pytest.raises(InputError, match="other is no published entry: it has no metrics.json"):
        zoo.publish_metrics(path, "other", tmp_path / "zoo")
    write_report(path, report | more | {"weights": "0" * 64, "evaluation_seed": 1})
    with pytest.raises(InputError, match="more.json is of other weights, evaluation_seed than .*metrics.json"):
        zoo.publish_metrics(path, "tiny", tmp_path / "zoo")


def test_an_entry_s_precision_is_the_one_it_trained_in(tmp_path, monkeypatch):
    make_run(tmp_path / "run", precision="mixed_bfloat16")
    path = tmp_path / "run" / zoo.REPORT
    path.write_text(json.dumps(read_report(path) | {"training_precision": "mixed_bfloat16"}))
    monkeypatch.setenv("TF_BIGAN_ZOO", str(tmp_path / "zoo"))
    zoo.publish(tmp_path / "run", "tiny", "x", zoo=tmp_path / "zoo")
    assert RunDirectory(tmp_path / "zoo" / "tiny").experiment().precision == "auto"
    for name in ("tiny", tmp_path / "run"):
        assert zoo.trained_experiment(name).precision == "mixed_bfloat16"


def test_flagfiles_of_other_recipes_stay_where_a_run_is_published_anew(tmp_path):
    make_run(tmp_path / "run")
    entry = zoo.publish(tmp_path / "run", "tiny", "x", zoo=tmp_path / "zoo")
    (entry / "paper.flags").write_text("--reconstruction_x=0\n")
    make_run(tmp_path / "other", width=8)
    zoo.publish(tmp_path / "other", "tiny", "x", zoo=tmp_path / "zoo")
    assert (entry / "paper.flags").read_text() == "--reconstruction_x=0\n"
    assert "paper.flags" in (entry / "SHA256SUMS").read_text()
    assert RunDirectory(entry).experiment().width == 8  # train.flags is the new run's


def test_the_papers_recipe_for_digits_has_the_game_alone():
    entry = zoo.zoo_path() / "bigan_digits"
    paper, ours = (Experiment.from_flagfile(entry / name) for name in ("paper.flags", "train.flags"))
    assert (paper.reconstruction_x, ours.reconstruction_x) == (0, 30) and not paper.other_networks(ours)
    assert "is ALICE's term (Li et al. 2017), not BiGAN's" in (entry / "README.md").read_text()


def test_an_unfinished_run_is_published_as_interim(tmp_path):
    game = make_run(tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    run.append_log({"epoch": 1, "step": 12, "discriminator_loss": 0.625})
    run.save_weights(game.networks, 1, 3)
    (tmp_path / "notes.md").write_text("Grey images only.\n")
    arguments = [f"--run={run.path}", "--name=tiny", "--terms=x", f"--zoo={tmp_path}/zoo"]
    status, _, stderr = run_tool("publish.py", *arguments)
    assert status == 2 and "has weights of epoch 1 of 2; finish it, or publish it as interim" in stderr
    status, _, stderr = run_tool("publish.py", *arguments, "--interim", f"--notes={tmp_path}/notes.md")
    assert status == 0, stderr
    text = (tmp_path / "zoo" / "tiny" / "README.md").read_text()
    assert "interim weights, after 1 of 2 epochs" in text and "## Notes\n\nGrey images only.\n" in text
    assert "Losses over epoch 1: discriminator 0.6250. Inference statistics over 3 batches." in text
    status, _, stderr = run_tool("publish.py", *arguments, "--interim", f"--notes={tmp_path}/none.md")
    assert status == 2 and stderr == f"error: {tmp_path}/none.md is missing\n"


def test_parts_of_a_model_work_as_in_the_model(tmp_path):
    game = make_run(tmp_path / "run")
    part = zoo.load_part(tmp_path / "run", "encoder")
    assert list(part.networks) == ["encoder"] and part.preparation == game.preparation
    np.testing.assert_array_equal(part.features(images(3)), game.features(images(3)))
    part = zoo.load_part(tmp_path / "run", "generator")
    assert list(part.networks) == ["generator"]
    np.testing.assert_array_equal(part.generate(3, seed=2), game.generate(3, seed=2))
    with pytest.raises(InputError, match="has no encoder"):
        part.encode(images(3))
    both, digest = zoo.load_with_digest(tmp_path / "run", "generator", "encoder")
    assert digest == RunDirectory(tmp_path / "run").weights_digest()
    np.testing.assert_array_equal(both.reconstruct(images(3)), game.reconstruct(images(3)))

    gan = make_run(tmp_path / "gan", system="gan")
    part = zoo.load_part(tmp_path / "gan", "encoder")
    assert list(part.networks) == ["discriminator"]
    np.testing.assert_array_equal(part.features(images(3)), gan.features(images(3)))
    with pytest.raises(InputError, match="has no weights yet"):
        (tmp_path / "gan" / "discriminator.weights.h5").unlink()
        (tmp_path / "gan" / "generator.weights.h5").unlink()
        zoo.load_part(tmp_path / "gan", "generator")
    assert gan.encoder is None


def test_what_a_killed_process_left_is_not_published(tmp_path):
    make_run(tmp_path / "run")
    left = tmp_path / "run" / ".0a1b2c3d.encoder.weights.h5"
    left.write_bytes(b"half")
    path = zoo.publish(tmp_path / "run", "tiny", "x", zoo=tmp_path / "zoo")
    assert sorted(each.name for each in path.glob("*.h5")) == [
        f"{role}.weights.h5" for role in ("discriminator", "encoder", "generator")
    ]
    assert not list(path.glob(".*"))
    zoo.load_with_digest(path)


def test_only_finished_evaluated_runs_are_published(tmp_path):
    make_run(tmp_path)
    with pytest.raises(InputError, match="lower-case letters"):
        zoo.publish(tmp_path, "No Name", "", zoo=tmp_path / "zoo")
    run = RunDirectory(tmp_path)
    run.save_weights(tiny_game(seed=3).networks, 2, 3)
    with pytest.raises(InputError, match="metrics.json is of other weights; run tools/evaluate.py"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    run.save_weights(tiny_game().networks, 1, 3)
    with pytest.raises(InputError, match="has weights of epoch 1 of 2; finish it"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    run.save_weights(tiny_game().networks, 2, 3)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(InputError, match="has no metrics.json; run tools/evaluate.py"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    write_report(tmp_path / "metrics.json", report_of({"weights": run.weights_digest(), "results": {}}))
    run.log.unlink()
    with pytest.raises(InputError, match="metrics.jsonl is missing or damaged"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="metrics.json is damaged: Expecting"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    for path in run.weight_files():
        path.unlink()
    with pytest.raises(InputError, match="has no weights; train it to the end first"):
        zoo.publish(tmp_path, "tiny", "", zoo=tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_weights_written_during_publishing_are_not_published(tmp_path, monkeypatch):
    make_run(tmp_path / "run")

    def copyfile(source, target, copyfile=shutil.copyfile):
        RunDirectory(tmp_path / "run").save_weights(tiny_game(seed=3).networks, 2, 3)
        copyfile(source, target)

    monkeypatch.setattr(publishing.shutil, "copyfile", copyfile)
    with pytest.raises(InputError, match="wrote new weights meanwhile; evaluate and publish those"):
        zoo.publish(tmp_path / "run", "tiny", "", zoo=tmp_path / "zoo")
    assert not list((tmp_path / "zoo").iterdir())


# What every row has that a nearest-neighbour search or a linear probe gives.
OF_ROWS = {"dimensions": 8, "metric": "cosine", "k": 1, "accuracy": 50.0, "converged": True}


def report_of(parts):
    """A report with what all reports have, and these parts."""
    examples = {"split": "train", "images": 10}
    header = {"epochs": 2, "system": "bigan", "dataset": "a", "gallery": examples, "queries": examples}
    settings = {"training_precision": "float32", "training_seed": 42, "evaluation_seed": 0}
    return {**header, **settings, "protocols": {}, "results": {}, **parts}


def test_reports_of_the_same_evaluation_add_up(tmp_path):
    path = tmp_path / "metrics.json"
    row = {"encoder": "trained", "seed": 1, "layer": "conv1", **OF_ROWS}
    write_report(path, report_of({"dataset": "a", "protocols": {"knn": "p"}, "results": {"knn": [row]}}))
    write_report(path, report_of({"dataset": "a", "protocols": {"nnd": "q"}, "results": {"nnd": {}}}))
    assert read_report(path)["results"] == {"knn": [row], "nnd": {}}
    assert read_report(path)["protocols"] == {"knn": "p", "nnd": "q"}
    other = row | {"layer": "conv2"}  # rows by different protocols are not kept together
    write_report(path, report_of({"dataset": "a", "protocols": {"knn": "r"}, "results": {"knn": [other]}}))
    assert read_report(path)["results"] == {"knn": [other], "nnd": {}}
    write_report(path, report_of({"dataset": "b", "protocols": {"nnd": "q"}, "results": {"nnd": {}}}))
    assert read_report(path)["results"] == {"nnd": {}}

    def written(command, *rows, pool=4):
        rows = [{**OF_ROWS, "encoder": e, "seed": 1, "layer": n, "pool": pool, "accuracy": a} for e, n, a in rows]
        report = {"dataset": "b", "results": {"linear": rows}, "commands": {"linear": [command]}}
        write_report(path, report_of(report))
        report = read_report(path)
        found = [(row["layer"], row["pool"], row["accuracy"]) for row in report["results"]["linear"]]
        return found, report["commands"]["linear"]

    both = ("trained", "conv1", 1.0), ("trained", "conv2", 2.0)
    assert written("1", *both) == ([("conv1", 4, 1.0), ("conv2", 4, 2.0)], ["1"])
    # Rows of other layers and settings stay, and the same row is replaced. All commands that gave rows are listed.
    assert written("2", ("trained", "conv2", 3.0)) == ([("conv1", 4, 1.0), ("conv2", 4, 3.0)], ["1", "2"])
    found, commands = written("3", ("trained", "conv2", 5.0), pool=2)
    assert found == [("conv1", 4, 1.0), ("conv2", 4, 3.0), ("conv2", 2, 5.0)] and commands == ["1", "2", "3"]
    path.unlink()
    assert written("4", *both) == ([("conv1", 4, 1.0), ("conv2", 4, 2.0)], ["4"])
    assert written("5", *both) == ([("conv1", 4, 1.0), ("conv2", 4, 2.0)], ["5"])


def test_baselines_stay_when_weights_change(tmp_path):
    path = tmp_path / "metrics.json"
    encoders = ("trained", "untrained", "pixels")
    rows = [{**OF_ROWS, "encoder": encoder, "seed": 1, "layer": "conv1"} for encoder in encoders]

    def report(weights, metric, found, untrained="u", **more):
        header = report_of({"epochs": 2, "weights": weights, "dataset": "a", "untrained": untrained, **more})
        return header | {"protocols": {metric: "p"}, "commands": {metric: [metric]}, "results": {metric: found}}

    write_report(path, report("old", "knn", rows) | {"initial_epochs": [7]})
    write_report(path, report("old", "nnd", {"NND": 1.0}) | {"initial_epochs": [7]})
    write_report(path, report("new", "linear", rows))
    found = read_report(path)
    assert found["weights"] == "new" and "initial_epochs" not in found
    assert found["results"] == {"knn": rows[1:], "linear": rows}
    assert found["commands"] == {"knn": ["knn"], "linear": ["linear"]}
    for other in (report("newer", "nnd", {}, untrained="v"), report("newer", "nnd", {}, dataset="b")):
        shutil.copyfile(path, tmp_path / "copy.json")
        write_report(tmp_path / "copy.json", other)
        assert read_report(tmp_path / "copy.json")["results"] == {"nnd": {}}


def test_other_json_is_no_report(tmp_path):
    for content in ("[]", "3", '{"a": 1}', '{"results": []}'):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match="a.json is damaged: "):
            read_report(tmp_path / "a.json")


def test_features_pooled_and_not_are_lines_of_their_own():
    from tf_bigan.evaluation.table import table

    space = {"encoder": "trained", "layer": "conv5", "seed": 1, "dimensions": 8, "converged": True}
    rows = [{**space, "pool": 0, "accuracy": 10.0}, {**space, "pool": 4, "accuracy": 20.0}]
    rows.append({**rows[1], "seed": 2, "accuracy": 22.0})
    lines = [" ".join(line.split()) for line in table({"results": {"linear": rows}}).splitlines()]
    assert lines[1:] == ["trained conv5 (8) 10.00", "trained conv5 (8, pooled) 21.00 ± 1.41"]


def test_entries_of_the_zoo_are_known_by_any_path(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert zoo.is_entry("zoo/bigan_digits") and zoo.is_entry(zoo.zoo_path() / "bigan_digits")
    assert not zoo.is_entry(tmp_path) and not zoo.is_entry("zoo")


def test_an_installed_wheel_loads_published_weights(tmp_path):
    source = tmp_path / "source"  # not the checkout, where setuptools would pick up files of earlier builds
    for name in ("tf_bigan", "zoo"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("tf_bigan-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import numpy as np, tf_bigan; print(tf_bigan.__file__); "
        "print(tf_bigan.load('bigan_digits').generate(2, seed=0).shape); "
        "images = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype('float32'); "
        "maps = tf_bigan.load('bigan_imagenet').features(images, layer='conv3'); print(maps.shape, maps.std() > 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert result.returncode == 0, result.stderr[-1000:]
    path, generated, features = result.stdout.splitlines()
    assert path.startswith(str(tmp_path / "site")) and generated == "(2, 8, 8, 1)"
    assert features == "(2, 4, 4, 384) True"


def test_a_run_on_a_folder_is_evaluated_from_elsewhere(tmp_path):
    rng = np.random.default_rng(0)
    for path in ("photos/a/1.png", "photos/a/2.png", "photos/b/3.png", "others/a/4.png", "others/b/5.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / path)
    flags = [*flags_of(tiny(dataset="./photos", batch_size=2, constant_epochs=1, decay_epochs=0)), "--workdir=run"]
    train = [sys.executable, str(ROOT / "tools" / "train.py"), *flags]
    for _ in range(2):  # the second finds it finished
        result = subprocess.run(train, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    evaluate = ["evaluate.py", f"--model={tmp_path}/run", "--metrics=knn", f"--dataset={tmp_path}/photos"]
    status, _, stderr = run_tool(*evaluate)
    assert status == 2 and stderr.endswith(
        "Give another --query_dataset: a folder of other images of the same classes\n"
    )
    status, stdout, stderr = run_tool(*evaluate, f"--query_dataset={tmp_path}/others")
    assert status == 0 and "3 of" in stdout, stderr
    for tool in (evaluate[:-1], ["extract_features.py", f"--model={tmp_path}/run", f"--output={tmp_path}/f.npz"]):
        status, _, stderr = run_tool(*tool)
        assert (status, stderr) == (
            2,
            "error: the data that the model was trained on, ./photos, was not found.\n"
            "Use --dataset to name other data or the folder's path; --data_dir or TFDS_DATA_DIR to name the TFDS "
            "directory\n",
        )


def test_tools_name_what_is_wrong_and_exit_2(tmp_path):
    make_run(tmp_path / "gan", system="gan")
    for tool, arguments, message in [
        ("evaluate.py", ["--model=bigan_digit"], "Did you mean 'bigan_digits'"),
        ("evaluate.py", [], "--model is required"),
        ("export.py", ["--model=bigan_digits", "--outptu=x"], "Did you mean --output"),
        ("reproduce.py", ["--table=mnist_1n"], "Did you mean 'mnist_1nn'"),
        (
            "visualize.py",
            ["--model=bigan_digits", f"--output={tmp_path}", "--figures=sample"],
            "Did you mean 'samples'",
        ),
        ("extract_features.py", [f"--output={tmp_path}/f.npz"], "either --model or --module"),
        ("evaluate.py", ["--model=bigan_imagenet", "--metrics=voc2007"], "can take hours; give --json=FILE"),
        (
            "extract_features.py",
            [f"--module={tmp_path}", f"--output={tmp_path}/f"],
            "is no module: it has no saved_model.pb",
        ),
        (
            "visualize.py",
            [f"--model={tmp_path}/gan", f"--output={tmp_path}", "--figures=samples,interpolations"],
            "has no encoder, so it has no interpolations",
        ),
        # This is refused before data is opened and before the other pictures are drawn.
        ("visualize.py", ["--model=bigan_digits", f"--output={tmp_path}", "--layer=h9"], "unknown layer 'h9'"),
        ("publish.py", [f"--run={tmp_path}", "--name=x", "--terms=y"], "no run directory"),
    ]:
        status, stdout, stderr = run_tool(tool, *arguments)
        assert status == 2, (tool, stderr)
        assert message in stderr and "Traceback" not in stderr and len(stderr.splitlines()) <= 2, stderr


def test_the_tools_one_after_another(digits_dir, tmp_path):
    data = f"--data_dir={digits_dir}"
    flags = ["--metrics=knn,reconstruction", "--layers=penultimate,crelu(h2_norm),outputs", f"--json={tmp_path}/r.json"]
    status, stdout, stderr = run_tool("evaluate.py", "--model=bigan_digits", *flags, data, cold=True)
    assert status == 0, stderr
    recorded = read_report(zoo.zoo_path() / "bigan_digits" / zoo.REPORT)["results"]
    again = read_report(tmp_path / "r.json")["results"]
    for old, new in zip(recorded["knn"], again["knn"], strict=True):
        assert old["accuracy"] == pytest.approx(new["accuracy"], abs=0.6)  # two queries of 360
    assert again["reconstruction"]["EGr"] == pytest.approx(recorded["reconstruction"]["EGr"], rel=1e-3)

    report = read_report(tmp_path / "r.json") | {"evaluation_seed": 5}
    (tmp_path / "r.json").write_text(json.dumps(report))
    status, stdout, stderr = run_tool("evaluate.py", "--model=bigan_digits", data, f"--json={tmp_path}/r.json")
    assert status == 2
    assert "r.json holds an evaluation of other settings (evaluation_seed); give another --json" in stderr
    assert read_report(tmp_path / "r.json") == report

    assert run_tool("export.py", "--model=bigan_digits", f"--output={tmp_path}/module", cold=True)[0] == 0
    for source in (["--model=bigan_digits"], [f"--module={tmp_path}/module", "--dataset=digits"]):
        status, stdout, stderr = run_tool(
            "extract_features.py", *source, data, f"--output={tmp_path}/{len(source)}.npz", cold=True
        )
        assert status == 0, stderr
    one, two = (np.load(tmp_path / f"{n}.npz") for n in (1, 2))
    np.testing.assert_allclose(one["features"], two["features"], atol=1e-5)
    assert one["features"].shape == (360, 1024)
    module = [f"--module={tmp_path}/module", "--dataset=digits", data, f"--output={tmp_path}/3.npz"]
    status, stdout, stderr = run_tool("extract_features.py", *module, "--layer=code")
    assert status == 0, stderr
    codes = tf_bigan.load("bigan_digits").encode(open_images("digits", "test", data_dir=str(digits_dir)).arrays()[0])
    np.testing.assert_allclose(np.load(tmp_path / "3.npz")["features"], codes, atol=1e-5)
    status, stdout, stderr = run_tool("extract_features.py", *module, "--layer=h3")
    assert status == 2 and "module has no layer 'h3'. Did you mean 'h2" in stderr, stderr

    status, stdout, stderr = run_tool(
        "visualize.py", "--model=bigan_digits", f"--output={tmp_path}/p", data, "--rows=2", cold=True
    )
    assert status == 0, stderr
    assert {path.stem for path in (tmp_path / "p").iterdir()} == {
        "samples",
        "reconstructions",
        "interpolations",
        "filters_encoder",
        "filters_generator",
        "filters_discriminator",
        "neighbours",
    }


def test_reproduce_prints_published_rows():
    status, stdout, stderr = run_tool("reproduce.py", "--table=mnist_1nn", "--notrain", "--seeds=42,43")
    assert status == 0, stderr
    lines = [" ".join(line.split()) for line in stdout.splitlines()]
    for method, paper, name in (("BiGAN", "97.39", "bigan"), ("AE (l1)", "97.63", "autoencoder_l1")):
        report = read_report(zoo.zoo_path() / f"{name}_mnist" / zoo.REPORT)
        (ours,) = values(report, "knn", "trained", "penultimate", metric="euclidean", k=1)
        assert f"{method}, paper {paper}" in lines
        assert f"{method}, mnist {ours:.2f} {report['epochs']} 1" in lines
    assert "seeds takes whole numbers" in run_tool("reproduce.py", "--seeds=a")[2]
