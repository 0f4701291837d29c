"""Distances against loops over samples and entries."""

import pytest
import torch

from urbild.ops import distances

SHAPES = [(3, 5), (2, 3, 4, 7), (1, 1, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_reductions_equal_loops_over_entries(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    for row in range(shape[0]):
        gaps = [float(a - b) for a, b in zip(x[row].flatten(), y[row].flatten(), strict=True)]
        squares, sizes = [gap * gap for gap in gaps], [abs(gap) for gap in gaps]
        assert float(distances.squared_error(x, y)[row]) == pytest.approx(sum(squares))
        assert float(distances.mean_squared_error(x, y)[row]) == pytest.approx(sum(squares) / len(squares))
        assert float(distances.mean_absolute_error(x, y)[row]) == pytest.approx(sum(sizes) / len(sizes))


def test_site_error_is_the_mean_over_channels() -> None:
    x, y = torch.rand(2, 2, 3, 4, 5, dtype=torch.float64)
    error = distances.site_error(x, y)
    assert error.shape == (2, 4, 5)
    assert float(error[1, 2, 3]) == pytest.approx(sum(float(x[1, c, 2, 3] - y[1, c, 2, 3]) ** 2 for c in range(3)) / 3)
    torch.testing.assert_close(error.flatten(1).mean(1), distances.mean_squared_error(x, y))


@pytest.mark.parametrize("loss", [distances.squared_error, distances.mean_squared_error, distances.mean_absolute_error])
def test_gradients(loss) -> None:  # type: ignore[no-untyped-def]
    x, y = torch.randn(2, 2, 2, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(loss, (x, y))
