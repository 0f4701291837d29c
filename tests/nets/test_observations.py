"""Likelihood parts: what they say, what they refuse, and that they survive being written down."""

import pytest
import torch
from torch.distributions import Normal

from urbild.catalogue import decode_options, encode_options
from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets.observations import Bernoulli, Discretised, Gaussian, Observation

IMAGE = DataSpec(shape=(3, 4, 5), kind="image", levels=256)
VECTOR = DataSpec(shape=(6,), kind="vector")
PARTS = [Bernoulli(), Gaussian(), Gaussian(scale=0.2), Discretised(levels=16), Discretised(noise="gaussian", scale=0.1)]


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_a_part_survives_being_written_down(part: Observation) -> None:
    assert decode_options("vae", encode_options({"likelihood": part}))["likelihood"] == part


def test_a_gaussian_of_given_scale_is_that_of_torch() -> None:
    head = Gaussian(scale=0.2).head(IMAGE)
    x, output = torch.rand(2, 3, *IMAGE.shape)
    expected = Normal(output, 0.2).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(head.log_likelihood(x, output), expected)
    assert not list(head.parameters())


@pytest.mark.parametrize("part", [Gaussian(), Discretised(), Discretised(noise="gaussian")], ids=repr)
def test_a_learned_scale_finds_that_of_the_residuals(part: Observation) -> None:
    head = part.head(IMAGE)
    generator = torch.Generator().manual_seed(0)
    x = (0.5 + 0.05 * torch.randn(200, *IMAGE.shape, generator=generator)).clamp(0, 1).mul(255).round() / 255
    output = torch.full_like(x, 0.5)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (-head.log_likelihood(x, output)).mean().backward()
        optimiser.step()
    scale = torch.cat([p.exp().flatten() for p in head.parameters()])
    wanted = 0.05 * (3**0.5 / torch.pi if part == Discretised() else 1.0)  # of a logistic with that deviation
    torch.testing.assert_close(scale, torch.full_like(scale, wanted), rtol=0.1, atol=0)


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_means_of_images_lie_in_their_range(part: Observation) -> None:
    mean = part.head(IMAGE).mean(100 * torch.randn(2, *IMAGE.shape))
    assert mean.min() >= 0
    assert mean.max() <= 1


def test_levels_come_from_the_data_or_the_user() -> None:
    x, output = torch.rand(2, 1, *IMAGE.shape)
    coarse, fine = Discretised(levels=2).head(IMAGE), Discretised().head(IMAGE)
    assert coarse.log_likelihood(x, output) > fine.log_likelihood(x, output), "fewer levels share the same mass"
    with pytest.raises(OptionError, match="give levels=256"):
        Discretised().head(DataSpec(shape=(1, 4, 4), kind="image"))


@pytest.mark.parametrize("part", [Bernoulli(), Discretised(levels=256)], ids=repr)
def test_tables_are_not_pixels(part: Observation) -> None:
    with pytest.raises(OptionError, match="use likelihood=Gaussian"):
        part.head(VECTOR)


@pytest.mark.parametrize("part", [Gaussian(scale=0.0), Discretised(levels=9, scale=-1.0)], ids=repr)
def test_scales_are_positive(part: Observation) -> None:
    with pytest.raises(OptionError, match="must be positive"):
        part.head(IMAGE)
