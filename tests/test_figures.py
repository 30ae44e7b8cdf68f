import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import images, tiny, tiny_game

from tf_bigan import figures
from tf_bigan.data import open_images
from tf_bigan.errors import InputError
from tf_bigan.evaluation.neighbours import nearest
from tf_bigan.games import make_game


def test_grid_places_each_image():
    cells = np.stack([np.full((48, 48, 1), value) for value in (0.0, 0.5, 1.0)]).astype(np.float32)
    sheet = figures.grid(cells, columns=2)
    assert sheet.shape == (98, 98, 1) and sheet.dtype == np.uint8
    assert (sheet[:48, :48] == 0).all() and (sheet[:48, 50:] == 128).all()
    assert (sheet[50:, :48] == 255).all()
    assert (sheet[48:50] == 255).all()  # the gap


def test_small_images_are_magnified():
    assert figures.grid(images(1), columns=1).shape == (48, 48, 1)  # six times


def test_empty_grid_is_refused():
    with pytest.raises(InputError, match="at least one image"):
        figures.grid(images(0), columns=1)


def test_png_round_trip(tmp_path):
    from PIL import Image

    for channels in (1, 3):
        sheet = figures.grid(images(4, shape=(8, 8, channels)), columns=2)
        figures.save_png(tmp_path / "a.png", sheet)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")).reshape(sheet.shape), sheet)


def test_interpolation_begins_and_ends_at_the_reconstructions(monkeypatch):
    game, first, second = tiny_game(), images(2, seed=1), images(2, seed=2)
    shown = {}
    monkeypatch.setattr(figures, "grid", lambda cells, columns: shown.update(cells=cells, columns=columns))
    figures.interpolations(game, first, second, steps=5)
    assert shown["columns"] == 7
    rows = shown["cells"].reshape(2, 7, 8, 8, 1)
    np.testing.assert_allclose(rows[:, 0], first)
    np.testing.assert_allclose(rows[:, 1], game.reconstruct(first), atol=1e-6)
    np.testing.assert_allclose(rows[:, 5], game.reconstruct(second), atol=1e-6)
    np.testing.assert_allclose(rows[:, 6], second)


def points_game():
    settings = {"dataset": "mixture", "networks": "mixture", "prior": "normal", "posterior": "implicit"}
    return make_game(tiny(system="ali", dimensions=2, image_size=0, channels=0, **{**settings, "latent_dim": 2}))


def test_interpolations_of_points_are_a_scatter_plot_of_all_rows(monkeypatch):
    game, points = points_game(), np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    shown = {}
    monkeypatch.setattr(figures, "scatter", lambda points: shown.update(points=points))
    figures.interpolations(game, points[:2], points[2:], steps=3)
    rows = shown["points"].reshape(2, 5, 2)
    np.testing.assert_array_equal(rows[:, 0], points[:2])
    np.testing.assert_allclose(rows[:, 1], game.reconstruct(points[:2], sample=True), atol=1e-6)
    np.testing.assert_allclose(rows[:, 3], game.reconstruct(points[2:], sample=True, seed=1), atol=1e-6)
    np.testing.assert_array_equal(rows[:, 4], points[2:])


@pytest.fixture(scope="module")
def ali():
    """ALI for CIFAR-10 with narrow layers, whose samples, reconstructions and sampled codes differ."""
    settings = {"networks": "ali_cifar10", "prior": "normal", "posterior": "gaussian", "latent_dim": 6, "width": 4}
    game = make_game(tiny(system="ali", image_size=32, channels=3, **settings))
    rng = np.random.default_rng(0)
    for network in (game.encoder, game.generator):
        for layer in network.layers:
            if hasattr(layer, "kernel"):  # signals of order 1 in all layers
                inputs = layer.kernel.shape[-1] if "deconv" in layer.name else np.prod(layer.kernel.shape[:-1])
                layer.kernel.assign(rng.normal(0.0, 1.0 / np.sqrt(inputs), layer.kernel.shape))
    return game


def shown_grid(monkeypatch, draw):
    """(the cells of the grid that `draw` makes, its columns)."""
    shown = {}
    monkeypatch.setattr(figures, "grid", lambda cells, columns: shown.update(cells=cells, columns=columns))
    draw()
    return shown["cells"], shown["columns"]


def test_reconstructions_of_a_stochastic_encoder_are_of_sampled_codes(monkeypatch, ali):
    x = images(20, shape=(32, 32, 3))
    cells, columns = shown_grid(monkeypatch, lambda: figures.reconstructions(ali, x, seed=3))
    assert columns == 20 and figures.pairs_per_row(ali) == 10  # ALI's: ten images a row, each beside its reconstruction
    np.testing.assert_array_equal(cells[::2], x)
    sampled = ali.generate(z=ali.encode(x, sample=True, seed=3))
    np.testing.assert_allclose(cells[1::2], sampled, atol=1e-5)
    assert np.abs(sampled - ali.reconstruct(x)).max() > 0.01  # the codes' means give others
    assert np.abs(cells[1::2] - shown_grid(monkeypatch, lambda: figures.reconstructions(ali, x))[0][1::2]).max() > 0.01


def test_reconstructions_of_a_deterministic_encoder_have_five_pairs_per_row(monkeypatch):
    game, x = tiny_game(), images(10)
    cells, columns = shown_grid(monkeypatch, lambda: figures.reconstructions(game, x))
    assert columns == 10
    np.testing.assert_allclose(cells[1::2], game.reconstruct(x), atol=1e-6)


def test_alis_interpolations_are_linear_between_sampled_codes(monkeypatch, ali):
    first, second = images(3, 1, (32, 32, 3)), images(3, 2, (32, 32, 3))
    cells, columns = shown_grid(monkeypatch, lambda: figures.interpolations(ali, first, second, seed=4))
    assert columns == 13  # x1, eleven decoded codes, x2
    rows = cells.reshape(3, 13, 32, 32, 3)
    np.testing.assert_array_equal(rows[:, 0], first)
    np.testing.assert_array_equal(rows[:, 12], second)
    ends = [ali.encode(x, sample=True, seed=seed) for x, seed in ((first, 4), (second, 5))]
    for n, alpha in enumerate(np.linspace(0.0, 1.0, 11)):
        codes = (1.0 - alpha) * ends[0] + alpha * ends[1]
        np.testing.assert_allclose(rows[:, 1 + n], ali.generate(z=codes), atol=1e-4)
    # Equal images at both ends have codes of their own.
    alike, _ = shown_grid(monkeypatch, lambda: figures.interpolations(ali, first, first))
    assert np.abs(alike[1] - alike[11]).max() > 0.01


def test_bigans_interpolations_have_nine_codes(monkeypatch):
    game = tiny_game()
    assert shown_grid(monkeypatch, lambda: figures.interpolations(game, images(2), images(2)))[1] == 11


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: figures.interpolations(tiny_game(), images(2), images(3)), "found 2 and 3$"),
        (lambda: figures.interpolations(tiny_game(), images(2), images(2), steps=1), "^steps must be at least 2"),
        (lambda: figures.interpolations(tiny_game(), images(2), images(2), seed="a"), "^seed must be a whole number"),
        (lambda: figures.interpolations(tiny_game(), images(2), "b.png"), "^images must be an array of numbers"),
        (
            lambda: figures.neighbours(points_game(), None, None),
            "^neighbours are drawn of images, and ali is of points$",
        ),
        (lambda: figures.filters(points_game().encoder), "^the encoder has no image_filters"),
        (lambda: figures.grid(np.zeros((3, 2)), 2), r"^a grid takes images of shape \[N, H, W, C\], got \[3, 2\]$"),
        (lambda: figures.scatter(images(3)), r"^a scatter plot takes points of shape \[N, d\], got \[3, 8, 8, 1\]$"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(draw, message):
    with pytest.raises(InputError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)


def test_neighbours_show_the_query_and_first_itself(monkeypatch, digits_dir):
    monkeypatch.setattr(figures, "_GALLERY_BATCH", 100)
    game, data = tiny_game(), open_images("digits", "test", data_dir=digits_dir)
    queries = data.arrays()[0][123:125]
    shown = {}
    monkeypatch.setattr(figures, "grid", lambda cells, columns: shown.update(cells=cells, columns=columns))
    figures.neighbours(game, queries, data, layer="h1", metric="cosine", count=2)
    rows = shown["cells"].reshape(2, 3, 8, 8, 1)
    np.testing.assert_array_equal(rows[:, 0], queries)
    np.testing.assert_array_equal(rows[:, 1], queries)
    features, wanted = (game.features(x, "h1") for x in (data.arrays()[0], queries))
    second = nearest(wanted, features, 2, "cosine")[0][:, 1]
    np.testing.assert_array_equal(rows[:, 2], data.arrays()[0][second])


def test_neighbours_of_a_folders_own_images_are_others(monkeypatch, digits_dir):
    game, data = tiny_game(), open_images("digits", "test", data_dir=digits_dir)
    own, everything = np.array([123, 7]), data.arrays()[0]
    shown = {}
    monkeypatch.setattr(figures, "grid", lambda cells, columns: shown.update(cells=cells, columns=columns))
    figures.neighbours(game, everything[own], data, layer="h1", metric="cosine", count=2, own=own)
    features = game.features(everything, "h1")
    expected = nearest(features[own], features, 3, "cosine")[0][:, 1:]
    np.testing.assert_array_equal(shown["cells"].reshape(2, 3, 8, 8, 1)[:, 1:], everything[expected])


@pytest.mark.parametrize("role", ["encoder", "generator", "discriminator"])
def test_filters_are_the_weights_next_to_the_images(role):
    network = getattr(tiny_game(), role)
    filters = network.image_filters()
    assert filters.shape == (16, 8, 8, 1)
    kernel = network.get_layer("outputs" if role == "generator" else "h1_linear").kernel.numpy()
    expected = kernel[3] if role == "generator" else kernel[:, 3]
    np.testing.assert_array_equal(filters[3].ravel(), expected)
    assert figures.filters(network, 16).shape[2] == 1


class Painted:
    """A generator of images whose pixels are the attributes that it was given, and which keeps its z."""

    name, generator = "painted", keras.Model(*2 * [[keras.Input((2,), name="z"), keras.Input((3,), name="attributes")]])

    def noise(self, count, seed, purpose):
        return tf.constant(np.random.default_rng(seed).normal(size=(count, 2)), tf.float32)

    def generate(self, z, seed, attributes):
        self.z, self.attributes = z, attributes
        return np.zeros((len(z), 8, 8, 1), np.float32)


def test_a_row_of_attributes_has_one_z_and_each_attribute_alone():
    model = Painted()
    sheet = figures.attributes(model, ["a", "b", "c"], rows=2, seed=1)
    np.testing.assert_array_equal(model.attributes, np.tile(np.eye(3), (2, 1)))
    z = np.array(model.noise(2, 1, "generation"))
    np.testing.assert_array_equal(model.z, z[[0, 0, 0, 1, 1, 1]])
    assert sheet.shape == (6 * (2 * 8 + 2), 6 * (3 * 8 + 2 * 2), 1)  # 2 rows and 3 columns, six times as large


def test_faces_have_the_papers_attributes():
    looks = ["Black_Hair", "Brown_Hair", "Blond_Hair", "Wavy_Hair", "Bangs", "Receding_Hairline", "Bald", "Smiling"]
    names = sorted(
        ["Attractive", "Male", "Young", *looks, "Mouth_Slightly_Open", "Eyeglasses", "Wearing_Hat", "Chubby"]
    )
    model = Painted()
    figures.attributes(model, names, rows=10)
    assert len(np.unique(model.z, axis=0)) == 1

    def shown(row, column):
        return {name for name, has in zip(names, model.attributes[12 * row + column], strict=True) if has}

    assert model.attributes.shape == (48, 15)
    assert [shown(row, 0) - {"Attractive"} for row in range(4)] == [{"Male", "Young"}, {"Male"}, {"Young"}, set()]
    assert shown(3, 7) == {"Attractive", "Blond_Hair", "Bald"}
    last = {"Black_Hair", "Smiling", "Mouth_Slightly_Open", "Eyeglasses", "Wearing_Hat"}
    assert shown(0, 11) == {"Attractive", "Male", "Young"} | last and shown(0, 10) == shown(0, 11) - {"Wearing_Hat"}


def test_a_model_without_attributes_has_no_figure_of_them():
    with pytest.raises(InputError, match="^the generator of bigan takes no attributes, so it has no figure of them$"):
        figures.attributes(tiny_game(), ["a"])
