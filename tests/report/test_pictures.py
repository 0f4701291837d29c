from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from urbild.errors import OutputError
from urbild.report import heat_scale, overlay, sample_grid, save_heatmap
from urbild.report.pictures import outline, thumbnail, to_pixels

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (20, 30), dtype=np.uint8)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)))


def test_images_of_any_kind_become_rgb():
    np.testing.assert_array_equal(to_pixels(GREY), np.repeat(GREY[..., None], 3, -1))
    np.testing.assert_array_equal(to_pixels(GREY[..., None] / 255.0), to_pixels(GREY))
    np.testing.assert_array_equal(to_pixels(GREY > 99)[..., 1], (GREY > 99) * 255)
    colours = DRAW.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    np.testing.assert_array_equal(to_pixels(colours), colours[..., :3])
    np.testing.assert_array_equal(to_pixels(colours[..., :2])[..., 2], colours[..., 0])


def test_sixteen_bits_and_foreign_floats_use_the_whole_range():
    for image in (GREY.astype(np.uint16) * 16, GREY * 3.0 - 100):
        pixels = to_pixels(image)
        assert pixels.min() == 0
        assert pixels.max() == 255


def test_an_overlay_is_grey_where_nothing_is_strange_and_coloured_where_it_is():
    heat = np.zeros((20, 30), np.float32)
    heat[5:9, 5:9] = 1
    pixels = overlay(np.stack([GREY] * 3, -1), heat, (0.0, 1.0)).astype(int)
    spread = pixels.max(-1) - pixels.min(-1)
    assert spread[0, 0] == 0
    assert spread[5:9, 5:9].min() > 40
    assert np.count_nonzero(spread) == 16


def test_an_overlay_follows_the_given_scale_and_not_its_own_range():
    heat = np.full((20, 30), 0.1, np.float32)
    cold, hot = overlay(GREY, heat, (0.5, 1.0)), overlay(GREY, heat, (0.0, 0.1))
    np.testing.assert_array_equal(cold, overlay(GREY, heat * 0, (0.5, 1.0)))
    assert np.abs(hot.astype(int) - cold).mean() > 30


def test_a_smaller_map_is_brought_to_the_size_of_the_image():
    assert overlay(GREY, np.zeros((4, 6)), (0, 1)).shape == (20, 30, 3)


def test_the_scale_covers_the_maps_and_survives_constant_ones():
    maps = [DRAW.random((50, 50)) ** 8 for _ in range(3)]
    low, high = heat_scale(maps)
    assert low == pytest.approx(0.75**8, rel=0.2)
    assert 4 * low < high
    assert high == pytest.approx(1, abs=0.05)
    assert heat_scale([np.zeros((3, 3))]) == (0.0, 1.0)
    assert heat_scale([]) == (0.0, 1.0)
    assert np.isfinite(heat_scale([np.full((3, 3), np.nan)])).all()


def test_even_maps_do_not_look_hot():
    low, high = heat_scale([1 + DRAW.random((50, 50))])
    assert high == pytest.approx(4 * low)


def test_the_scale_of_many_maps_looks_at_a_bounded_number_of_values(monkeypatch):
    seen = []
    quantile = np.quantile
    monkeypatch.setattr(np, "quantile", lambda values, q: seen.append(len(values)) or quantile(values, q))
    heat_scale([np.zeros((2000, 2000), np.float32)] * 50)
    assert 1_000_000 < seen[0] < 5_000_000


def test_the_true_mask_is_seen():
    mask = np.zeros((20, 30), bool)
    mask[2:4, 2:4] = True
    pixels = outline(GREY, mask).astype(int)
    assert np.array_equal(pixels[..., 2] - pixels[..., 0] > 20, mask)


def test_small_pictures_are_exact_and_large_ones_bounded():
    uri, hard = thumbnail(to_pixels(GREY))
    assert hard
    assert uri.startswith("data:image/png;base64,")
    uri, hard = thumbnail(DRAW.integers(0, 256, (700, 1200, 3), dtype=np.uint8))
    assert not hard
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) < 60_000


def test_a_heat_map_file_shows_input_and_overlay(tmp_path):
    heat = np.tile(np.linspace(0, 1, 30), (20, 1))
    save_heatmap(tmp_path / "a.png", GREY, heat, (0.0, 1.0))
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels[:, :30], to_pixels(GREY))
    np.testing.assert_array_equal(pixels[:, -30:], overlay(GREY, heat, (0.0, 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(OutputError, match="cannot write"):
        save_heatmap(tmp_path / "a.png" / "b.png", GREY, heat, (0.0, 1.0))


def test_a_grid_holds_every_sample_in_order():
    images = DRAW.integers(0, 256, (7, 50, 40, 1), dtype=np.uint8)
    sheet = decoded(sample_grid(images, columns=3, gap=1))
    assert sheet.shape == (3 * 51 - 1, 3 * 41 - 1, 3)
    np.testing.assert_array_equal(sheet[51:101, 0:40, 0], images[3, ..., 0])
    assert (sheet[102:, 41:] == 255).all()


@pytest.mark.parametrize(("amount", "shape"), [(1, (80, 80)), (16, (326, 326)), (5, (162, 244))])
def test_a_grid_is_nearly_square(amount, shape):
    assert decoded(sample_grid(np.zeros((amount, 80, 80)))).shape[:2] == shape


def test_small_images_are_enlarged_by_a_whole_factor():
    image = DRAW.integers(0, 256, (1, 20, 12), dtype=np.uint8)
    sheet = decoded(sample_grid(image))
    assert sheet.shape == (60, 36, 3)
    np.testing.assert_array_equal(sheet[::3, ::3, 0], image[0])
