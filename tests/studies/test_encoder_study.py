"""The study of encoder recipes: which runs it has, how long they are, how it is made and what it prints."""

import sys

import pytest
from helpers import ROOT, run_tool

from tf_bigan.errors import InputError
from tf_bigan.registry import find
from tf_bigan.studies import encoder_plan, encoder_recipes, encoder_results, encoder_table
from tf_bigan.studies.encoder_plan import PARTS, Change, Part, plan
from tf_bigan.studies.encoder_results import Results

DIGITS = Part(
    "digits, a small MLP",
    0.02,
    ("--dataset=digits", "--split=train[:1200]", "--networks=mlp", "--width=16", "--image_size=8", "--channels=1"),
    1200 // 128,
    ("train[:600]", "train[1200:]"),
    ("h1", "h2"),
    {"base": Change("as the paper"), "decay": Change("decays", ("--reconstruction_x=0.1",), decayed=0.5, times=2)},
)


@pytest.fixture
def digits(monkeypatch):
    """The study of a single part, which takes seconds."""
    for module in (encoder_plan, encoder_recipes, encoder_results, encoder_table):
        monkeypatch.setattr(module, "PARTS", {"digits": DIGITS})


def results_of(tmp_path, part="cifar10", **runs):
    """Results with {change: [linear probe of conv2 and conv3, for each seed from 42 on]}."""
    results = Results(tmp_path / "study.json", [])
    for change, values in runs.items():
        for seed, probes in enumerate(values, 42):
            layers = {f"conv{n}": {"linear": value, "knn": value / 2} for n, value in enumerate(probes, 2)}
            found = {"epochs": 4, "trained": layers, "weights": "0" * 64}
            results.minutes[f"{part}-{change}-seed{seed}"] = 10.5
            if change == "base":
                found |= {"untrained": layers, "pixels": {"pixels": {"linear": 38.0, "knn": 33.0}}}
            results.add(f"{part}-{change}-seed{seed}", found)
    return results


# -- the plan


def test_every_run_can_be_made():
    for run in plan([42]):
        experiment = run.experiment(0.5)
        assert experiment.seed == 42 and "test" not in experiment.split
        for place, _ in experiment.terms():
            assert find(place)


def test_a_run_is_as_long_as_its_budget():
    """Ten minutes of steps of half a second, 351 of them an epoch, are 3.4 epochs."""
    of = {run.change: run for run in plan([42], parts=("cifar10",))}
    assert PARTS["cifar10"].minutes == 10.0 and PARTS["cifar10"].steps == 351
    lengths = {change: (e.constant_epochs, e.decay_epochs) for change in of for e in [of[change].experiment(0.5)]}
    assert lengths["base"] == (3, 0) and lengths["decay"] == (1, 2) and lengths["longer"] == (5, 5)
    assert of["base"].experiment(0.25).epochs == 7 and of["base"].experiment(100.0).epochs == 1


def test_queries_are_not_trained_on():
    for part in PARTS.values():
        trained = next(flag for flag in part.flags if flag.startswith("--split=")).partition("[:")[2].rstrip("]")
        assert part.splits[1] == f"train[{trained}:]"
        assert part.steps == int(trained) // 128


def test_flags_that_the_study_sets_are_refused():
    with pytest.raises(InputError, match="--flags cannot have --seed, which the study sets for each run"):
        plan([42], ["--seed=3"])


# -- making it


def test_it_is_trained_and_evaluated_once(tmp_path, digits_dir, digits):
    tools = {
        tool: [sys.executable, str(ROOT / "tools" / f"{tool}.py"), f"--data_dir={digits_dir}"]
        for tool in ("train", "evaluate")
    }
    told = []
    results = encoder_recipes.make_study(tmp_path, [42], ["--statistics_steps=2"], tools, 2, told.append)
    assert set(results.runs) == {"digits-base-seed42", "digits-decay-seed42"}
    base = results.runs["digits-base-seed42"]
    assert set(base["trained"]) == set(base["untrained"]) == {"h1", "h2"} and set(base["pixels"]) == {"pixels"}
    assert "untrained" not in results.runs["digits-decay-seed42"]
    assert all(0 < each["linear"] <= 100 and 0 < each["knn"] <= 100 for each in base["trained"].values())
    assert set(results.minutes) == set(results.runs) and min(results.minutes.values()) > 0
    assert not (tmp_path / "encoder_recipes" / "digits-base-seed42" / "checkpoints").exists()
    again = encoder_recipes.make_study(tmp_path, [42], ["--statistics_steps=2"], {}, 2, told.append)
    assert again.runs == results.runs
    with pytest.raises(InputError, match="holds runs with --flags='--statistics_steps=2'"):
        encoder_recipes.make_study(tmp_path, [42], [], {}, 2)


def test_a_training_that_fails_is_named_and_one_that_diverges_is_recorded(tmp_path, digits):
    script = "import sys; print('error: the {} step 3'); sys.exit(2)"
    for why in ("disk is full at", "loss of the discriminator is not finite at"):
        tools = {"train": [sys.executable, "-c", script.format(why)]}
        if "disk" in why:
            with pytest.raises(InputError, match="ended with status 2: the disk is full at step 3\nAll that"):
                encoder_recipes.make_study(tmp_path, [42], [], tools, 1)
        else:
            results = encoder_recipes.make_study(tmp_path, [42], [], tools, 1)
            assert len(results.runs) == 2 and results.of("digits", "base") == {}
            assert "digits-base-seed42 diverged: the loss of the disc" in encoder_table.study_table(results)


# -- printing it


def test_differences_are_of_pairs_of_the_best_layers(tmp_path):
    """conv3 is the base's best layer and conv2 the change's: 52 - 50 and 54 - 50."""
    results = results_of(tmp_path, base=[(40.0, 50.0), (41.0, 50.0)], gaussian=[(52.0, 45.0), (54.0, 45.0)])
    lines = [" ".join(line.split()) for line in encoder_table.study_table(results).splitlines()]
    assert "as the paper 50.0 ± 0.0 conv3 25.0 ± 0.0 4 10.5" in lines
    assert "Gaussian encoder 53.0 ± 1.4 conv2 +3.0 [-9.7, +15.7] 26.5 ± 0.7 4 10.5" in lines
    assert "pixels 38.0 ± 0.0 33.0 ± 0.0" in lines
    assert "untrained encoder 50.0 ± 0.0 conv3 25.0 ± 0.0" in lines
    assert "Seeds 42, 43: 4 of 52 runs." in lines


def test_the_command_line(tmp_path):
    results_of(tmp_path / "encoder_recipes", base=[(40.0, 50.0)])
    status, out, _ = run_tool("reproduce.py", "--table=encoder_recipes", f"--runs={tmp_path}", "--notrain")
    assert status == 0 and "as the paper" in out and "50.0" in out
    command = ("--table=encoder_recipes", f"--runs={tmp_path}", "--notrain")
    status, _, error = run_tool("reproduce.py", *command, "--flags=--beta_1=0.9")
    assert status == 2 and "study.json holds runs with --flags=''.\nGive these, or another --runs" in error
    status, _, error = run_tool("reproduce.py", *command, "--seeds=4")
    assert status == 2 and "study.json has no run of the seeds 4" in error
    status, _, error = run_tool("reproduce.py", "--table=encoder_recipes", "--evaluate=--pool=2")
    assert status == 2 and "--evaluate has no effect on --table=encoder_recipes" in error


def test_results_of_given_seeds_are_read_and_the_file_keeps_all(tmp_path):
    results_of(tmp_path / "encoder_recipes", base=[(40.0, 50.0), (41.0, 51.0)])
    assert encoder_recipes.read_study(tmp_path, tmp_path / "none").of("cifar10", "base").keys() == {42, 43}
    assert encoder_recipes.read_study(tmp_path, tmp_path / "none", seeds=[43]).of("cifar10", "base").keys() == {43}
    assert len(Results(tmp_path / "encoder_recipes" / "study.json").runs) == 2


def test_a_damaged_file_of_results_is_named(tmp_path):
    text = '{"flags": [], "costs": {}, "minutes": {}, "runs": {"cifar10-base-seed%s": {"%s": "why"}}}'
    (tmp_path / "study.json").write_text(text % (42, "epochs"))
    with pytest.raises(InputError, match="Delete it to evaluate the runs again"):
        Results(tmp_path / "study.json")
    (tmp_path / "study.json").write_text(text % ("x", "diverged"))
    with pytest.raises(InputError, match="is damaged: it names a run 'cifar10-base-seedx'"):
        Results(tmp_path / "study.json")
