"""The tools that measure and draw, on runs of systems that lack a network or take attributes."""

import dataclasses

import pytest
from helpers import ROOT, run_tool, tiny
from PIL import Image

from tf_bigan.evaluation.report_files import read_report
from tf_bigan.experiment import Experiment
from tf_bigan.training.run_directory import RunDirectory
from tf_bigan.training.train import train


@pytest.fixture(scope="module")
def runs(digits_dir, tmp_path_factory):
    """A folder with a classifier, "supervised", and "conditional", both trained for a step on digits of 32x32."""
    folder = tmp_path_factory.mktemp("runs")
    flags = Experiment.from_flagfile(ROOT / "zoo" / "ali_cifar10_conditional" / "train.flags")
    shape = {"dataset": "digits", "image_size": 32, "channels": 1, "split": "train[:16]", "batch_size": 16}
    short = {"constant_epochs": 1, "decay_epochs": 0, "images_every": 0, "precision": "float32", "xla": "off"}
    conditional = {"width": 2, "latent_dim": 2, "attributes": 0, "attributes_from": "label"}
    experiments = {
        "supervised": tiny(system="supervised", **shape, **short),
        "conditional": dataclasses.replace(flags, **conditional, **shape, **short),
    }
    for name, experiment in experiments.items():
        train(experiment, folder / name, str(digits_dir), say=lambda line: None)
    return folder


@pytest.fixture
def tool(runs, digits_dir):
    """Runs a tool on a run of `runs`: (exit status, stdout, stderr)."""

    def run(name, model, *arguments):
        return run_tool(name, f"--model={runs / model}", f"--data_dir={digits_dir}", *arguments)

    return run


def test_a_run_without_g_is_measured_and_drawn_by_default(tool, runs, tmp_path):
    status, _, stderr = tool("evaluate.py", "supervised", "--gallery_split=train[:100]", "--query_split=test[:20]")
    assert status == 0, stderr
    assert read_report(runs / "supervised" / "metrics.json")["results"].keys() == {"knn"}
    status, stdout, stderr = tool("visualize.py", "supervised", f"--output={tmp_path}", "--rows=2")
    assert status == 0, stderr
    drawn = {line.rpartition("/")[2] for line in stdout.split()}
    assert "neighbours.png" in drawn and not drawn & {"samples.png", "reconstructions.png", "attributes.png"}
    assert all(Image.open(tmp_path / name).size for name in drawn)


def test_a_figure_of_a_conditional_run_loads_the_networks_that_it_needs(tool, tmp_path):
    status, stdout, stderr = tool("visualize.py", "conditional", f"--output={tmp_path}", "--figures=attributes,samples")
    assert (status, stderr) == (0, "drawing samples (1 of 2)\ndrawing attributes (2 of 2)\n")
    assert stdout == f"{tmp_path}/samples.png\n{tmp_path}/attributes.png\n"


def test_svms_and_agreement_of_a_conditional_run(tool, runs):
    judge, few = f"--classifier={runs / 'supervised'}", ("--svm_labels=20", "--svm_draws=2")
    splits = "--gallery_split=train[:300]", "--query_split=test[:20]", "--untrained=0"
    status, stdout, stderr = tool("evaluate.py", "conditional", "--metrics=svm,agreement", judge, *few, *splits)
    assert status == 0, stderr
    assert "L2-SVM error, %, on 20 labels, 2 draws" in stdout and f"agreement of {runs / 'supervised'}" in stdout
    report = read_report(runs / "conditional" / "metrics.json")
    layers = {(row["encoder"], row["layer"]) for row in report["results"]["svm"]}
    norms = "conv4_norm+conv5_norm+conv6_norm"
    assert layers == {("trained", norms), ("pixels", "pixels")}
    (row,) = report["results"]["agreement"]
    assert len(row["of_class"]) == 10 and 0 <= row["agreement"] <= 100
    (command,) = report["commands"]["svm"]
    assert all(flag in command for flag in (judge, *few))


def test_sample_quality_of_a_conditional_run_in_the_features_of_a_classifier(tool, runs, tmp_path):
    flags = [f"--feature_network={runs / 'supervised'}:h1", f"--statistics={tmp_path}", "--samples=1000", "--seed=3"]
    splits = "--gallery_split=train[:1000]", "--query_split=test[:50]"
    metrics = "--metrics=fid,kid,precision_recall,class_score"
    status, stdout, stderr = tool("evaluate.py", "conditional", metrics, *flags, *splits, f"--json={tmp_path / 'r'}")
    assert status == 0, stderr
    digest = RunDirectory(runs / "supervised").weights_digest()
    network = f"{runs / 'supervised'}:h1 ({digest[:16]})"
    for line in (
        f"FID in {network}",
        f"KID in {network} ± deviation over subsets",
        f"classifier score of {network} ± deviation over groups",
    ):
        assert f"\n{line}\n" in f"\n{stdout}"
    assert "kid: 50 queries are left out, as it wants at least 1,000" in stderr
    report = read_report(tmp_path / "r")
    assert {name: len(rows) for name, rows in report["results"].items()} == {
        "fid": 2,
        "kid": 1,
        "precision_recall": 2,
        "class_score": 3,
    }
    (command,) = report["commands"]["fid"]
    assert flags[0] in command and "--samples=1000" in command and "--statistics" not in command
    assert len(list(tmp_path.glob("features-*.npz"))) == 2
    # Nothing is measured again, and no features are computed again.
    again = tool("evaluate.py", "conditional", metrics, *flags, *splits, f"--json={tmp_path / 'r'}")
    assert again[0] == 0 and again[1] == stdout and "features of" not in again[2]
    empty = ("--metrics=fid", f"--json={tmp_path / 'e'}", "--samples=100", "--statistics=", flags[0], *splits)
    status, _, stderr = tool("evaluate.py", "conditional", *empty)
    assert status == 0 and "features of 1,000 images of the gallery" in stderr


def test_what_the_tools_refuse(tool, runs, tmp_path):
    output = f"--output={tmp_path / 'p'}"
    for name, model, arguments, message in (
        ("visualize.py", "supervised", [output, "--figures=samples"], "has no generator, so it has no samples"),
        (
            "visualize.py",
            "conditional",
            [output, "--layer=code"],
            f"layer 'code' of {runs / 'conditional'} depends on attributes, and neighbours are of images alone; give "
            "another --layer",
        ),
        (
            "evaluate.py",
            "conditional",
            [f"--classifier={runs / 'supervised'}"],
            "--classifier is for --metrics=agreement; other metrics do not use it",
        ),
        (
            "evaluate.py",
            "conditional",
            ["--metrics=knn", "--svm_draws=2"],
            "--svm_draws is for --metrics=svm; other metrics do not use it",
        ),
        (
            "evaluate.py",
            "conditional",
            ["--metrics=knn", "--samples=10"],
            "--samples is for --metrics=fid,kid,precision_recall,class_score; other metrics do not use it",
        ),
        (
            "evaluate.py",
            "conditional",
            ["--metrics=fid", f"--feature_network={runs / 'conditional'}:code"],
            f"layer 'code' of {runs / 'conditional'} depends on attributes, and features are of images alone",
        ),
        (
            "evaluate.py",
            "conditional",
            ["--metrics=fid", f"--json={tmp_path / 'fid.json'}"],
            "fid needs a feature network; give --feature_network",
        ),
    ):
        status, _, stderr = tool(name, model, *arguments)
        assert status == 2 and stderr.strip().endswith(message) and len(stderr.splitlines()) == 1, stderr
    assert not (tmp_path / "p").exists()
