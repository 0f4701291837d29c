"""Layers of networks that grow: scales at run time, norms of a pixel, the deviation of a group, fades."""

from math import sqrt

import pytest
import torch

from urbild.nets.equalised import (
    EqualisedConv,
    EqualisedLinear,
    MinibatchDeviation,
    doubled,
    faded,
    halved,
    minibatch_deviation,
    pixel_norm,
)


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gain", [1.0, sqrt(2), sqrt(2) / 4])
def test_weights_are_standard_and_their_use_has_the_stated_variance(gain):
    torch.manual_seed(0)
    linear, conv = EqualisedLinear(300, 400, gain=gain), EqualisedConv(48, 96, 3, gain=gain)
    for layer, fan_in in ((linear, 300), (conv, 48 * 9)):
        assert float(layer.weight.detach().var()) == pytest.approx(1, rel=0.03)
        assert not layer.bias.any()
        assert float((layer.scale * layer.weight.detach()).var()) == pytest.approx(gain**2 / fan_in, rel=0.03)
    with torch.no_grad():
        assert float(linear(draws(500, 300, seed=5)).var()) == pytest.approx(gain**2, rel=0.03)
        inner = conv(draws(40, 48, 12, 12, seed=6))[:, :, 1:-1, 1:-1]
    assert float(inner.var()) == pytest.approx(gain**2, rel=0.06)


def test_the_layers_are_linear_maps_of_scaled_weights():
    linear, conv = EqualisedLinear(5, 3), EqualisedConv(2, 4, 3)
    x, images = draws(6, 5), draws(2, 2, 5, 4)
    with torch.no_grad():
        linear.bias.copy_(draws(3, seed=1))
        torch.testing.assert_close(linear(x), x @ (linear.weight * sqrt(2 / 5)).mT + linear.bias)
        plain = torch.nn.functional.conv2d(images, conv.weight * sqrt(2 / 18), padding=1)
        torch.testing.assert_close(conv(images), plain)


def test_each_pixel_has_a_mean_square_of_one():
    x = 7 * draws(3, 5, 4, 2)
    found = pixel_norm(x)
    for row in range(3):
        for site in ((0, 0), (3, 1)):
            pixel = x[row, :, site[0], site[1]]
            torch.testing.assert_close(found[row, :, site[0], site[1]], pixel / (pixel.square().mean() + 1e-8).sqrt())
    torch.testing.assert_close(found.square().mean(1), torch.ones(3, 4, 2))
    assert torch.equal(pixel_norm(torch.zeros(1, 5)), torch.zeros(1, 5))
    torch.testing.assert_close(pixel_norm(x.bfloat16()).float(), found, atol=0.02, rtol=0.02)


@pytest.mark.parametrize(("count", "group"), [(8, 4), (2, 4), (1, 4), (6, 4), (7, 4), (5, 2), (12, 3)])
def test_the_deviation_of_a_group_is_that_of_a_loop(count, group):
    x = draws(count, 3, 2, 2)
    groups = -(-count // group)
    size = -(-count // groups)
    assert size <= group
    for row, found in enumerate(minibatch_deviation(x, group)):
        # the group's members, filled up from the start of the batch
        members = [(row % groups + groups * place) % count for place in range(size)]
        total = 0.0
        for entry in range(12):
            values = [float(x[member].flatten()[entry]) for member in members]
            mean = sum(values) / size
            total += sqrt(sum((value - mean) ** 2 for value in values) / size + 1e-8)
        assert float(found) == pytest.approx(total / 12, rel=1e-5)
        assert row in members


def test_the_deviation_is_one_more_map():
    x = draws(8, 3, 2, 5)
    found = MinibatchDeviation()(x)
    assert found.shape == (8, 4, 2, 5)
    assert torch.equal(found[:, :3], x)
    torch.testing.assert_close(found[:, 3], minibatch_deviation(x)[:, None, None].expand(-1, 2, 5))
    same = MinibatchDeviation()(x[:1].expand(8, -1, -1, -1))
    torch.testing.assert_close(same[:, 3], torch.full((8, 2, 5), 1e-4))


def test_the_deviation_has_gradients_where_all_samples_are_alike():
    x = torch.ones(4, 3, 2, 2, requires_grad=True)
    minibatch_deviation(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_doubling_is_undone_by_halving():
    x = draws(2, 3, 4, 5)
    twice = doubled(doubled(x))
    assert twice.shape == (2, 3, 16, 20)
    torch.testing.assert_close(halved(twice, 2), x)
    assert halved(x, 0) is x
    torch.testing.assert_close(halved(draws(1, 1, 2, 2)).squeeze(), draws(1, 1, 2, 2).mean())


def test_a_fade_ends_at_either():
    old, new = draws(2, 3), draws(2, 3, seed=1)
    assert torch.equal(faded(old, new, 0.0), old)
    assert torch.equal(faded(old, new, 1.0), new)
    torch.testing.assert_close(faded(old, new, 0.25), 0.75 * old + 0.25 * new)
