"""Heat maps: their size, where they point, how they become scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detection_fixtures import Distance, images
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from urbild.contract import Anomaly, DataSpec
from urbild.detection import Detector
from urbild.detection.heat import choose, reduce, smooth
from urbild.errors import NotScoringError

IMAGE = DataSpec(shape=(1, 64, 64), kind="image")


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_smoothing_is_a_gaussian_of_a_32nd_of_the_side() -> None:
    maps = noise(2, 64, 64)
    expected = np.stack([gaussian_filter(one, 2.0, mode="nearest", truncate=4) for one in maps.double().numpy()])
    np.testing.assert_allclose(smooth(maps, IMAGE).numpy(), expected, rtol=1e-4)
    constant = torch.full((1, 10, 20), 0.7)
    torch.testing.assert_close(smooth(constant, IMAGE), constant)
    rows = noise(3, 5)
    assert smooth(rows, DataSpec(shape=(5,), kind="vector")) is rows


def test_reductions_are_their_definitions() -> None:
    score, maps = noise(3), noise(3, 20, 30)
    flat = maps.flatten(1).sort(dim=1, descending=True).values
    torch.testing.assert_close(reduce(score, maps, "model"), score)
    torch.testing.assert_close(reduce(score, maps, "max"), flat[:, 0])
    torch.testing.assert_close(reduce(score, maps, "mean"), flat.mean(1))
    torch.testing.assert_close(reduce(score, maps, "top"), flat[:, :6].mean(1))
    torch.testing.assert_close(reduce(score, None, "model"), score)


def test_auto_follows_size_and_map() -> None:
    maps = noise(30, 8, 8)
    follows, apart = Anomaly(maps.flatten(1).mean(1).sqrt(), maps), Anomaly(noise(31)[1:], maps)
    small = DataSpec(shape=(1, 40, 40), kind="image")
    assert choose("auto", IMAGE, follows) == "max"
    assert choose("auto", IMAGE, apart) == "model"
    assert choose("auto", small, follows) == "model"
    assert choose("auto", small, follows, tiled=True) == "max"
    assert choose("auto", IMAGE, Anomaly(noise(30))) == "model"
    assert choose("auto", DataSpec(shape=(8,), kind="vector"), follows) == "model"
    assert choose("top", small, follows) == "top"
    with pytest.raises(NotScoringError, match="needs an anomaly map"):
        choose("max", IMAGE, Anomaly(noise(30)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train").mkdir()
    for row, image in enumerate(images(50, 96)):
        Image.fromarray(image[: 80 + row % 3, : 70 + row % 5]).save(tmp_path / "train" / f"{row:02d}.png")
    return tmp_path


@pytest.mark.parametrize("options", [{}, {"size": 32}, {"patch": 32, "patches_per_image": 2}])
def test_maps_have_the_size_of_their_image_and_point_at_the_spot(folder: Path, options: dict[str, int]) -> None:
    detector = Detector("pca", components=4, random_state=0, **options).fit(folder / "train")
    strange = [image[: 90 - row, :75] for row, image in enumerate(images(3, 96, spot=True, seed=5))]
    paths = [folder / f"strange{row}.png" for row in range(3)]
    for path, image in zip(paths, strange, strict=True):
        Image.fromarray(image).save(path)
    found = detector.scoring(paths, maps=True)
    assert [heat.shape for heat in found.maps or ()] == [image.shape for image in strange]
    for heat in found.maps or ():
        assert heat.dtype == np.float32
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert abs(int(row) - 50) < 7
        assert abs(int(column) - 26) < 7
    assert found.anomalous is not None
    assert found.anomalous.all()
    assert detector.scoring(paths).maps is None
    np.testing.assert_array_equal(detector.scoring(paths).score, found.score)
    for one, other in zip(detector.heatmaps(paths), found.maps or (), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_score_is_the_reduced_map() -> None:
    for reduction, find in (("max", np.max), ("mean", np.mean)):
        detector = Detector("pca", components=4, reduction=reduction, random_state=0).fit(images())
        found = detector.scoring(images(5, spot=True, seed=2), maps=True)
        np.testing.assert_allclose(found.score, [find(heat) for heat in found.maps or ()], rtol=1e-5)


def test_tiled_and_untiled_agree_for_a_model_that_sees_one_pixel() -> None:
    """What is calibrated and decided is the whole stitched image."""
    spec = DataSpec(shape=(1, 16, 16), kind="image")

    class Pointwise(Distance):
        def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
            maps = (x[:, 0] - 0.4).square()
            return Anomaly(maps.flatten(1).mean(1), maps)

    data = images(60, 40)
    tiled = Detector(Pointwise(spec), patch=16, reduction="max", random_state=0).fit(data)
    whole = Detector(Pointwise(DataSpec(shape=(1, 40, 40), kind="image")), reduction="max", random_state=0).fit(data)
    tiles = [block.maps for block in tiled.blocks(data[:6], maps=True)]
    prepared = next(whole.preparation_.source(tiled._records(data[:6])).batches()).x
    expected = smooth((prepared[:, 0] - 0.4).square(), spec)
    for maps, one in zip(tiles, expected, strict=True):
        assert maps is not None
        np.testing.assert_allclose(maps[0], one.numpy(), rtol=1e-5)
    np.testing.assert_allclose(tiled.scoring(data[:6]).score, expected.flatten(1).amax(1), rtol=1e-5)
    assert tiled.calibration_ is not None
    scores = -tiled.score_samples(data)
    assert np.isin(tiled.calibration_.scores, scores).all()


def test_blocks_stream() -> None:
    detector = Detector("pca", components=4, random_state=0).fit(images())
    many = np.concatenate([images(60, seed=seed) for seed in range(10)])
    blocks = list(detector.blocks(many))
    assert len(blocks) > 1
    assert all(block.maps is None for block in blocks)
    np.testing.assert_array_equal(np.concatenate([block.rows for block in blocks]), np.arange(600))
    np.testing.assert_allclose(np.concatenate([block.score for block in blocks]), -detector.score_samples(many))
