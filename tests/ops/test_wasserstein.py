"""Sliced Wasserstein distances in closed form, and what the form with patches cannot see."""

from math import gamma, pi, sqrt

import pytest
import torch

from urbild.ops.wasserstein import directions, laplacian_pyramid, patch_distance, patches, sliced_wasserstein


def test_a_shift_costs_its_mean_projection():
    torch.manual_seed(0)
    x, size = torch.randn(300, 147), 147
    shift = torch.randn(147)
    want = float(shift.norm()) * gamma(size / 2) / (sqrt(pi) * gamma((size + 1) / 2))
    found = sliced_wasserstein(x, x + shift, directions(size, 4096))
    assert found == pytest.approx(want, rel=0.03)
    assert want == pytest.approx(0.0659 * float(shift.norm()), rel=1e-2)
    assert sliced_wasserstein(x, x.flip(0), directions(size)) == pytest.approx(0, abs=1e-6)


def test_the_floor_of_white_patches():
    torch.manual_seed(0)
    x, y = torch.randn(8192, 147), torch.randn(8192, 147)
    assert 1000 * sliced_wasserstein(x, y, directions(147, 128)) == pytest.approx(19.8, rel=0.1)


def test_a_pyramid_adds_up():
    from urbild.ops import wasserstein

    x = torch.rand(2, 3, 64, 64)
    levels = laplacian_pyramid(x)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    rebuilt = levels[-1]
    for level in levels[-2::-1]:
        rebuilt = level + wasserstein._enlarged(rebuilt)
    torch.testing.assert_close(rebuilt, x)
    assert len(laplacian_pyramid(torch.rand(1, 1, 28, 28))) == 1
    flat = laplacian_pyramid(torch.full((1, 1, 32, 32), 0.5))
    torch.testing.assert_close(flat[-1], torch.full((1, 1, 16, 16), 0.5))


def test_patches_are_windows_of_their_images():
    x = torch.arange(2 * 3 * 10 * 9, dtype=torch.float32).view(2, 3, 10, 9)
    found = patches(x, 5, generator=torch.Generator().manual_seed(0))
    assert found.shape == (10, 3, 7, 7)
    windows = x.unfold(2, 7, 1).unfold(3, 7, 1).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    for row, patch in enumerate(found):
        assert (windows[row // 5] == patch).flatten(1).all(1).any()


def test_patches_see_texture_and_neither_brightness_nor_contrast():
    torch.manual_seed(0)
    x, y = torch.rand(40, 3, 32, 32), torch.rand(40, 3, 32, 32)
    dull = 0.3 + 0.5 * y
    smooth = torch.nn.functional.avg_pool2d(y, 3, 1, 1)
    floor, same, other = (
        patch_distance(x, z, count=32, generator=torch.Generator().manual_seed(1)) for z in (y, dull, smooth)
    )
    assert same == pytest.approx(floor, rel=1e-3)
    assert other > 1.3 * floor
