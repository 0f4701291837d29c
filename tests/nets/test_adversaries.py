"""Dense players: where they are normalised, the range of their images, and how they start."""

import pytest
import torch
from torch import nn

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets.adversaries import Dense

DIGITS = DataSpec(shape=(1, 8, 8), kind="image")
PLANE = DataSpec(shape=(2,), kind="vector")


def kinds(network: nn.Module) -> list[type[nn.Module]]:
    """Of the layers that do not hold others, in their order."""
    return [type(layer) for layer in network.modules() if not list(layer.children())]


def test_a_critic_sees_its_data_before_a_batch_is_normalised() -> None:
    network = Dense(width=8, depth=3, normalisation="batch")
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert kinds(network.critic(PLANE).body) == [nn.Linear, nn.ReLU, *hidden, *hidden]
    assert kinds(network.generator(PLANE, 3))[:9] == 3 * hidden
    statistics = [layer for layer in network.critic(PLANE).modules() if isinstance(layer, nn.BatchNorm1d)]
    assert not any(layer.affine for layer in statistics)
    only = Dense(width=8, depth=1, normalisation="batch")
    assert kinds(only.critic(PLANE).body) == hidden


@pytest.mark.parametrize(("extra", "packing"), [(0, 1), (3, 1), (3, 2)])
def test_images_of_the_unit_range_are_halved_for_the_critic_alone(extra: int, packing: int) -> None:
    torch.manual_seed(0)
    unit = Dense(width=8, unit=True).critic(DIGITS, extra=extra, packing=packing)
    usual = Dense(width=8).critic(DIGITS, extra=extra, packing=packing)
    usual.load_state_dict(dict(zip(usual.state_dict(), unit.state_dict().values(), strict=True)))
    x = 2 * torch.rand(5, packing * DIGITS.channels, *DIGITS.shape[1:]) - 1
    known = torch.randn(5, packing * extra) if extra else None
    torch.testing.assert_close(unit(x, known), usual((x + 1) / 2, known))


def test_a_generator_of_the_unit_range_ends_in_a_sigmoid() -> None:
    torch.manual_seed(0)
    generator, z = Dense(width=8, unit=True).generator(DIGITS, 4), torch.randn(6, 4)
    linear = nn.Sequential(*list(generator)[:-2])  # type: ignore[call-overload]
    torch.testing.assert_close((generator(z) + 1) / 2, torch.sigmoid(linear(z)))
    vectors = Dense(width=8, unit=True).generator(PLANE, 4)
    assert kinds(vectors) == kinds(Dense(width=8).generator(PLANE, 4)), "vectors have no range"


def test_weights_start_as_they_are_told() -> None:
    torch.manual_seed(0)
    network = Dense(width=256, start=0.02)
    for player in (network.generator(DIGITS, 64), network.critic(DIGITS), network.late_critic(DIGITS, extra=64)):
        for layer in player.modules():
            if isinstance(layer, nn.Linear):
                assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.15)
                assert layer.bias is None or not layer.bias.any()
    with pytest.raises(OptionError, match="start must be positive"):
        Dense(start=0.0).critic(PLANE)
