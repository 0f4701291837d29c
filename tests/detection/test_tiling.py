"""Windows are stitched without seams, whatever the sizes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from urbild.contract import Anomaly
from urbild.detection.tiling import check_overlap, starts, stitch, weights
from urbild.errors import OptionError


def pointwise(x: Tensor) -> Anomaly:
    maps = (x[:, 0] - 0.3).square() + x[:, -1]
    return Anomaly(maps.flatten(1).mean(1), maps)


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 31), (100, 16), (33, 33)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_a_pointwise_model_gives_the_untiled_map(size: tuple[int, int], overlap: float) -> None:
    image = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    _, found = stitch(pointwise, image, 16, overlap=overlap, batch=5)
    whole = pointwise(image[None]).map
    assert whole is not None
    np.testing.assert_array_equal(found, whole[0].numpy())


@pytest.mark.parametrize("size", [(3, 3), (1, 40), (10, 15), (40, 7)])
def test_an_image_smaller_than_the_window_is_reflected(size: tuple[int, int]) -> None:
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []

    def look(x: Tensor) -> Anomaly:
        seen.append(x)
        return pointwise(x)

    _, found = stitch(look, image, 16)
    assert found.shape == size
    np.testing.assert_array_equal(found, pointwise(image[None]).map[0].numpy())  # type: ignore[index]
    assert set(seen[0].unique().tolist()) == set(image.unique().tolist())


@pytest.mark.parametrize(("length", "patch", "overlap"), [(16, 16, 0.5), (17, 16, 0.5), (100, 16, 0.3), (64, 16, 0.9)])
def test_weights_are_a_partition_of_unity(length: int, patch: int, overlap: float) -> None:
    begins = starts(length, patch, overlap)
    assert begins[0] == 0
    assert begins[-1] == length - patch
    steps = np.diff(begins)
    assert (steps <= max(1, int(patch * (1 - overlap)))).all()
    total = np.zeros(length)
    for begin, weight in zip(begins, weights(length, patch, begins), strict=True):
        assert (weight > 0).all()
        total[begin : begin + patch] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_no_seam_where_windows_disagree() -> None:
    """Each window shifts its map by an amount of its own; the blend must not jump where one begins or ends."""
    image = torch.rand(1, 96, 96, generator=torch.Generator().manual_seed(1))

    def moody(x: Tensor) -> Anomaly:
        level = x.flatten(1).mean(1) * 100
        return Anomaly(level, level[:, None, None].expand(-1, *x.shape[2:]))

    _, found = stitch(moody, image, 32, overlap=0.5)
    begins = starts(96, 32, 0.5)
    borders = sorted({b for b in (*begins, *(b + 32 for b in begins)) if 0 < b < 96})
    jumps = np.abs(np.diff(found, axis=1)).mean(0)  # entry b - 1 is the step into column b
    at_borders = jumps[[b - 1 for b in borders]]
    assert jumps.max() > 0
    assert at_borders.max() <= np.quantile(jumps, 0.5)


def test_the_score_is_the_strangest_window() -> None:
    image = torch.zeros(1, 64, 64)
    image[:, 40:, 40:] = 1

    def mean(x: Tensor) -> Anomaly:
        return Anomaly(x.flatten(1).mean(1))

    largest, found = stitch(mean, image, 16)
    assert largest == 1.0
    assert found.max() == pytest.approx(1.0)
    assert found[0, 0] == 0


@pytest.mark.parametrize("overlap", [-0.1, 0.95, 1.0, float("nan")])
def test_an_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(OptionError, match="overlap"):
        check_overlap(overlap)
