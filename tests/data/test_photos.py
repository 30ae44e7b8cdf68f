"""Image files of every kind give the pictures that a person sees in them."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from tf_bigan.data import open_images, photos
from tf_bigan.data.folder import FolderSource
from tf_bigan.errors import InputError
from tf_bigan.preparation import MAX_PIXELS

# A picture of 2x3 blocks of 8x8 pixels, which stay apart in lossy formats: red, green, blue above black, white, grey.
COLOURS = [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (255, 255, 255), (128, 128, 128)]]


def blocks(colours):
    return np.kron(np.array(colours, np.uint8), np.ones((8, 8, 1), np.uint8))


def centres(pixels):
    """The colours in the middles of the blocks: float [rows, columns, 3]."""
    return np.asarray(pixels, float)[4::8, 4::8]


def decoded(path):
    """The only image of the file's folder, as data has it, and as Pillow alone decodes it; both are the same."""
    source = FolderSource(path.parent)
    record = source.decode(source.read([0])[0], 3)
    np.testing.assert_array_equal(record["x"], photos.decode(path, 3, MAX_PIXELS))
    return record["x"].numpy()


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def turned(orientation):
    """The blocks as a viewer shows them, by EXIF's table: where the file's first row and first column are seen."""
    picture = np.array(COLOURS, float)
    return {
        1: picture,  # top, left
        2: picture[:, ::-1],  # top, right
        3: picture[::-1, ::-1],  # bottom, right
        4: picture[::-1],  # bottom, left
        5: picture.transpose(1, 0, 2),  # left, top
        6: picture.transpose(1, 0, 2)[:, ::-1],  # right, top
        7: picture.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: picture.transpose(1, 0, 2)[::-1],  # left, bottom
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_camera_was_held(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    Image.fromarray(blocks(COLOURS)).save(path, quality=95, subsampling=0, exif=exif(orientation))
    np.testing.assert_allclose(centres(decoded(path)), turned(orientation), atol=6)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "avif", "mpo"])
def test_files_of_other_formats_are_turned_once(tmp_path, kind):
    path, image = tmp_path / f"a.{kind}", Image.fromarray(blocks(COLOURS))
    options = {"webp": {"lossless": True}, "avif": {"quality": 100}, "mpo": {"save_all": True}}.get(kind, {})
    image.save(path, exif=exif(6), **options)
    tolerance = {"avif": 12, "mpo": 40}.get(kind, 0)
    np.testing.assert_allclose(centres(decoded(path)), turned(6), atol=tolerance)


@pytest.mark.filterwarnings("ignore")  # Pillow's; pytest takes the place of this project's own filter
@pytest.mark.parametrize(
    "content", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01"]
)
def test_an_exif_block_that_cannot_be_read_is_none(tmp_path, content):
    Image.fromarray(blocks(COLOURS)).save(tmp_path / "a.jpg", quality=95, exif=content)
    assert decoded(tmp_path / "a.jpg").shape == (16, 24, 3)


RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_transparent_pixels_are_laid_over_white(tmp_path, kind):
    image = blocks([[(*RED, 0), (*RED, 255), (*RED, 128)]])
    Image.fromarray(image).save(tmp_path / f"a.{kind}", **({"lossless": True, "exact": True} if kind == "webp" else {}))
    # Half of red over white: 255 and (127 * 255) / 255 = 127.
    expected = [[(255, 255, 255), (255, 0, 0), (255, 127, 127)]]
    np.testing.assert_allclose(centres(decoded(tmp_path / f"a.{kind}")), expected, atol=1)


def test_other_ways_to_be_transparent(tmp_path):
    grey = Image.fromarray(blocks([[(0, 0), (0, 255), (100, 51)]]))  # LA
    grey.save(tmp_path / "a.png")
    assert [int(v) for v in centres(decoded(tmp_path / "a.png"))[0, :, 0]] == [255, 0, 224]  # 255 - (255 - 100) / 5
    palette = Image.fromarray(blocks([[RED, GREEN]])).quantize(2)
    clear = palette.getpixel((0, 0))
    palette.save(tmp_path / "a.png", transparency=clear)
    np.testing.assert_array_equal(centres(decoded(tmp_path / "a.png")), [[(255, 255, 255), GREEN]])
    os.remove(tmp_path / "a.png")
    palette.save(tmp_path / "a.gif", transparency=clear)
    np.testing.assert_array_equal(centres(decoded(tmp_path / "a.gif")), [[(255, 255, 255), GREEN]])
    os.remove(tmp_path / "a.gif")
    Image.fromarray(blocks([[RED, GREEN]])).save(tmp_path / "a.png", transparency=RED)  # one colour of an RGB file
    np.testing.assert_array_equal(centres(decoded(tmp_path / "a.png")), [[(255, 255, 255), GREEN]])


def test_transparent_grey_stays_grey(tmp_path):
    Image.fromarray(blocks([[(0, 0), (0, 255)]])).resize((16, 16)).save(tmp_path / "a.png")
    assert open_images(str(tmp_path)).image_shape == (16, 16, 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "I;16"])
def test_modes_of_pixels(tmp_path, mode):
    image = Image.fromarray(blocks([[(0, 0, 0), (255, 255, 255)]]))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256 + 7)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.tiff")
    np.testing.assert_allclose(centres(decoded(tmp_path / "a.tiff")), [[(0, 0, 0), (255, 255, 255)]], atol=1)


def test_the_higher_8_of_16_bits_are_taken(tmp_path):
    values = np.array([[0x0000, 0x00FF], [0x8000, 0xFFFF]], np.uint16)
    for name in ("a.png", "a.pgm"):
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(photos.decode(tmp_path / name, 1, 4)[..., 0], [[0, 0], [0x80, 0xFF]])


def test_pixels_of_an_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match="32 bits a pixel, of an unknown range"):
        photos.decode(tmp_path / "a.tiff", 1, 4)


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_the_first_picture_of_an_animation_is_read(tmp_path, kind):
    frames = [Image.fromarray(blocks([[colour, colour]])) for colour in (RED, GREEN)]
    options = {"lossless": True} if kind == "webp" else {}
    frames[0].save(tmp_path / f"a.{kind}", save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(centres(decoded(tmp_path / f"a.{kind}")), [[RED, RED]])


@pytest.mark.parametrize(
    "kind", ["bmp", "dib", "ico", "jp2", "tga", "qoi", "ppm", "pcx", "sgi", "avif", "jfif", "apng"]
)
def test_every_format_that_pillow_reads_is_read(tmp_path, kind):
    colours = blocks([[RED, GREEN], [GREEN, RED]])
    name = {"jfif": "JPEG", "apng": "PNG"}.get(kind)
    options = {"ico": {"sizes": [(16, 16)]}, "jfif": {"quality": 95, "subsampling": 0}}.get(kind, {})
    Image.fromarray(colours).save(tmp_path / f"a.{kind}", name, **options)
    np.testing.assert_allclose(centres(decoded(tmp_path / f"a.{kind}")), [[RED, GREEN], [GREEN, RED]], atol=12)


def test_what_runs_other_programs_is_not_read(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", "EPS")
    with pytest.raises(ValueError, match="cannot identify image file"):
        photos.decode(tmp_path / "a.jpg", 3, MAX_PIXELS)
    assert not {".eps", ".ps", ".wmf", ".h5", ".mpg"} & photos.suffixes().keys()
    assert {".png", ".jpg", ".webp", ".tif", ".avif", ".gif", ".bmp", ".tga"} <= photos.suffixes().keys()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("size", [(64, 48), (37, 53), (1, 1)], ids=str)
def test_plain_jpegs_have_the_same_pixels_by_either_decoder(tmp_path, mode, options, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.jpg", **options)
    assert photos.plain_content(tmp_path / "a.jpg", MAX_PIXELS)
    assert decoded(tmp_path / "a.jpg").shape == (*size, 3)  # compares both


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_plain_pngs_too(tmp_path, bits):
    pixels = np.random.default_rng(0).integers(0, 2**bits, (9, 13)) * (255 // (2**bits - 1))
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png")[..., 0], pixels)


# -- limits


def test_an_image_with_too_many_pixels_is_as_bad_as_a_damaged_one(tmp_path):
    for name, size in (("a.png", (10, 10)), ("b.png", (10, 11)), ("c.jpg", (10, 11)), ("d.webp", (10, 11))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    said = []
    options = {"image_size": 4, "bad_images": "skip", "say": said.append}
    assert open_images(str(tmp_path), max_pixels=110, **options).count == 4 and not said
    assert open_images(str(tmp_path), max_pixels=100, **options).count == 1 and "3 of 4 images" in said[0]
    with pytest.raises(InputError, match=r"of more than 109 pixels \(see --max_pixels\)") as caught:
        open_images(str(tmp_path), image_size=4, max_pixels=109).load()
    assert len(str(caught.value).splitlines()) == 2
    with pytest.raises(InputError, match="max_pixels must be at least 1, found 0"):
        open_images(str(tmp_path), max_pixels=0)


def test_a_limit_above_pillows_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    assert open_images(str(tmp_path), max_pixels=256).arrays()[0].shape == (1, 16, 16, 1)


def test_a_file_of_more_bytes_than_a_picture_takes_is_not_read(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 1 << 40)  # takes no room on the disk
    with pytest.raises(ValueError, match="more bytes than a picture takes"):
        photos.decode(tmp_path / "a.png", 1, MAX_PIXELS)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="no regular file"):
        photos.decode(tmp_path / "a.png", 1, MAX_PIXELS)


def test_files_for_other_programs_hold_what_is_seen(tmp_path):
    turned_jpeg, plain = tmp_path / "a.jpg", tmp_path / "b.jpg"
    for path, found in ((turned_jpeg, exif(6)), (plain, b"")):
        Image.fromarray(blocks(COLOURS)).save(path, quality=95, subsampling=0, exif=found)
    Image.fromarray(blocks([[(*RED, 0)]])).save(tmp_path / "c.png")
    images, _ = open_images(str(tmp_path), image_size=8).as_stored()
    assert images[1] == plain.read_bytes()
    for content, path in zip(images, sorted(tmp_path.iterdir()), strict=True):
        with Image.open(io.BytesIO(content)) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(image, photos.decode(path, 3, MAX_PIXELS))
