import json
import math

import pytest

from tf_bigan.errors import InputError
from tf_bigan.studies.mixture_plan import ENTRANTS, plan, settings
from tf_bigan.studies.mixture_results import Results

FLAGS = ["--constant_epochs=1", "--width=8"]


def test_the_ranges_of_the_search_by_hand():
    drawn = settings()
    assert len(drawn) == 10 and len({tuple(each.values()) for each in drawn}) == 10
    assert all(each.keys() == {"learning_rate", "beta_1", "init_stddev", "seed"} for each in drawn)
    assert all(1e-5 <= each["learning_rate"] <= 1e-2 for each in drawn)
    assert all(0.1 <= each["beta_1"] <= 0.9 for each in drawn)
    assert all(0.005 <= each["init_stddev"] <= 0.1 for each in drawn)
    # Ten draws that are uniform in the logarithm fall on both sides of its middle, 10^-3.5; uniform draws would not.
    assert 2 <= sum(each["learning_rate"] < 10**-3.5 for each in drawn) <= 8
    assert 2 <= sum(each["init_stddev"] < math.sqrt(0.005 * 0.1) for each in drawn) <= 8


def test_the_published_search_is_repeated():
    assert settings() == settings()
    assert settings()[0] == {"learning_rate": 0.0001783, "beta_1": 0.6763, "init_stddev": 0.005002, "seed": 1}


def test_every_system_has_the_same_ten_settings():
    runs = plan()
    assert len({run.name for run in runs}) == len(runs) == 50
    for system in ENTRANTS:
        own = [run for run in runs if run.system == system]
        assert [run.number for run in own] == [*range(1, 11)]
        found = [{name: getattr(run.experiment, name) for name in settings()[0]} for run in own]
        assert found == settings()
        assert {run.experiment.system for run in own} == {system}


def test_the_runs_are_the_paper_s_length_with_a_constant_step_size():
    for run in plan():
        experiment = run.experiment
        assert (experiment.epochs, experiment.decay_epochs, experiment.batch_size, experiment.l2) == (20, 0, 100, 0.0)
        assert (experiment.inter_op_threads, experiment.intra_op_threads) == (1, 1)


def test_those_that_inherit_a_decoder_come_last():
    inherits = [ENTRANTS[run.system].inherits for run in plan()]
    assert inherits == [False] * 30 + [True] * 20


@pytest.mark.parametrize("name", ["learning_rate", "seed", "system", "initial_weights", "workdir"])
def test_flags_that_the_study_sets_are_refused(name):
    with pytest.raises(InputError, match=f"--flags cannot have --{name}, which the study sets for each run"):
        plan([f"--{name}=1"])


def test_results_are_read_back(tmp_path):
    results = Results(tmp_path / "study.json", plan(FLAGS))
    row = {"modes": 3, "modes_near": 2, "modes_covered": 1, "high_quality": 0.5, "kl": 1.0}
    results.add("ali-10", row)
    results.add("ali-02", {"diverged": "why"})
    for again in (Results(tmp_path / "study.json", plan(FLAGS)), Results(tmp_path / "study.json")):
        assert again.of("ali") == {2: {"diverged": "why"}, 10: row} and again.of("gan") == {}
        assert again.flags["ali"]["width"] == 8
    assert json.loads((tmp_path / "study.json").read_text())["ranges"]["learning_rate"] == [1e-5, 1e-2, True]


def test_results_of_other_flags_are_not_mixed(tmp_path):
    Results(tmp_path / "study.json", plan(FLAGS)).add("ali-01", {"diverged": "why"})
    with pytest.raises(
        InputError, match="holds runs of other settings: .* with --constant_epochs=1.\nGive the --flags"
    ):
        Results(tmp_path / "study.json", plan(["--width=8"]))


@pytest.mark.parametrize("content", ["{", "{}", '{"runs": {"ali-01": {}}, "flags": {}}', '{"runs": 3, "flags": {}}'])
def test_damaged_results_are_named(content, tmp_path):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(InputError, match="study.json is damaged: .*. Delete it to evaluate the runs again"):
        Results(tmp_path / "study.json")


def test_the_best_run_covers_most_and_then_most_evenly(tmp_path):
    results = Results(tmp_path / "study.json", plan(FLAGS))
    for number, (covered, kl) in enumerate([(24, 0.1), (25, 0.3), (25, 0.2), (20, 0.0)], 1):
        results.add(f"gan-{number:02d}", {"modes_covered": covered, "kl": kl})
    results.add("gan-05", {"diverged": "why"})
    for number, error in enumerate((0.3, 0.1, 0.2), 1):
        results.add(f"post_hoc-{number:02d}", {"modes_covered": number, "kl": 0.0, "reconstruction": error})
    results.add("vae-01", {"diverged": "why"})
    assert results.best("gan") == "gan-03"
    assert results.best("post_hoc") == "post_hoc-02"
    assert results.best("vae") is None and results.best("ali") is None
