import pytest

from tf_bigan.studies.intervals import Interval
from tf_bigan.studies.mixture_plan import plan
from tf_bigan.studies.mixture_results import Results
from tf_bigan.studies.mixture_table import claims, differences, study_table


def mean(value, half=1.0):
    return Interval(value, 1.0, value - half, value + half, 10)


def made(tmp_path, ali, gan):
    """Results with the given (modes, modes_near, modes_covered) of each setting; None = diverged."""
    results = Results(tmp_path / "study.json", plan())
    for system, rows in (("ali", ali), ("gan", gan)):
        for number, row in enumerate(rows, 1):
            found = {"diverged": "the loss of the generator is not finite at step 7"}
            if row is not None:
                found = dict(zip(("modes", "modes_near", "modes_covered"), row, strict=True))
                found |= {"high_quality": 0.5, "kl": 0.25}
            results.add(f"{system}-{number:02d}", found)
    return results


def lines_of(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_each_rule_is_said_to_bear_out_what_its_interval_does():
    found = {"modes": mean(0.0), "modes_near": mean(3.0), "modes_covered": mean(-3.0)}
    # ALI's mean agrees with the first paper under the first rule only, and with the second paper under the second.
    means = {
        "ali": {"modes": mean(13.0), "modes_near": mean(24.0), "modes_covered": mean(9.0)},
        "gan": {"modes": mean(10.0), "modes_near": mean(17.0), "modes_covered": mean(12.0)},
    }
    lines = lines_of("\n".join(claims(found, means)))
    assert lines[:4] == [
        "Does joint inference cover more modes than a GAN?",
        "yes, if a mode counts with one within 3 sigma",
        "no, the GAN covers more, if a mode counts with 20 within 3 sigma",
        "not decided, if a mode counts with any sample",
    ]
    assert lines[4:] == [
        "ALI 13.4 and GAN 10.4 (Dumoulin et al. 2017) are in the intervals here with any sample",
        "where they lie: any sample: in, in; one within 3 sigma: below, below; 20 within 3 sigma: above, below",
        "ALI 24.1 and GAN 17.3 (Lin et al. 2018 (PacGAN)) are in the intervals here with one within 3 sigma",
        "where they lie: any sample: above, above; one within 3 sigma: in, in; 20 within 3 sigma: above, above",
    ]


def test_without_runs_to_compare_nothing_is_claimed():
    assert list(claims({}, {})) == []


def test_differences_are_of_pairs_by_hand(tmp_path):
    """ALI less GAN: 1, 2, 3 and, with a GAN that diverged, 4; ALI's fifth run has no pair."""
    results = made(tmp_path, [(11, 0, 0), (12, 0, 0), (13, 0, 0), (4, 0, 0), (25, 0, 0)], [(10, 0, 0)] * 3 + [None])
    found = differences(results)["modes"]
    assert (found.mean, found.count) == (2.5, 4) and found.low == pytest.approx(0.445739, abs=1e-5)


def test_the_table_by_hand(tmp_path):
    lines = lines_of(study_table(made(tmp_path, [(20, 10, 5), (24, 14, 9)], [(12, 3, 1), None])))
    # t(0.975, 1) = 12.7062, so the interval of 20 and 24 is 22 ± 12.7062 * 2.82843 / sqrt(2).
    assert "ALI 22.0 ± 2.8 [-3.4, 47.4] 20-24 12.0 ± 2.8 [-13.4, 37.4] 10-14 7.0 ± 2.8 [-18.4, 32.4] 5-9 2" in lines
    (gan,) = [line for line in lines if line.startswith("GAN 6.0 ± 8.5 ")]
    assert gan.endswith(" 0-1 2")
    assert "GAN-02" not in lines and any(
        line.startswith("gan-02 diverged, which counts as 0 modes: ") for line in lines
    )
    assert "VAE - - - 0" in lines
    assert "46 of 50 runs are missing." in lines
    assert "Dumoulin et al. 2017, any sample of 10,000: ALI 13.4 ± 5.8, GAN 10.4 ± 9.2" in lines
    assert any(line.startswith("1: --learning_rate=0.0001783 --beta_1=0.6763 ") for line in lines)


def test_samples_of_one_decoder_are_those_of_the_run_that_gave_it(tmp_path):
    results = made(tmp_path, [], [(20, 10, 5), (19, 9, 4)])
    for number, modes in ((1, 21), (2, 18)):  # its samples with other seeds of z
        found = {"modes": modes, "modes_near": modes, "modes_covered": modes, "high_quality": modes / 25, "kl": 1.0}
        results.add(f"post_hoc-{number:02d}", {**found, "reconstruction": 0.5 * number, "decoder": "gan-01"})
    lines = lines_of(study_table(results))
    assert "GAN + post-hoc inference 20.0, of its decoder 10.0, of its decoder 5.0, of its decoder 2" in lines
    (quality,) = [line for line in lines if line.startswith("GAN + post-hoc inference 50.0, of its decoder 0.25, of")]
    assert " 0.75 ± 0.35 [" in quality and quality.endswith("] 0.50-1.00")
    assert "Encoders that are learned afterwards are for the decoder of gan-01, the best-covering GAN." in lines


def test_claims_follow_from_the_runs(tmp_path):
    """The same data under the three rules: ALI is ahead in each pair, behind in each, and ahead in one of two."""
    ali = [(20, 5, 9), (21, 6, 8), (22, 5, 9)]
    gan = [(10, 15, 8), (11, 16, 9), (12, 15, 8)]
    lines = lines_of(study_table(made(tmp_path, ali, gan)))
    assert "yes, if a mode counts with any sample" in lines
    assert "no, the GAN covers more, if a mode counts with one within 3 sigma" in lines
    assert "not decided, if a mode counts with 20 within 3 sigma" in lines
