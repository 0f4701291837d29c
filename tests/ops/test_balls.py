"""Neighbours and balls in blocks are those of all pairs at once, with the known values of equal laws."""

import pytest
import torch

from urbild.ops import balls


def test_blocks_are_the_whole(monkeypatch):
    torch.manual_seed(0)
    x, y = torch.randn(130, 3), torch.randn(90, 3)
    squares = torch.cdist(x.double(), x.double()).square()
    want = squares.sort(dim=1).values[:, 1:6]
    monkeypatch.setattr(balls, "ROWS", 17)
    monkeypatch.setattr(balls, "COLUMNS", 23)
    found = balls.neighbour_distances(x, 5)
    torch.testing.assert_close(found, want)
    held = balls.held(y, x, found[:, 4])
    inside = torch.cdist(y.double(), x.double()).square() <= want[:, 4]
    assert held.balls.tolist() == inside.sum(1).tolist()
    assert held.used.tolist() == inside.any(0).tolist()


def test_a_set_lies_in_its_own_balls_and_in_no_far_ones():
    torch.manual_seed(0)
    x = torch.randn(200, 8)
    radii = balls.neighbour_distances(x, 3)[:, 2]
    assert (balls.held(x, x, radii).balls > 0).all()
    assert not balls.held(x + 100, x, radii).balls.any()


@pytest.mark.parametrize("size", [2, 16])
def test_coverage_of_equal_laws_depends_on_k_alone(size):
    torch.manual_seed(0)
    real, fake = torch.randn(2000, size), torch.randn(2000, size)
    near = balls.neighbour_distances(real, 5)
    for k, want in ((3, 0.875), (5, 0.969)):
        found = balls.held(fake, real, near[:, k - 1])
        assert float(found.used.double().mean()) == pytest.approx(want, abs=0.02)
        assert float(found.balls.double().mean()) / k == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("size", "want"), [(2, 0.985), (16, 0.78)])
def test_the_precision_of_equal_laws_is_below_one(size, want):
    torch.manual_seed(0)
    real, fake = torch.randn(2000, size), torch.randn(2000, size)
    found = balls.held(fake, real, balls.neighbour_distances(real, 3)[:, 2])
    assert float((found.balls > 0).double().mean()) == pytest.approx(want, abs=0.03)
