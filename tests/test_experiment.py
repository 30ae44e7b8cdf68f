import dataclasses
import os
import re
import subprocess
import sys

import pytest
from absl import flags
from helpers import ROOT, tiny

from tf_bigan.errors import InputError
from tf_bigan.experiment import Experiment, define_flags, experiment_of, parse_flags
from tf_bigan.games import make_game
from tf_bigan.networks.ali_architectures import ARCHITECTURES
from tf_bigan.registry import FAMILIES

# Every field differs from its default, except `dimensions`, which images do not have. No single run uses all of them.
CHANGED = Experiment(
    system="joint_latent_regressor",
    dataset="./my photos",
    split="train[:50%]",
    max_labels=5,
    image_size=64,
    channels=3,
    attributes=7,
    attributes_from="label",
    train_embedding=False,
    embedding_stddev=1.5,
    bad_images="skip",
    max_pixels=1000,
    encoder_size=112,
    shorter_edge=128,
    crop="random",
    flip=True,
    networks="conv",
    width=17,
    latent_dim=3,
    prior="normal",
    posterior="gaussian",
    init_stddev=0.03,
    dropout=False,
    discriminator_norm=False,
    unary_scores=True,
    generator_skip=False,
    sync_batch_norm=True,
    latent_weight=0.5,
    likelihood_stddev=0.02,
    objective="relativistic",
    augmentation=0.5,
    rotation_encoder=0.25,
    rotation_discriminator=2.0,
    label_weight=0.5,
    labelled=20,
    classes=5,
    reconstruction_x=0.125,
    reconstruction_z=1e-3,
    reconstruction_error="l1",
    r1_penalty=10.0,
    r2_penalty=0.2,
    penalty_interval=16,
    denoising_feature_matching=0.03,
    denoiser_layers=2,
    denoiser_width=64,
    feature_matching=0.5,
    batch_size=64,
    constant_epochs=3,
    decay_epochs=0,
    learning_rate=1.0 / 3.0,
    final_learning_rate=1e-7,
    beta_1=0.25,
    beta_2=0.5,
    epsilon=1e-20,
    l2=0.0,
    average_decay=0.75,
    statistics_steps=7,
    seed=0,
    strategy="mirrored",
    precision="mixed_bfloat16",
    xla="off",
    deterministic=True,
    inter_op_threads=1,
    intra_op_threads=2,
    logical_cpus=2,
    checkpoint_every=5,
    keep_checkpoints=1,
    images_every=0,
    watch=False,
)
POINTS = Experiment(dataset="mixture", networks="mixture", dimensions=3)


def parsed(*arguments):
    values = flags.FlagValues()
    define_flags(values)
    parse_flags(values, ["train.py", *arguments])
    return experiment_of(values)


def test_defaults_are_the_papers_mnist_run():
    e = Experiment().sized()
    assert (e.system, e.dataset, e.prior, e.latent_dim, e.width) == ("bigan", "mnist", "uniform", 50, 1024)
    assert (e.batch_size, e.constant_epochs, e.decay_epochs, e.epochs) == (128, 200, 200, 400)
    assert (e.learning_rate, e.final_learning_rate, e.beta_1, e.beta_2, e.epsilon, e.l2) == (
        (2e-4, 0.01, 0.5, 0.999, 1e-8, 2.5e-5)
    )
    assert (e.statistics_steps, e.seed, e.latent_weight, e.generator_skip) == (1000, 42, 0.25, True)


def test_sizes_that_are_not_given_are_the_family_s_own():
    assert Experiment().difference(Experiment().sized()) == ["width", "latent_dim"]
    mixture = POINTS.sized()
    assert (mixture.width, mixture.latent_dim) == (400, 2)
    conv = Experiment(networks="conv", latent_dim=9).sized()
    assert (conv.width, conv.latent_dim) == (64, 9) and conv.sized() == conv
    game = make_game(Experiment(image_size=8, channels=1))
    assert (game.encoder.get_config()["width"], game.prior.latent_dim) == (1024, 50)


def test_every_field_is_explained():
    for field in dataclasses.fields(Experiment):
        assert field.metadata["text"], field.name


@pytest.mark.parametrize(
    "experiment", [Experiment(), CHANGED, POINTS, tiny()], ids=["defaults", "changed", "points", "tiny"]
)
def test_flagfile_round_trip(experiment, tmp_path):
    path = tmp_path / "train.flags"
    path.write_text(experiment.to_flagfile())
    assert Experiment.from_flagfile(path) == experiment
    assert Experiment.from_flagfile(str(path)).to_flagfile() == experiment.to_flagfile()


def test_changed_differs_from_the_defaults_in_every_field():
    """Otherwise the round trip above would not notice a lost field."""
    same = [f.name for f in dataclasses.fields(Experiment) if getattr(CHANGED, f.name) == f.default]
    assert same == ["dimensions"] and POINTS.dimensions != Experiment.default("dimensions")


def test_a_flagfile_names_every_field_and_a_field_left_out_keeps_its_default(tmp_path):
    assert [line[2:].split("=")[0] for line in CHANGED.to_flagfile().splitlines()] == [
        field.name for field in dataclasses.fields(Experiment)
    ]
    path = tmp_path / "some.flags"
    path.write_text("# a comment\n\n--width=32\n--nodeterministic\n--generator_skip=false\n")
    assert Experiment.from_flagfile(path) == Experiment(width=32, generator_skip=False)


def test_flags_after_a_flagfile_override_it(tmp_path):
    path = tmp_path / "some.flags"
    path.write_text("--width=32\n--latent_dim=7\n")
    assert parsed(f"--flagfile={path}", "--width=33") == Experiment(width=33, latent_dim=7)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"system": "bigann"}, "unknown system 'bigann'. Did you mean 'bigan'"),
        ({"prior": "gauss"}, "unknown prior 'gauss'.* Known: normal, uniform"),
        ({"strategy": "mirored"}, "Did you mean 'mirrored'"),
        ({"precision": "bfloat16"}, "Did you mean 'mixed_bfloat16'"),
        ({"channels": 2}, "channels must be one of 0, 1, 3, found 2"),
        ({"batch_size": 1}, "batch_size must be at least 2, found 1"),
        ({"batch_size": 2.5}, "batch_size must be int, found 2.5"),
        ({"batch_size": True}, "batch_size must be int, found True"),
        ({"deterministic": 1}, "deterministic must be bool, found 1"),
        ({"dataset": None}, "dataset must be str, found None"),
        ({"width": -1}, "width must be at least 0, found -1"),
        ({"latent_dim": -1}, "latent_dim must be at least 0, found -1"),
        ({"image_size": -1}, "image_size must be at least 0, found -1"),
        ({"image_size": 64, "encoder_size": 32}, "encoder_size 32 must be at least image_size 64"),
        ({"encoder_size": 32}, "encoder_size needs image_size"),
        ({"image_size": 64, "shorter_edge": 63}, "shorter_edge 63 must be at least the crop's size 64"),
        ({"shorter_edge": 63}, "shorter_edge needs image_size"),
        (
            {"system": "gan", "image_size": 64, "encoder_size": 112},
            "encoder_size is the size of E's images, and gan has",
        ),
        (
            {"system": "supervised", "image_size": 8, "encoder_size": 16},
            "^encoder_size 16 must be image_size 8 in supervised, which has no G to whose size D's images are reduced$",
        ),
        ({"dimensions": 2, "image_size": 8}, "dimensions are for points and image_size is for images"),
        ({"posterior": "gausian"}, "unknown posterior 'gausian'. Did you mean 'gaussian'"),
        ({"objective": "relativist"}, "unknown objective 'relativist'. Did you mean 'relativistic'"),
        ({"reconstruction_x": -1.0}, "reconstruction_x must be at least 0.0, found -1.0"),
        ({"penalty_interval": 0}, "penalty_interval must be at least 1, found 0"),
        ({"crop": "random"}, "crop=random needs image_size, the size of the crops"),
        ({"crop": "centered"}, "unknown crop 'centered'. Did you mean 'centre'"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0.0, found nan"),
        ({"learning_rate": -1e-9}, "learning_rate must be at least 0.0"),
        ({"learning_rate": "fast"}, "learning_rate must be float, found 'fast'"),
        ({"l2": -1.0}, "l2 must be at least 0.0"),
        ({"constant_epochs": 0, "decay_epochs": 0}, "must be at least 1, found 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, found 0"),
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Experiment(**arguments)


def test_values_at_the_borders_are_fine():
    e = Experiment(
        batch_size=2, width=1, latent_dim=1, image_size=0, learning_rate=0, constant_epochs=0, decay_epochs=1
    )
    assert e.epochs == 1 and e.learning_rate == 0


def test_experiments_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().width = 3


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--bach_size=3"], "unknown flag --bach_size. Did you mean --batch_size.* --help lists them"),
        (["--zzz=3"], "unknown flag --zzz. --help lists them"),
        (["--batch_size=many"], "batch_size.*many"),
        (["--learning_rate="], "learning_rate"),
        (["--deterministic=perhaps"], "deterministic.*perhaps"),
        (["--batch_size=1"], "batch_size must be at least 2, found 1"),
        (["--system=gann"], "unknown system 'gann'. Did you mean 'gan'"),
        (["width=3"], "'width=3' is no flag; flags begin with --"),
        (["--flagfile=/nowhere/train.flags"], "/nowhere/train.flags"),
    ],
    ids=str,
)
def test_command_lines_that_cannot_work_are_refused_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        parsed(*arguments)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content, message",
    [
        (bytes(range(128, 256)), "damaged or no text file: its byte 0 is no UTF-8"),
        (b"\x00\x01\x02\x03", "is no flag|damaged"),
        (b"--width=16\n--widht=16\n", "unknown flag --widht. Did you mean --width"),
        (b"--width=16\n--latent_di", "unknown flag --latent_di"),
        (b"{}", "is no flag"),
    ],
    ids=["binary", "zeros", "unknown flag", "cut short", "JSON"],
)
def test_damaged_flagfiles_are_refused(content, message, tmp_path):
    path = tmp_path / "train.flags"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Experiment.from_flagfile(path)


@pytest.mark.parametrize("name", ["./two\nlines", "./\udcff", "./bell\x07"])
def test_a_name_that_no_flagfile_can_hold_is_refused_on_one_line(name):
    with pytest.raises(InputError, match="^dataset must be printable text on one line") as caught:
        Experiment(dataset=name)
    assert str(caught.value).isprintable()


def test_difference_names_the_fields_that_decide_the_result():
    assert Experiment().difference(Experiment()) == []
    assert Experiment().difference(dataclasses.replace(Experiment(), width=3, seed=1)) == ["width", "seed"]
    operational = {"inter_op_threads", "intra_op_threads", "checkpoint_every", "keep_checkpoints"}
    operational |= {"images_every", "watch"}
    names = {field.name for field in dataclasses.fields(Experiment)}
    assert set(CHANGED.difference(Experiment())) == names - operational - {"dimensions"}
    assert POINTS.difference(dataclasses.replace(POINTS, dimensions=2)) == ["dimensions"]


def test_open_fields_are_filled_from_another_experiment():
    recorded = Experiment(
        image_size=28, channels=1, attributes=7, strategy="mirrored", precision="mixed_bfloat16", xla="off"
    )
    assert Experiment().filled_from(recorded) == recorded
    chosen = dataclasses.replace(recorded, image_size=14, channels=3, attributes=5, precision="float32", xla="on")
    assert chosen.filled_from(recorded) == chosen
    assert Experiment(width=3).filled_from(recorded).width == 3
    assert Experiment(dataset="mixture", networks="mixture").filled_from(POINTS) == POINTS


def test_describing_a_run_does_not_import_tensorflow():
    code = "import sys; from tf_bigan import Experiment; Experiment(); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Experiment)])
def test_what_untrained_networks_follow_from(name):
    changed = dataclasses.replace(tiny(image_size=64), **{name: getattr(CHANGED, name)})
    alike = changed.fresh_digest() == tiny(image_size=64).fresh_digest()
    of_training = ("rate", "epochs", "beta", "epsilon", "l2", "strategy", "precision", "xla", "deterministic", "_every")
    of_training += ("objective", "reconstruction_", "penalty", "denoise", "denoising", "likelihood", "labelled")
    of_training += ("train_embedding", "feature_matching", "watch", "average_decay", "augmentation", "rotation_")
    of_machine = ("latent_weight", "logical_cpus", "threads", "keep_checkpoints")
    same_as_before = getattr(CHANGED, name) == getattr(tiny(image_size=64), name)
    assert alike == (same_as_before or any(part in name for part in of_training + of_machine))


def test_untrained_networks_of_points_follow_from_their_dimensions():
    assert POINTS.fresh_digest() != dataclasses.replace(POINTS, dimensions=4).fresh_digest()


NOT_MLP = {"networks": "ali_svhn"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"dropout": False}, "networks=mlp have no dropout, so --dropout=false has no effect"),
        ({"init_stddev": 0.03}, "networks=mlp have no init_stddev, so --init_stddev=0.03 has no effect"),
        ({"init_stddev": 0.03, "networks": "conv"}, "networks=conv have no init_stddev"),
        ({"generator_skip": False, **NOT_MLP}, "networks=ali_svhn have no generator_skip, so --generator_skip=false"),
        ({"dropout": False, "networks": "mixture"}, "networks=mixture have no dropout"),
        (
            {"dropout": False, "system": "autoencoder_l1", **NOT_MLP},
            "system=autoencoder_l1 has no dropout, so --dropout=false has no effect",
        ),
        ({"objective": "relativistic", "system": "autoencoder_l2"}, "system=autoencoder_l2 has no objective"),
        ({"posterior": "gaussian", "system": "gan"}, "system=gan has no posterior, so --posterior=gaussian has"),
        ({"latent_weight": 0.5}, "system=bigan has no latent_weight, so --latent_weight=0.5 has no effect"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_have_an_effect_is_named(arguments, message):
    with pytest.raises(InputError, match=f"^{message}") as caught:
        Experiment(**arguments).check_effects()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"generator_skip": False},
        {"dropout": False, "init_stddev": 0.03, **NOT_MLP},
        {"init_stddev": 0.03, "networks": "mixture"},
        {"objective": "relativistic", "system": "latent_regressor"},
        {"latent_weight": 0.5, "system": "joint_latent_regressor"},
        # Details of features that are turned off.
        {"reconstruction_error": "l1", "penalty_interval": 4, "denoiser_width": 4},
        {"final_learning_rate": 0.1, "decay_epochs": 0},
    ],
    ids=str,
)
def test_settings_that_have_an_effect_are_fine(arguments):
    Experiment(**arguments).check_effects()


def test_helps_of_sizes_name_every_family():
    for name in ("width", "latent_dim"):
        parts = Experiment.__dataclass_fields__[name].metadata["text"].partition("the paper's: ")[2].split("; ")
        for family, made in FAMILIES.items():
            own = ARCHITECTURES[family].width if name == "width" and family in ARCHITECTURES else getattr(made, name)
            (part,) = [part for part in parts if family in part.partition(" for ")[2].split(", ")]
            assert part.startswith(f"{own} for "), family


def test_terms_are_turned_on_by_their_weights():
    assert Experiment().terms() == tiny(reconstruction_error="l1", penalty_interval=2, denoiser_width=9).terms() == []
    found = {place.partition(":")[2]: weight for place, weight in CHANGED.terms()}
    assert found == {
        **{"ReconstructionX": 0.125, "ReconstructionZ": 1e-3, "R1": 10.0, "R2": 0.2},
        **{"DenoisingFeatureMatching": 0.03, "FeatureMatching": 0.5, "Labels": 0.5},
        **{"Augmentation": 0.5, "RotationOfEncoder": 0.25, "RotationOfDiscriminator": 2.0},
    }


def test_classes_are_those_trained_on_whatever_the_data_is_called(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    trained = Experiment(dataset="./photos", max_labels=10)
    for name in ("./photos", "./photos/", "../" + tmp_path.name + "/photos", str(tmp_path / "photos")):
        assert trained.max_labels_of(name) == 10 and not trained.classes_news(name)
    assert trained.max_labels_of("photos") == 0  # a TFDS name
    assert trained.classes_news("./others").endswith("the model was trained on the first 10 of ./photos")
    trained = Experiment(dataset="tiny_imagenet:1.0.0", max_labels=10)
    assert trained.max_labels_of("tiny_imagenet") == 10 and trained.max_labels_of("tiny_imagenet_80") == 0
    assert not Experiment(dataset="mnist").classes_news("digits")


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "missing"])
def test_a_flagfile_that_is_no_file_is_refused(kind, tmp_path):
    path = {"device": "/dev/zero"}.get(kind, tmp_path / "train.flags")
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(InputError, match=f"is a {kind}, and no file|the flagfile .* is missing"):
        Experiment.from_flagfile(path)


SECRETS = [
    "-----BEGIN PRIVATE KEY-----",
    "root:x:0:0:root:/root:/bin/bash",
    "hunter2",
    "--a b=hunter2",
    "{'hunter2': 3}",
]


@pytest.mark.parametrize("line", SECRETS)
def test_no_line_of_a_file_that_is_no_flagfile_is_repeated(line, tmp_path):
    (tmp_path / "file").write_text(f"# comment\n\n{line}\n--width=16\n")
    with pytest.raises(InputError) as caught:
        Experiment.from_flagfile(tmp_path / "file")
    message = "file is no flagfile, or damaged: line 3 is no flag; flags are --name=value"
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_flagfile_may_name_another_but_not_itself(tmp_path):
    (tmp_path / "a").write_text(f"--width=16\n--flagfile={tmp_path}/b\n  --seed=4\n// comment\n")
    (tmp_path / "b").write_text("--width=17\n--seed=3\n--flip\n--nowatch\n")
    found = Experiment.from_flagfile(tmp_path / "a")
    assert (found.width, found.seed, found.flip, found.watch) == (17, 4, True, False)
    (tmp_path / "b").write_text(f"--flagfile={tmp_path}/a\n")
    with pytest.raises(InputError, match="flagfiles name each other in a circle, or too deeply"):
        Experiment.from_flagfile(tmp_path / "a")


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--" + "x" * 1000, "unknown flag --xxx.* --help lists them"),
        ("--" + "x" * 100_000 + "=3", "unknown flag --xxx.* --help lists them"),
        ("-" + "width" * 13, "unknown flag --widthwidth.* --help lists them"),
        ("--width=" + "9" * 5000, "flag --width=999"),
        ("--width=" + "a b " * 5000, "flag --width=a b a b .*invalid literal"),
        ("--width=1" + "0" * 20, f"--width must be at most {2**32 - 1}, found 1{'0' * 20}"),
        ("--width=1e20", "flag --width=1e20: invalid literal"),
        ("--learning_rate=1e999", "--learning_rate must be a finite number, found inf"),
        ("--flip=" + "x" * 5000, "flag --flip=xxx"),
        ("x" * 5000, "'xxx.* is no flag"),
        ("--flagfile=" + "x" * 5000, "cannot read xxx"),
        ("--flagfile", "--flagfile needs a file"),
    ],
    ids=lambda value: value[:20],
)
def test_flags_of_any_length_are_refused_in_a_short_line(argument, message):
    with pytest.raises(InputError, match=message) as caught:
        Experiment().changed_by([argument])
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, value",
    [
        *((name, 2**20 + 1) for name in ("width", "latent_dim", "dimensions", "classes", "attributes", "batch_size")),
        *((name, 2**16) for name in ("image_size", "encoder_size", "shorter_edge")),
        *((name, 1025) for name in ("logical_cpus", "inter_op_threads", "intra_op_threads", "denoiser_layers")),
        *((name, 2**31) for name in ("constant_epochs", "checkpoint_every", "labelled")),
        *((name, 3.5e38) for name in ("learning_rate", "reconstruction_x")),
    ],
)
def test_no_setting_is_without_limit(name, value):
    with pytest.raises(InputError, match=rf"{name} must be at most \S+, found {re.escape(str(value))}"):
        Experiment(**{"image_size": 8, name: value})


@pytest.mark.parametrize("value", [float("inf"), 10**400])
def test_infinite_numbers_are_refused(value):
    with pytest.raises(InputError, match="learning_rate must be at most"):
        Experiment(learning_rate=value)


@pytest.mark.parametrize("dataset", ["./a\nb", "./a\0b", "./a\rb", "./\udcff"], ids=ascii)
def test_what_a_flagfile_cannot_hold_is_no_setting(dataset):
    with pytest.raises(InputError, match="dataset must be printable text on one line, which a flagfile can hold"):
        Experiment(dataset=dataset)
