import json
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT, run_tool, tiny, tiny_game

from tf_bigan import zoo
from tf_bigan.errors import InputError
from tf_bigan.evaluation.paper_tables import TABLES
from tf_bigan.evaluation.report import rows
from tf_bigan.evaluation.report_files import read_report, write_report
from tf_bigan.evaluation.table_layout import covers
from tf_bigan.registry import FAMILIES
from tf_bigan.reproducing import reproduce
from tf_bigan.training.run_directory import FLAGFILE, RunDirectory
from tf_bigan.zoo import feature_networks

LAYERS = [f"conv{n}" for n in range(1, 6)]


def finished_run(path, seed, **changes):
    """A run directory with final weights of a tiny convolutional BiGAN."""
    experiment = tiny(networks="conv", width=4, image_size=16, channels=3, seed=seed, **changes)
    run = RunDirectory(path)
    run.path.mkdir(parents=True)
    run.write_experiment(experiment)
    run.save_weights({"encoder": tiny_game(seed=seed).encoder}, experiment.epochs, experiment.statistics_steps)
    return run


def linear_report(run, seed, trained):
    space = {"dimensions": 8, "pool": 4, "converged": True}
    encoders = [("trained", seed, trained), ("untrained", seed, 10.0), ("untrained", seed + 1, 12.0)]
    found = [{"encoder": e, "seed": s, "layer": x, "accuracy": a, **space} for e, s, a in encoders for x in LAYERS]
    pixels = {"encoder": "pixels", "layer": "pixels", "dimensions": 768, "accuracy": 7.5, "converged": True}
    knn = {"metric": "euclidean", "k": 1}
    return {
        "dataset": "photos",
        "training_seed": seed,
        "epochs": 2,
        "weights": run.weights_digest(),
        "protocols": {},
        "results": {"linear": [*found, pixels], "knn": [row | knn for row in [*found, pixels]]},
    }


@pytest.fixture
def runs(tmp_path):
    for seed, accuracy in ((142, 20.0), (143, 24.0)):
        run = finished_run(tmp_path / f"bigan_imagenet-seed{seed}", seed)
        write_report(run.path / zoo.REPORT, linear_report(run, seed, accuracy))
    return tmp_path


def lines_of(runs, *arguments):
    status, stdout, stderr = run_tool("reproduce.py", "--notrain", f"--runs={runs}", *arguments)
    assert status == 0, stderr
    return [" ".join(line.split()) for line in stdout.splitlines()]


def test_layers_beside_the_untrained_encoder_s(runs):
    lines = lines_of(runs, "--table=imagenet_linear", "--seeds=142,143")
    assert lines[0] == "linear probe, % conv1 conv2 conv3 conv4 conv5 epochs seeds"
    assert f"BiGAN, photos {'22.00 ± 2.83 ' * 5}2 2" in lines
    # Untrained encoders: 10 for seed 142, 12 for seed 144, and 10 for seed 143, from the last of the two reports.
    assert f"BiGAN, untrained {'10.67 ± 1.15 ' * 5}".strip() in lines
    assert "raw pixels 7.50" in lines
    assert "D not run" in lines
    assert lines.count("1-NN accuracy, % conv1 conv2 conv3 conv4 conv5 epochs seeds") == 1


def test_runs_of_another_length_are_lines_of_their_own(runs):
    path = runs / "bigan_imagenet-seed143" / zoo.REPORT
    path.write_text(json.dumps(read_report(path) | {"initial_epochs": [20]}))
    lines = lines_of(runs, "--table=imagenet_linear", "--seeds=142,143")
    assert f"BiGAN, photos {'20.00 ' * 5}2 1" in lines and f"BiGAN, photos {'24.00 ' * 5}20+2 1" in lines


def test_runs_of_other_flags_are_lines_of_their_own(runs):
    run = finished_run(runs / "bigan_imagenet-seed144", 144, batch_size=7)
    write_report(run.path / zoo.REPORT, linear_report(run, 144, 30.0))
    lines = lines_of(runs, "--table=imagenet_linear", "--seeds=142,143,144")
    for mean, seeds, batch in (("22.00 ± 2.83 ", 2, 128), ("30.00 ", 1, 7)):
        at = lines.index(f"BiGAN, photos {mean * 5}2 {seeds}")
        assert lines[at + 2].startswith("BiGAN with --dataset=digits ") and f" --batch_size={batch} " in lines[at + 2]
        assert "--seed" not in lines[at + 2] and "--width=4" in lines[at + 2]


def test_the_zoo_s_run_and_another_of_its_seed_stand_side_by_side(runs):
    run = finished_run(runs / "bigan_imagenet-seed42", 42)
    write_report(run.path / zoo.REPORT, linear_report(run, 42, 18.0))
    lines = lines_of(runs, "--table=imagenet_linear", "--seeds=42,142")
    assert f"BiGAN, photos {'19.00 ± 1.41 ' * 5}2 2" in lines
    zoo_s = rows(read_report(zoo.zoo_path() / "bigan_imagenet" / zoo.REPORT), "linear", "trained", "conv3")
    told = [line for line in lines if line.startswith("BiGAN, tiny_imagenet_80") and line.endswith(" 20+10 1")]
    assert f" {zoo_s[0]['accuracy']:.2f} " in told[0]


def test_transfers_of_the_zoo(tmp_path):
    """The tables of the metrics that train classifiers, laid out from the published reports."""
    for table, metric, layer in (
        ("imagenet_frozen", "frozen_prefix", "conv2"),
        ("imagenet_finetuning", "fine_tuning", "conv5"),
    ):
        lines = lines_of(tmp_path, f"--table={table}")
        for name, method in (("bigan_imagenet", "BiGAN"), ("gan_imagenet", "D")):
            report = read_report(zoo.zoo_path() / name / zoo.REPORT)
            for encoder, head in (("trained", "tiny_imagenet_80"), ("untrained", "untrained")):
                (row,) = rows(report, metric, encoder, layer)
                (line,) = [line for line in lines if line.startswith(f"{method}, {head} ")]
                assert f" {row['accuracy_10_crop']:.2f}" in line
            (made,) = [line for line in lines if line.startswith(f"classifiers of {method}: ")]
            assert made.endswith(": 64 px, 5 epochs, rate 0.01, units 1024, seed 0, mixed_bfloat16")
        assert "BiGAN, 112 px E not run" in lines


def test_transfers_of_other_settings_are_lines_of_their_own(tmp_path):
    for seed, epochs in ((142, 5), (143, 10)):
        run = finished_run(tmp_path / f"bigan_imagenet-seed{seed}", seed)
        made = {"edge": 64, "settings": {"epochs": epochs}, "accuracy": 1.0}
        found = [
            {"encoder": encoder, "seed": seed, "layer": layer, "accuracy_10_crop": 2.0 * epochs, **made}
            for encoder in ("trained", "untrained")
            for layer in LAYERS
        ]
        report = linear_report(run, seed, 0.0)
        write_report(run.path / zoo.REPORT, report | {"results": {"frozen_prefix": found}})
    lines = lines_of(tmp_path, "--table=imagenet_frozen", "--seeds=142,143")
    for epochs in (5, 10):
        at = lines.index(f"BiGAN, photos {f'{2.0 * epochs:.2f} ' * 5}2 1")
        assert lines[at + 3] == f"classifiers of BiGAN: 64 px, {epochs} epochs"


def test_notrain_evaluates_nothing():
    status, _, stderr = run_tool("reproduce.py", "--notrain", "--evaluate=--transfer_epochs=5")
    assert status == 2 and "--evaluate asks for an evaluation, which --notrain forbids" in stderr


def test_only_reports_of_the_weights_that_are_there_count(runs):
    path = runs / "bigan_imagenet-seed142" / zoo.REPORT
    report = read_report(path)
    path.write_text(json.dumps(report | {"weights": "of others"}))
    lines = lines_of(runs, "--table=imagenet_linear", "--seeds=142,143")
    assert f"BiGAN, photos {'24.00 ' * 5}2 1" in lines
    for missing in (2, 7, 12):  # conv3 of the trained encoder, of the untrained ones
        changed = json.loads(json.dumps(report))
        changed["results"]["linear"][missing]["layer"] = "other"
        if missing > 2:  # both, or there is still one
            changed["results"]["linear"][7]["layer"] = changed["results"]["linear"][12]["layer"] = "other"
        path.write_text(json.dumps(changed))
        assert f"BiGAN, photos {'24.00 ' * 5}2 1" in lines_of(runs, "--table=imagenet_linear", "--seeds=142,143")
    for row in report["results"]["knn"]:
        row["pool"] = 2
    path.write_text(json.dumps(report))
    assert f"BiGAN, photos {'24.00 ' * 5}2 1" in lines_of(runs, "--table=imagenet_linear", "--seeds=142,143")


def test_a_report_counts_without_the_weights_but_not_with_interim_ones(runs):
    path = runs / "bigan_imagenet-seed142"
    for file in [*path.glob("*.weights.h5"), path / "SHA256SUMS"]:
        file.unlink()
    arguments = "--table=imagenet_linear", "--seeds=142,143"
    assert f"BiGAN, photos {'22.00 ± 2.83 ' * 5}2 2" in lines_of(runs, *arguments)
    (path / "checkpoints" / "step-000000002").mkdir(parents=True)
    (path / "checkpoints" / "step-000000002" / "state.json").write_text("{}")
    assert RunDirectory(path).has_checkpoints()
    assert f"BiGAN, photos {'24.00 ' * 5}2 1" in lines_of(runs, *arguments)


@pytest.mark.parametrize("table, paper", [("imagenet_frozen", "BiGAN, paper 56.20 54.40"), ("voc2007", "paper 52.50")])
def test_the_paper_s_numbers_are_there_without_runs(tmp_path, table, paper):
    lines = lines_of(tmp_path, f"--table={table}", "--seeds=7")
    assert any(paper in line for line in lines) and "D not run" in lines
    assert list(tmp_path.iterdir()) == []


def commands_of(runs, *arguments):
    """The first command that reproduce would run, and the rest of its output."""
    code = (
        "import sys; sys.path.insert(0, 'tools'); import common, reproduce\n"
        "def told(*words): sys.exit(' '.join(words))\n"
        "reproduce._run_tool = told\n"
        "common.run(reproduce.main, '')"
    )
    command = [sys.executable, "-c", code, f"--runs={runs}", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return result.stderr.strip().splitlines()[-1] if result.returncode else ""


def test_what_is_there_is_not_made_again_unless_flags_change_it(runs):
    flagfile = f"--flagfile={zoo.zoo_path()}/{{}}/train.flags --seed={{}}"
    arguments = ["--table=imagenet_linear", "--seeds=142"]
    # A run of bigan_imagenet with these flags exists, so the next row is the one that is missing.
    missing = f"train {flagfile.format('bigan_imagenet_112', 142)} {{}}--workdir={runs}/bigan_imagenet_112-seed142"
    assert commands_of(runs, *arguments) == missing.format("")
    assert commands_of(runs, *arguments, "--flags=--width=4") == missing.format("--width=4 ")
    anew = f"train {flagfile.format('bigan_imagenet', 142)} --width=8 --workdir={runs}/bigan_imagenet-seed142"
    assert commands_of(runs, *arguments, "--flags=--width=8") == anew
    assert commands_of(runs, "--table=mnist_1nn") == ""
    longer = "--flags=--constant_epochs=200 --decay_epochs=200"
    anew = f"train {flagfile.format('bigan_mnist', 42)} --constant_epochs=200 --decay_epochs=200 --workdir="
    assert commands_of(runs, "--table=mnist_1nn", longer).startswith(anew)


def test_runs_from_the_weights_asked_for(runs):
    arguments = ["--table=imagenet_linear", "--seeds=142", "--flags=--initial_weights=bigan_imagenet"]
    missing = commands_of(runs, *arguments)
    assert missing.startswith("train") and "bigan_imagenet/train.flags --seed=142 --initial_weights=bigan_im" in missing
    run = RunDirectory(runs / "bigan_imagenet-seed142")
    run.write_initial(RunDirectory(zoo.zoo_path() / "bigan_imagenet").lineage())
    there = commands_of(runs, *arguments)
    assert there.startswith("train") and "bigan_imagenet_112/train.flags" in there
    status, _, stderr = run_tool("reproduce.py", "--table=imagenet_linear", "--flags=--initial_weigths=bigan_imagenet")
    assert status == 2 and "unknown flag --initial_weigths" in stderr


def few_labels_run(folder, name, seed, labelled, error, **changes):
    """An evaluated run of `cifar10_few_labels`, with the error that its D has as a classifier."""
    run = finished_run(folder / f"{name}-seed{seed}-labelled{labelled}", seed, labelled=labelled, **changes)
    report = {"dataset": "photos", "training_seed": seed, "epochs": 2, "weights": run.weights_digest()}
    write_report(run.path / zoo.REPORT, {**report, "protocols": {}, "results": {"classification": {"error": error}}})


def test_runs_with_few_labels_stand_in_the_column_of_their_number(tmp_path):
    for seed, labelled, error in ((1, 1000, 30.0), (2, 1000, 34.0), (3, 1000, 32.0), (1, 4000, 25.0)):
        few_labels_run(tmp_path, "ali_cifar10_labels", seed, labelled, error)
    few_labels_run(tmp_path, "supervised_cifar10", 1, 2000, 45.0, batch_size=7)
    lines = lines_of(tmp_path, "--table=cifar10_few_labels", "--seeds=1,2,3")
    head = "error of K + 1 classes, % labelled 1000 labelled 2000 labelled 4000 labelled 8000 epochs seeds"
    at = lines.index(head)
    assert lines[at + 1] == "ALI, paper 19.98 ± 0.89 19.09 ± 0.44 17.99 ± 1.62 17.05 ± 1.49"
    assert lines[at + 2] == "ALI, photos 32.00 ± 2.00 not run 25.00 not run 2 1-3"
    assert "--labelled" not in lines[at + 3] and "--seed" not in lines[at + 3]
    assert lines[at + 4] == "GAN, feature matching, paper 21.83 ± 2.01 19.61 ± 2.09 18.63 ± 2.32 17.72 ± 1.82"
    assert lines[at + 5] == "labels alone, photos not run 45.00 not run not run 2 1"
    assert "--batch_size=7" in lines[at + 6]
    assert lines.index("L2-SVM error, % 1000 labels epochs seeds") < at


def svm_report(run, seed):
    layer, settings = "conv4_norm+conv5_norm+conv6_norm+code", {"labels": 1000, "draws": 100, "seed": 0}
    spaces = [("trained", layer, 50.0), ("untrained", layer, 60.0), ("pixels", "pixels", 70.0)]
    more = {"deviation": 0.5, "settings": settings}
    found = [
        {"encoder": kind, "seed": seed, "layer": name, "dimensions": 8, "error": error, **more}
        for kind, name, error in spaces
    ]
    report = {"dataset": "photos", "training_seed": seed, "epochs": 2, "weights": run.weights_digest()}
    return {**report, "protocols": {}, "results": {"svm": found}}


@pytest.fixture
def unpublished(tmp_path, monkeypatch):
    """A zoo in which the entries of `cifar10_few_labels` have no weights."""
    for name in ("ali_cifar10", "ali_cifar10_labels", "supervised_cifar10"):
        entry = tmp_path / "zoo" / name
        entry.mkdir(parents=True)
        shutil.copyfile(zoo.zoo_path() / name / FLAGFILE, entry / FLAGFILE)
    monkeypatch.setattr(zoo, "zoo_path", lambda: tmp_path / "zoo")


def few_labels_lines(runs, seeds):
    return [" ".join(line.split()) for line in reproduce("cifar10_few_labels", seeds, runs).splitlines()]


@pytest.mark.usefixtures("unpublished")
def test_svms_of_one_seed_show_the_deviation_over_draws_and_of_several_that_over_seeds(tmp_path):
    run = finished_run(tmp_path / "ali_cifar10-seed142", 142)
    write_report(run.path / zoo.REPORT, svm_report(run, 142))
    lines = few_labels_lines(tmp_path, [142, 143])
    assert "ALI, photos 50.00 ± 0.50 2 1" in lines and "ALI, untrained 60.00 ± 0.50" in lines
    assert "raw pixels 70.00 ± 0.50" in lines and "classifiers of ALI: 1000 labels, 100 draws" in lines
    other = finished_run(tmp_path / "ali_cifar10-seed143", 143)
    report = svm_report(other, 143)
    report["results"]["svm"][0]["error"] = 54.0
    write_report(other.path / zoo.REPORT, report)
    assert "ALI, photos 52.00 ± 2.83 2 2" in few_labels_lines(tmp_path, [142, 143])


@pytest.mark.usefixtures("unpublished")
def test_svms_on_other_numbers_of_labels_do_not_stand_under_1000(tmp_path):
    run = finished_run(tmp_path / "ali_cifar10-seed142", 142)
    report = svm_report(run, 142)
    few = [{**row, "error": 80.0, "settings": {**row["settings"], "labels": 20}} for row in report["results"]["svm"]]
    report["results"]["svm"] += few  # which were evaluated last
    write_report(run.path / zoo.REPORT, report)
    lines = few_labels_lines(tmp_path, [142])
    assert "ALI, photos 50.00 ± 0.50 2 1" in lines and "raw pixels 70.00 ± 0.50" in lines
    (run.path / zoo.REPORT).unlink()
    write_report(run.path / zoo.REPORT, {**report, "results": {"svm": few}})
    assert not covers(read_report(run.path / zoo.REPORT), TABLES["cifar10_few_labels"])
    assert "ALI not run" in few_labels_lines(tmp_path, [142]) and "80.00" not in str(lines)


@pytest.mark.usefixtures("unpublished")
def test_flags_of_svms_are_for_the_part_of_a_table_that_has_svms(tmp_path):
    told = []

    def tool(name, *arguments):
        told.append((name, *arguments))
        workdir = arguments[-1].removeprefix("--workdir=")
        if name == "train":
            finished_run(tmp_path / workdir, 142)
        elif "--metrics=svm" in arguments:
            run = RunDirectory(arguments[0].removeprefix("--model="))
            write_report(run.path / zoo.REPORT, svm_report(run, 142))
        else:
            raise KeyboardInterrupt

    flags = ["--svm_draws=3", "--seed=1"]
    with pytest.raises(KeyboardInterrupt):
        reproduce("cifar10_few_labels", [142], tmp_path, evaluate_flags=flags, run_tool=tool)
    evaluated = [arguments[2:] for name, *arguments in told if name == "evaluate"]
    assert evaluated == [["--svm_draws=3", "--seed=1"], ["--seed=1"]]
    with pytest.raises(InputError, match="^--svm_draws=3 is for tables with SVMs, and mnist_1nn has none$"):
        reproduce("mnist_1nn", [142], tmp_path, evaluate_flags=flags, run_tool=tool)


@pytest.mark.usefixtures("unpublished")
def test_missing_runs_with_few_labels_are_made_with_their_number(tmp_path):
    def tool(*command):
        told.append(command)
        raise KeyboardInterrupt

    told = []
    run = finished_run(tmp_path / "ali_cifar10-seed142", 142)
    write_report(run.path / zoo.REPORT, svm_report(run, 142))
    few_labels_run(tmp_path, "ali_cifar10_labels", 142, 1000, 30.0)
    with pytest.raises(KeyboardInterrupt):
        reproduce("cifar10_few_labels", [142], tmp_path, ["--batch_size=128"], run_tool=tool)
    flagfile = f"--flagfile={zoo.zoo_path()}/ali_cifar10_labels/train.flags"
    folder = tmp_path / "ali_cifar10_labels-seed142-labelled2000"
    changes = "--seed=142", "--batch_size=128", "--labelled=2000", f"--workdir={folder}"
    assert told == [("train", flagfile, *changes)]


def test_the_svms_of_a_published_run_are_shown_whatever_the_seeds(tmp_path):
    report = read_report(zoo.zoo_path() / "ali_cifar10" / zoo.REPORT)
    (row,) = rows(report, "svm", "trained", FAMILIES["ali_cifar10"].probed)
    told = f"{row['error']:.2f} ± {row['deviation']:.2f}"
    (line,) = [line for line in few_labels_lines(tmp_path, [142]) if line.startswith("ALI, cifar10 ")]
    assert line.startswith(f"ALI, cifar10 {told} ")


def test_a_tool_that_fails_ends_it(tmp_path):
    nowhere = "--flags=--dataset=./nowhere"
    status, stdout, stderr = run_tool("reproduce.py", "--table=mnist_1nn", "--seeds=142", nowhere, f"--runs={tmp_path}")
    assert status == 2
    assert "there is no folder nowhere" in stderr and "Traceback" not in stderr
    assert stderr.endswith("error: tools/train.py ended with status 2\n")


def test_the_training_seeds_of_the_repository():
    lines = lines_of(ROOT / "benchmarks" / "training_seeds", "--table=imagenet_linear", "--seeds=42,43,44")
    heads = {(words[0], *words[-2:]) for line in lines if len(words := line.split()) > 6 and "tiny_imagenet_80" in line}
    assert {("BiGAN,", "6+3", "3"), ("D,", "20", "3")} <= heads


@pytest.fixture
def samples_measured(tmp_path, monkeypatch):
    """Two runs of a GAN with samples measured in classifier_cifar10, and a zoo without weights; the runs' reports."""
    for name in TABLES["dfm"].runs:
        (tmp_path / "zoo" / name).mkdir(parents=True)
        shutil.copyfile(zoo.zoo_path() / name / FLAGFILE, tmp_path / "zoo" / name / FLAGFILE)
    monkeypatch.setattr(zoo, "zoo_path", lambda: tmp_path / "zoo")
    values = {"fid": {"fid": 20.0}, "kid": {"kid": 0.01}, "class_score": {"score": 5.0}}
    values["precision_recall"] = {"precision": 0.5, "recall": 0.25, "density": 0.75, "coverage": 0.125}
    prepared = {"preparation": "as stored"}
    told = {"settings": {"feature_network": "classifier_cifar10", "weights": "ab" * 32, "samples": 50000, **prepared}}
    more_of_rows = {"images": 50000, "deviation": 0.5}
    reports = {}
    for seed, more in ((142, 0.0), (143, 2.0)):
        run = finished_run(tmp_path / f"gan_cifar10-seed{seed}", seed, constant_epochs=15)
        report = linear_report(run, seed, 30.0)
        for name in ("linear", "knn"):
            kept = [row for row in report["results"][name] if row["layer"] == "conv5"]
            report["results"][name] = [row | {"layer": "penultimate"} for row in kept]
        for metric, numbers in values.items():
            samples = {name: value + (more if metric == "fid" else 0) for name, value in numbers.items()}
            real = {name: value / 2 for name, value in numbers.items()}
            rows_ = {"trained": samples, "queries": real, "gallery": {n: 2 * v for n, v in numbers.items()}}
            report["results"][metric] = [
                {"encoder": encoder, **row, **told, **more_of_rows} for encoder, row in rows_.items()
            ]
        write_report(run.path / zoo.REPORT, report)
        reports[run.path / zoo.REPORT] = report
    return reports


def dfm_lines(runs):
    return [" ".join(line.split()) for line in reproduce("dfm", [142, 143], runs).splitlines()]


def test_the_table_of_denoising_feature_matching_has_the_numbers_of_samples(samples_measured, tmp_path):
    lines = dfm_lines(tmp_path)
    heads = "Fréchet kernel x 1000 precision, % recall, % density coverage, % score epochs seeds"
    assert lines[0] == f"samples {heads}"
    same = " ".join(f"{value} ± 0.00" for value in ("10.00", "50.00", "25.00", "0.75", "12.50", "5.00"))
    assert lines[1] == f"GAN, photos 21.00 ± 1.41 {same} 2 2"
    assert lines[2].startswith("GAN with --") and "GAN + DFM not run" in lines and "ALI not run" in lines
    # The score of the real images is that of the gallery, which has as many images in a group as the samples.
    assert "real images, photos 10.00 5.00 25.00 12.50 0.38 6.25 10.00" in lines
    assert "in classifier_cifar10 (abababababababab), of 50,000 samples" in lines
    assert "GAN, photos 30.00 ± 0.00 2 2" in lines


def test_numbers_in_several_feature_networks_are_not_mixed(samples_measured, tmp_path):
    for path, report in samples_measured.items():
        assert covers(report, TABLES["dfm"])
        for metric, found in report["results"].items():
            if metric not in ("linear", "knn"):
                told = {"feature_network": "inception", "weights": "cd" * 32, "samples": 50000, "preparation": "-"}
                found += [{**row, "settings": told, metric: 100.0} for row in list(found)]
        write_report(path, report)
        # Those of inception are the newest, so the table's own network must be evaluated.
        assert not covers(report, TABLES["dfm"])
    assert "GAN not run" in dfm_lines(tmp_path)


def test_a_feature_network_that_does_not_exist_is_found_before_runs_are_trained(
    samples_measured, tmp_path, monkeypatch
):
    made = []
    named = ["--feature_network=no_such_network"]
    with pytest.raises(InputError, match="^there is no feature network 'no_such_network'. tools/train_classifier"):
        reproduce("dfm", [142], tmp_path, evaluate_flags=named, run_tool=lambda *call: made.append(call))
    monkeypatch.setattr(feature_networks, "list_classifiers", lambda: [])  # a zoo without the table's own network
    with pytest.raises(InputError, match="^there is no feature network 'classifier_cifar10'. tools/train_classifier"):
        reproduce("dfm", [142], tmp_path, run_tool=lambda *call: made.append(call))
    assert not made
