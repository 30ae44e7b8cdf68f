"""The page of a run's curves, from records of its log."""

import numpy as np
import pytest

from tf_bigan.errors import InputError
from tf_bigan.panels import Figure, Plot
from tf_bigan.training import curves, watch
from tf_bigan.training.curves import page


def records(count=4, **entries):
    return [{"epoch": n + 1, "step": 12 * (n + 1), **entries} for n in range(count)]


@pytest.fixture
def panels(monkeypatch):
    """The titles of the panels that are drawn, with the curves of each: {title: [values of a curve]}."""
    drawn, made = {}, Plot.__init__

    def init(plot, figure, frame, x_ticks, y_ticks, title, x_label):
        made(plot, figure, frame, x_ticks, y_ticks, title, x_label)
        drawn[title] = []

    monkeypatch.setattr(Plot, "__init__", init)
    monkeypatch.setattr(Plot, "series", lambda plot, x, y, colour: drawn[plot.title].append(y))
    return drawn


def test_every_number_of_the_watch_has_a_panel():
    drawn = {name for panel in curves._WATCHED for name, _ in panel.entries}
    told = {line for line in watch.__doc__.splitlines() if line and line[0].islower() and "." not in line}
    assert drawn == {f"watch/{name}" for line in told for name in line.split(", ")} and len(drawn) == 16


def test_a_run_of_an_earlier_version_has_the_panels_of_its_losses_and_rates(panels):
    old = records(learning_rate=0.1, images_per_second=None, discriminator_loss=0.7, generator_loss=0.8)
    assert page(old, "bigan").dtype == np.uint8
    assert panels == {"Losses": [[0.7] * 4, [0.8] * 4], "Learning rate": [[0.1] * 4]}


def test_losses_of_other_sizes_have_panels_of_their_own(panels):
    page(records(discriminator_loss=0.7, denoiser_loss=300.0, encoder_loss=-0.5, r1_loss=0.0), "bigan")
    assert list(panels) == ["Losses", "Loss: denoiser", "Loss: r1"]
    assert panels["Losses"] == [[0.7] * 4, [-0.5] * 4]


def test_what_is_not_finite_or_missing_is_left_out(panels):
    found = records(discriminator_loss=0.7)
    found[1]["discriminator_loss"] = float("nan")
    found[2]["watch/effective_rank"], found[3]["watch/effective_rank"] = 5.0, None
    page(found, "bigan")
    np.testing.assert_array_equal(panels["Loss: discriminator"], [[0.7, np.nan, 0.7, 0.7]])
    np.testing.assert_array_equal(panels["Effective rank of the codes"], [[np.nan, np.nan, 5.0, np.nan]])


def test_warnings_are_below_the_panels():
    found = records(discriminator_loss=0.7)
    plain = page(found, "bigan")
    found[1]["watch/warnings"] = {"samples": "epoch 2: the samples collapse"}
    warned = page(found, "bigan")
    assert len(warned) > len(plain)
    below = warned[len(plain) :]
    assert (below[..., 0].astype(int) - below[..., 2] > 80).any()  # in red


def test_curves_of_one_epoch_and_of_constants_are_drawn():
    assert (page(records(1, discriminator_loss=0.0), "bigan") < 255).any()
    assert page(records(500, **{"discriminator_loss": 1e-30, "watch/near_duplicates": 1.0}), "bigan").ndim == 3


@pytest.mark.parametrize("found", [[], records(2), records(2, discriminator_loss=None)])
def test_a_log_without_numbers_is_refused(found):
    with pytest.raises(InputError, match="^there is nothing to draw yet"):
        page(found, "bigan")


@pytest.mark.parametrize(
    "low, high, most, wanted",
    [
        (0.0, 1.0, 5, (0.0, 0.5, 1.0)),
        (0.0, 30.0, 6, (0.0, 10.0, 20.0, 30.0)),
        (-0.3, 0.2, 6, (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2)),
        (0.6859, 0.7001, 5, (0.685, 0.69, 0.695, 0.7, 0.705)),
        (0.0, 0.0, 5, (0.0, 0.5, 1.0)),
        (0.0, 3e-7, 5, (0.0, 1e-7, 2e-7, 3e-7)),
    ],
)
def test_ticks_are_round_and_cover_the_values(low, high, most, wanted):
    assert curves._ticks(low, high, most) == pytest.approx(wanted)


def test_a_legend_that_does_not_fit_beside_the_title_is_within_the_plot(monkeypatch):
    inside = []
    monkeypatch.setattr(Plot, "legend", lambda plot, entries, top, width: inside.append(entries))
    plot = Plot(Figure(400, 200), (50, 50, 350, 150), (0, 1), (0, 1), "A title", "epoch")
    plot.legend_above([("a", (0, 0, 0)), ("b", (0, 0, 0))])
    assert not inside
    plot.legend_above([("a rather long name of a curve", (0, 0, 0)), ("and another one", (0, 0, 0))])
    assert len(inside) == 1
