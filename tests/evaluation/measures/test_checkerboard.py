import numpy as np
import pytest
from helpers import tiny, tiny_game

from tf_bigan.errors import InputError
from tf_bigan.evaluation.context import Context
from tf_bigan.evaluation.data import open_evaluation_data
from tf_bigan.evaluation.evaluate import evaluate
from tf_bigan.evaluation.measures import checkerboard as module
from tf_bigan.evaluation.measures.checkerboard import Checkerboard, checkerboard, nyquist_energy
from tf_bigan.evaluation.settings import EvaluationSettings
from tf_bigan.evaluation.table import table
from tf_bigan.games import make_game

ROWS, COLUMNS = np.indices((8, 6))
PATTERNS = {"rows": ROWS, "columns": COLUMNS, "both": ROWS + COLUMNS}


def pattern(name, mean=0.5, amplitude=0.25):
    """[1, 8, 6, 1]: mean ± amplitude, alternating."""
    return (mean + amplitude * (-1.0) ** PATTERNS[name])[None, :, :, None]


@pytest.mark.parametrize("place, name", list(enumerate(PATTERNS)))
def test_stripes_and_checkerboards_have_their_squared_amplitude_in_one_place(place, name):
    expected = np.zeros(3)
    expected[place] = 0.25**2
    np.testing.assert_allclose(nyquist_energy(pattern(name)), expected, atol=1e-30)
    np.testing.assert_allclose(nyquist_energy(1 - pattern(name)), expected, atol=1e-30)  # of either sign


def test_other_images_have_no_energy():
    stripes = (ROWS // 2 % 2 * 1.0)[None, :, :, None]  # of two rows
    for image in (np.full((1, 8, 6, 1), 0.7), stripes):
        np.testing.assert_allclose(nyquist_energy(image), 0, atol=1e-30)


def test_energies_are_averaged_over_images_and_channels_and_not_over_signs():
    one = pattern("rows")
    images = np.concatenate([np.concatenate([one, 1 - one], axis=-1), np.zeros((1, 8, 6, 2))])
    np.testing.assert_allclose(nyquist_energy(images), [0.25**2 / 2, 0, 0], atol=1e-30)


def test_of_odd_sizes_the_last_row_and_column_are_left_out():
    odd = np.pad(pattern("both"), ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1)
    np.testing.assert_allclose(nyquist_energy(odd), [0, 0, 0.25**2], atol=1e-30)
    with pytest.raises(InputError, match="images of 1x6 pixels have no Nyquist frequency"):
        nyquist_energy(np.zeros((2, 1, 6, 3)))


class Sampler:
    """Generates `images` in turn, and notes the seeds."""

    def __init__(self, images):
        self.images, self.seeds, self.given = images, [], 0

    def reduced(self, images):
        return images

    def generate(self, count, seed):
        self.seeds.append(seed)
        self.given += count
        return self.images[self.given - count : self.given].astype(np.float32)


def real_images(count, rng):
    return 0.5 + 0.2 * rng.standard_normal((count, 8, 6, 1)).clip(-2, 2)


def test_samples_are_measured_against_all_real_images_and_their_halves_against_each_other(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    real = np.concatenate([pattern("rows", amplitude=a) for a in (0.1, 0.2, 0.1, 0.2, 0.1)])
    real += 0.1 * ((-1.0) ** COLUMNS + (-1.0) ** (ROWS + COLUMNS))[None, :, :, None]
    sampler = Sampler(np.concatenate([pattern("rows", amplitude=51 / 255, mean=102 / 255)] * 5))
    found = checkerboard(sampler, real, seed=3)
    assert sampler.seeds == [3, 5, 7] and sampler.given == 5
    # of real images: (3 x 0.01 + 2 x 0.04) / 5 in rows; of every second one 0.01, of the others 0.04
    assert found["samples/rows"] == pytest.approx(0.2**2 / 0.022)
    assert found["samples/columns"] == pytest.approx(0, abs=1e-9)
    assert [found[f"real/{name}"] for name in PATTERNS] == pytest.approx([0.25, 1, 1])


def test_a_checkerboard_on_real_images_stands_out_in_its_place_alone():
    rng = np.random.default_rng(0)
    real, same = real_images(400, rng), real_images(400, rng)
    clean = checkerboard(Sampler(same), real)
    marked = checkerboard(Sampler(same + 0.05 * (-1.0) ** (ROWS + COLUMNS)[None, :, :, None]), real)
    for name in PATTERNS:
        assert 0.7 < clean[f"samples/{name}"] < 1.4 and clean[f"real/{name}"] == marked[f"real/{name}"]
    assert marked["samples/both"] > 3 * clean["samples/both"]
    assert marked["samples/rows"] == pytest.approx(clean["samples/rows"], rel=0.01)


def test_what_has_no_measure_is_refused():
    with pytest.raises(InputError, match="real images have no energy at the Nyquist frequencies"):
        checkerboard(Sampler(pattern("both").repeat(2, axis=0)), np.full((2, 8, 6, 1), 0.5))
    settings = {"dataset": "mixture", "networks": "mixture", "prior": "normal", "width": 8, "dimensions": 2}
    points = tiny(image_size=0, channels=0, latent_dim=2, **settings)
    data = open_evaluation_data(points, query_split="test[:10]")
    context = Context(make_game(points), points, data, EvaluationSettings(untrained=0), print)
    with pytest.raises(InputError, match="checkerboard is of images, and these are points"):
        Checkerboard().check(context)


def test_samples_are_printed_beside_real_images(digits_dir):
    experiment = tiny()
    data = open_evaluation_data(experiment, data_dir=digits_dir)
    report = evaluate(
        tiny_game(), experiment, data, "checkerboard", EvaluationSettings(untrained=0), say=lambda line: None
    )
    found = report["results"]["checkerboard"]
    lines = table(report).splitlines()
    assert lines[0].split()[-3:] == ["rows", "columns", "both"] and "of real = 1" in lines[0]
    assert lines[1].split() == ["samples", *(f"{found[f'samples/{name}']:.2f}" for name in PATTERNS)]
    assert 0.5 < found["real/both"] < 2
