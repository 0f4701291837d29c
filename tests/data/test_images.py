import warnings

import numpy as np
import pytest
from data_fixtures import png_bytes, tiff_bytes, write_deep_png
from PIL import Image

from urbild.data.images import decode, header, resize
from urbild.errors import DataError

LOSSLESS = [".png", ".bmp", ".tif", ".webp", ".tga", ".ppm"]
EXIF_TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


def exif(orientation):
    notes = Image.Exif()
    notes[0x0112] = orientation
    return notes


def same_header(path):
    found, pixels = header(path), decode(path)
    assert (found.height, found.width, found.channels) == pixels.shape
    assert found.dtype == pixels.dtype
    return pixels


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_colour_is_read_exactly(tmp_path, rng, suffix):
    x = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(x).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(same_header(path), x)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".pgm"])
def test_grey_is_read_exactly(tmp_path, rng, suffix):
    x = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(x).save(path)
    np.testing.assert_array_equal(same_header(path), x[..., None])


def test_jpeg_of_a_smooth_image(tmp_path):
    x = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    Image.fromarray(x).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(same_header(tmp_path / "a.jpg")[..., 0].astype(int) - x).max() <= 3


def test_one_bit_becomes_black_and_white(tmp_path, rng):
    x = rng.random((9, 11)) < 0.5
    Image.fromarray(x).save(tmp_path / "a.png")
    np.testing.assert_array_equal(same_header(tmp_path / "a.png")[..., 0], np.where(x, 255, 0))


def test_palette_becomes_its_colours(tmp_path, rng):
    colours = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    index = rng.integers(0, 256, (6, 8), dtype=np.uint8)
    image = Image.fromarray(index).convert("P")
    image.putpalette(colours.tobytes())
    image.putdata(index.reshape(-1).tolist())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(same_header(tmp_path / "a.png"), colours[index])


def test_transparency_is_laid_over_white(tmp_path):
    x = np.zeros((2, 3, 4), dtype=np.uint8)
    x[..., :3], x[:, 0, 3], x[:, 1, 3], x[:, 2, 3] = (10, 20, 200), 255, 0, 128
    Image.fromarray(x).save(tmp_path / "a.png")
    pixels = same_header(tmp_path / "a.png")
    assert pixels[0, 0].tolist() == [10, 20, 200]
    assert pixels[0, 1].tolist() == [255, 255, 255]
    np.testing.assert_allclose(pixels[0, 2], 255 - (255 - np.array([10, 20, 200])) * 128 / 255, atol=1)


def test_transparent_palette(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    assert same_header(tmp_path / "a.png").tolist() == [[[255, 255, 255], [0, 255, 0]]]


def test_cmyk_becomes_rgb(tmp_path):
    ink = np.zeros((16, 48, 4), dtype=np.uint8)
    ink[:, :16, 0] = ink[:, 16:32, 1] = ink[:, 32:, 2] = 255
    for name in ("a.tif", "a.jpg"):
        Image.frombytes("CMYK", (48, 16), ink.tobytes()).save(tmp_path / name)
        pixels = same_header(tmp_path / name).astype(int)
        for column, colour in ((8, (0, 255, 255)), (24, (255, 0, 255)), (40, (255, 255, 0))):
            assert np.abs(pixels[8, column] - colour).max() <= 40, name


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bit_grey_keeps_every_value(tmp_path, suffix):
    x = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = tmp_path / f"a{suffix}"
    if suffix == ".pgm":
        path.write_bytes(b"P5 256 256 65535\n" + x.astype(">u2").tobytes())
    else:
        Image.fromarray(x).save(path)
    pixels = same_header(path)
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[..., 0], x)


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_png_keeps_every_value(tmp_path, rng, channels, filtered):
    x = rng.integers(0, 65536, (9, 13, channels), dtype=np.uint16)
    write_deep_png(tmp_path / "a.png", x, filtered=filtered)
    np.testing.assert_array_equal(same_header(tmp_path / "a.png"), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_transparency(tmp_path, rng, channels):
    x = rng.integers(0, 65536, (4, 6, channels + 1), dtype=np.uint16)
    x[0, :, -1], x[1, :, -1] = 65535, 0
    write_deep_png(tmp_path / "a.png", x, filtered=True)
    pixels = same_header(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[0], x[0, :, :-1])
    assert (pixels[1] == 65535).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_colour_tiff_keeps_every_value(tmp_path, rng, order):
    x = rng.integers(0, 65536, (8, 10, 3), dtype=np.uint16)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(x, order))
    np.testing.assert_array_equal(same_header(path), x)


def test_float_tiff_keeps_its_values(tmp_path, rng):
    x = rng.normal(0, 1000, (6, 5)).astype(np.float32)
    Image.fromarray(x).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(same_header(tmp_path / "a.tif")[..., 0], x)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_exif_orientation_is_applied(tmp_path, rng, orientation, suffix):
    x = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(x).save(path, exif=exif(orientation), **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(same_header(path), EXIF_TURNS[orientation](x))


def test_exif_orientation_of_a_jpeg(tmp_path):
    x = np.zeros((16, 32), dtype=np.uint8)
    x[:, 16:] = 255
    Image.fromarray(x).save(tmp_path / "a.jpg", exif=exif(6), quality=95)
    pixels = same_header(tmp_path / "a.jpg")
    assert pixels.shape == (32, 16, 1)
    assert pixels[:14].max() < 20
    assert pixels[18:].min() > 235


def test_exif_that_stands_behind_the_pixels_of_a_png(tmp_path, rng):
    x = rng.integers(0, 256, (4, 6), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in x)
    notes = exif(8).tobytes().removeprefix(b"Exif\0\0")
    (tmp_path / "a.png").write_bytes(png_bytes(rows, 6, 4, depth=8, colour=0, late=notes))
    np.testing.assert_array_equal(same_header(tmp_path / "a.png")[..., 0], np.rot90(x))


def test_resizing_averages_and_does_not_alias():
    stripes = np.zeros((64, 64, 1), dtype=np.uint8)
    stripes[:, ::2] = 200
    small = resize(stripes, (16, 16))
    assert np.abs(small[:, 2:-2].astype(int) - 100).max() <= 3


@pytest.mark.parametrize("value", [0, 255, 256, 300, 32767, 32768, 40000, 65535])
def test_resizing_sixteen_bits_does_not_clip(value):
    x = np.full((20, 24, 1), value, dtype=np.uint16)
    small = resize(x, (8, 8))
    assert small.dtype == np.uint16
    assert (small == value).all()


def test_resizing_keeps_dtype_and_channels(rng):
    for dtype in (np.uint8, np.uint16, np.float32):
        for channels in (1, 2, 3, 5):
            x = (rng.random((12, 10, channels)) * 200).astype(dtype)
            small = resize(x, (5, 7))
            assert small.shape == (5, 7, channels)
            assert small.dtype == dtype
            np.testing.assert_allclose(small.mean((0, 1)), x.mean((0, 1)), rtol=0.1)


def test_an_image_over_the_limit_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png_bytes(b"\0", 30_000, 30_000, depth=8, colour=0))
    for read in (header, decode):
        with pytest.raises(DataError, match=r"huge\.png has 30000 x 30000 pixels.*--max-pixels"):
            read(path, max_pixels=100_000_000)


def test_the_limit_can_be_raised_past_that_of_pillow(tmp_path, monkeypatch):
    x = np.zeros((40, 50), dtype=np.uint8)
    Image.fromarray(x).save(tmp_path / "a.png")
    Image.fromarray(x).save(tmp_path / "a.tif", compression="tiff_lzw")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.png", "a.tif"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decode(tmp_path / name, max_pixels=2000).shape == (40, 50, 1)
        with pytest.raises(DataError, match="limit of 1,999"):
            decode(tmp_path / name, max_pixels=1999)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp", ".gif"])
def test_truncated_files_are_named(tmp_path, rng, suffix):
    whole = tmp_path / f"whole{suffix}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DataError, match=f"broken{suffix} is corrupt, truncated or no image"):
        decode(broken)


def test_damaged_at_any_byte_never_raises_anything_else(tmp_path, rng):
    whole = tmp_path / "whole.png"
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(whole, exif=exif(3))
    content = whole.read_bytes()
    refused = 0
    for at in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        whole.write_bytes(bytes(damaged))
        try:
            decode(whole)
        except DataError:
            refused += 1
    assert refused > 50


def test_zero_bytes_and_text_are_named(tmp_path):
    (tmp_path / "none.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(DataError, match=r"none\.png is empty \(zero bytes\)"):
        header(tmp_path / "none.png")
    with pytest.raises(DataError, match=r"text\.png is corrupt, truncated or no image"):
        header(tmp_path / "text.png")


def test_nan_in_a_float_image_is_named(tmp_path):
    x = np.zeros((4, 5), dtype=np.float32)
    x[2, 3] = np.nan
    Image.fromarray(x).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif holds nan in row 2, column 3"):
        decode(tmp_path / "a.tif")
