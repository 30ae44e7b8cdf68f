"""Odd files go through train, evaluate, extract and visualise by the command line: each is read or named."""

import os

import numpy as np
import pytest
from helpers import finish, flags_of, start_tool, tiny
from PIL import Image

READ = {
    # name -> (mode of the picture, what `save` is given)
    "cats/plain.jpg": ("RGB", {}),
    "cats/progressive.jpg": ("RGB", {"progressive": True}),
    "cats/portrait.jpg": ("RGB", {"exif": 6}),
    "cats/mirrored.jpeg": ("RGB", {"exif": 5}),
    "cats/cmyk.jpg": ("CMYK", {}),
    "cats/grey.jpg": ("L", {}),
    "cats/photo.jfif": ("RGB", {"format": "JPEG"}),
    "cats/pair.mpo": ("RGB", {"format": "MPO", "save_all": True}),
    "cats/UPPER.PNG": ("RGB", {}),
    "cats/a png.jpg": ("RGB", {"format": "PNG"}),
    "cats/1x1.png": ("RGB", {"size": (1, 1)}),
    "cats/1x200.png": ("RGB", {"size": (1, 200)}),
    "dogs/clear.png": ("RGBA", {}),
    "dogs/clear_grey.png": ("LA", {}),
    "dogs/clear_palette.png": ("P", {"transparency": 0}),
    "dogs/palette.png": ("P", {}),
    "dogs/one_bit.png": ("1", {}),
    "dogs/16_bit.png": ("I;16", {}),
    "dogs/animated.png": ("RGB", {"save_all": True, "append": True}),
    "dogs/animated.gif": ("P", {"save_all": True, "append": True}),
    "dogs/animated.webp": ("RGB", {"save_all": True, "append": True}),
    "dogs/pages.tiff": ("RGB", {"save_all": True, "append": True}),
    "dogs/clear.webp": ("RGBA", {}),
    "dogs/photo.avif": ("RGB", {}),
    "10/photo.bmp": ("RGB", {}),
    "10/photo.tif": ("CMYK", {}),
    "10/photo.jp2": ("RGB", {}),
    "10/photo.tga": ("RGBA", {}),
    "10/photo.ico": ("RGBA", {}),
    "10/photo.ppm": ("RGB", {}),
    "2/lines\nand\xa0more.png": ("RGB", {}),
    "2/\udcff\udcfe.png": ("RGB", {}),
    "loose.png": ("RGB", {}),
}
BAD = {  # images that cannot be decoded
    "cats/empty.png": b"",
    "cats/text.jpg": b"no image at all",
    "cats/cut.jpg": None,
    "dogs/cut.webp": None,
    "dogs/\udcfe.png": b"no image either",
}
LARGE, STRIP = "dogs/large.png", "dogs/strip.png"
UNREAD = ("cats/notes.txt", "cats/phone.heic", "cats/pipe.png", "dogs/broken.png", "again")


def write(folder):
    rng = np.random.default_rng(0)
    for name, (mode, options) in READ.items():
        path, options = folder / name, dict(options)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = options.pop("size", (20, 16))
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 4), np.uint8))
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) << 8) if mode == "I;16" else image
        image = image if image.mode == mode else image.convert("RGB" if mode == "P" else mode)
        image = image.quantize(16) if mode == "P" else image
        if options.pop("append", False):
            options["append_images"] = [image.transpose(Image.Transpose.ROTATE_180)]
        if "exif" in options:
            found = Image.Exif()
            found[0x0112] = options["exif"]
            options["exif"] = found
        image.save(
            os.fsencode(path) if path.suffix != ".mpo" else path, options.pop("format", None) or kind(path), **options
        )
    for name, content in BAD.items():
        with open(folder / name, "wb") as file:
            file.write((folder / "cats" / "plain.jpg").read_bytes()[:200] if content is None else content)
    Image.new("L", (200, 200)).save(folder / LARGE)
    Image.new("L", (3000, 1)).save(folder / STRIP)
    (folder / "cats" / "notes.txt").write_text("no image")
    (folder / "cats" / "phone.heic").write_bytes(b"\0" * 100)
    os.mkfifo(folder / "cats" / "pipe.png")
    (folder / "dogs" / "broken.png").symlink_to(folder / "missing")
    (folder / "again").symlink_to(folder / "cats")
    (folder / "dogs" / "folder.png").mkdir()
    Image.new("RGB", (16, 16)).save(folder / "dogs" / "folder.png" / "inside.png")


def kind(path):
    return Image.registered_extensions()[path.suffix.lower()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("data") / "photos"
    write(found)
    return found


def run(tool, *flags):
    """stdout and stderr of a tool that must succeed, without the lines of TensorFlow and Keras."""
    status, stdout, stderr = finish(start_tool(tool, *flags), timeout=200)
    assert status == 0 and "Traceback" not in stdout + stderr, stdout + stderr
    return stdout + stderr


def test_every_file_is_read_or_named(folder, tmp_path):
    settings = {"image_size": 8, "channels": 3, "batch_size": 8, "decay_epochs": 0, "images_every": 1}
    settings |= {"bad_images": "skip", "max_pixels": 10_000, "crop": "random", "watch": False}
    workdir, count = tmp_path / "run", len(READ) + 1
    said = {"train": run("train.py", *flags_of(tiny(dataset=str(folder), **settings)), f"--workdir={workdir}")}
    assert f"{count} images of 8x8x3" in said["train"] and "finished: 5 steps" in said["train"]
    told = tmp_path / "names.csv"
    features = tmp_path / "features.npz"
    model = f"--model={workdir}"
    said["evaluate"] = run("evaluate.py", model, "--metrics=reconstruction")
    said["extract"] = run("extract_features.py", model, "--bad_images=skip", f"--output={features}", f"--names={told}")
    pictures = "samples,reconstructions,neighbours"
    said["visualize"] = run("visualize.py", model, f"--output={tmp_path}", f"--figures={pictures}", "--rows=4")
    for tool, text in said.items():
        assert (
            f"{len(BAD) + 2} of {count + len(BAD) + 2} images of {folder} cannot be used and are left out: " in text
        ), tool
        assert f"{len(UNREAD)} files or links under {folder} are not read as images: {folder}/again (a link " in text
        assert "0 = '10', 1 = '2', 2 = 'cats', 3 = 'dogs'" in text
    with np.load(features) as found:
        assert sorted(found["names"]) == sorted([*READ, "dogs/folder.png/inside.png"])
        named = {line.removeprefix(f"{folder}/").partition(" (")[0] for line in found["left_out"]}
        assert named == {*(name.replace("\udcfe", "\\xfe") for name in BAD), LARGE, STRIP, *UNREAD}
        assert found["features"].shape[0] == count and np.isfinite(found["features"]).all()
    lines = told.read_text().splitlines()
    assert len(lines) == count + 1 and any(line.endswith(",2/lines\\nand\xa0more.png,1,2") for line in lines)
    rows = said["visualize"].partition("the images of the rows of neighbours.png: ")[2].splitlines()[0].split(", ")
    assert len({row.removeprefix(f"{folder}/").partition("/")[0] for row in rows}) == 4  # four of the classes and none
