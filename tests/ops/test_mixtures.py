"""Likelihoods over levels: sums over all images that there are, one component against the plain form, draws, means."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets.observations import Bernoulli, Categorical, Discretised, Gaussian, LogisticMixture, Observation
from urbild.ops import likelihoods

WIDE = [Categorical(), LogisticMixture(components=3)]
every_wide = pytest.mark.parametrize("part", WIDE, ids=repr)


def images(channels: int, levels: int) -> Tensor:
    """All images of one pixel: [levels^channels, channels, 1, 1]."""
    rows = list(itertools.product(range(levels), repeat=channels))
    return torch.tensor(rows, dtype=torch.float64)[:, :, None, None] / (levels - 1)


def output(part: Observation, spec: DataSpec, n: int = 1, *, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, part.outputs(spec), *spec.shape[1:])
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


@every_wide
@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 6), (4, 3)])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_probabilities_of_all_images_sum_to_one(part: Observation, channels: int, levels: int, scale: float) -> None:
    spec = DataSpec(shape=(channels, 1, 1), kind="image", levels=levels)
    x = images(channels, levels)
    out = output(part, spec, scale=scale).expand(len(x), -1, -1, -1)
    total = part.head(spec).log_likelihood(x, out).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-9)


def test_one_component_without_coupling_is_a_discretised_logistic() -> None:
    x = torch.randint(0, 256, (4, 3, 2, 5), generator=torch.Generator().manual_seed(0)).double() / 255
    means, log_scales = torch.rand(2, 4, 1, 3, 2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = likelihoods.logistic_mixture(x, torch.zeros(4, 1, 2, 5).double(), means, log_scales - 3, levels=256)
    expected = likelihoods.discretised_logistic(x, means[:, 0], log_scales[:, 0] - 3, levels=256)
    torch.testing.assert_close(found, expected)


def test_channels_depend_on_those_before_alone() -> None:
    x = torch.rand(1, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    means = torch.zeros(1, 1, 3, 1, 1, dtype=torch.float64)
    coefficients = torch.tensor([0.5, -0.2, 0.7], dtype=torch.float64).view(1, 1, 3, 1, 1)
    shifted = likelihoods.coupled(x, means, coefficients).flatten()
    jacobian = torch.stack([torch.autograd.grad(m, x, retain_graph=True)[0].flatten() for m in shifted])
    expected = torch.tensor([[0, 0, 0], [0.5, 0, 0], [-0.2, 0.7, 0]], dtype=torch.float64)
    torch.testing.assert_close(jacobian, expected)


def test_categorical_is_that_of_torch() -> None:
    spec = DataSpec(shape=(3, 2, 4), kind="image", levels=5)
    part, x = Categorical(), torch.randint(0, 5, (2, 3, 2, 4)).double() / 4
    out = output(part, spec, 2)
    law = torch.distributions.Categorical(logits=out.view(2, 3, 5, 2, 4).movedim(2, -1))
    found = part.head(spec).log_likelihood(x, out)
    torch.testing.assert_close(found, law.log_prob((x * 4).round()).flatten(1).sum(1))


@pytest.mark.parametrize(
    "part", [*WIDE, Bernoulli(), Discretised(scale=0.2), Discretised(noise="gaussian", scale=0.2)], ids=repr
)
def test_draws_have_the_probabilities(part: Observation) -> None:
    levels = 2 if part == Bernoulli() else 3
    spec = DataSpec(shape=(2, 1, 1), kind="image", levels=levels)
    head, x = part.head(spec), images(2, levels)
    out = output(part, spec, seed=3)
    wanted = head.log_likelihood(x, out.expand(len(x), -1, -1, -1)).exp()
    with torch.no_grad():
        drawn = head.sample(out.expand(40_000, -1, -1, -1), torch.Generator().manual_seed(0))
    frequencies = torch.stack([(drawn == one).flatten(1).all(1).double().mean() for one in x])
    torch.testing.assert_close(frequencies, wanted, atol=0.012, rtol=0)
    again = head.sample(out.expand(40_000, -1, -1, -1), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_draws_of_a_gaussian_spread_by_its_scale() -> None:
    spec = DataSpec(shape=(2,), kind="vector")
    drawn = Gaussian(scale=0.3).head(spec).sample(torch.full((20_000, 2), 5.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), torch.full((2,), 5.0), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((2,), 0.3), atol=0.01, rtol=0)


@every_wide
def test_the_mean_is_that_of_many_draws(part: Observation) -> None:
    spec = DataSpec(shape=(3, 1, 1), kind="image", levels=256)
    head, out = part.head(spec), output(part, spec, seed=1)
    if isinstance(part, LogisticMixture):  # narrow and inside the range, so that its ends cut off nothing
        out = out.view(1, part.components, -1, 1, 1) * 0.2
        out[:, :, 4:7] -= 4
        out = out.flatten(1, 2)
    drawn = head.sample(out.expand(40_000, -1, -1, -1), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0, keepdim=True), head.mean(out), atol=0.01, rtol=0)


@every_wide
def test_a_learned_output_beats_equal_levels(part: Observation) -> None:
    spec = DataSpec(shape=(3, 1, 1), kind="image", levels=16)
    grey = torch.randint(4, 12, (400, 1, 1, 1), generator=torch.Generator().manual_seed(0))
    x = grey.expand(-1, 3, -1, -1).float() / 15  # colours that are one another
    out = nn.Parameter(output(part, spec).float())
    optimiser, head = torch.optim.Adam([out], lr=0.1), part.head(spec)
    for _ in range(150):
        optimiser.zero_grad()
        bits = -head.log_likelihood(x, out.expand(len(x), -1, -1, -1)).mean() / (3 * torch.tensor(2.0).log())
        bits.backward()
        optimiser.step()
    least = 3.1 if part == Categorical() else 2.5  # 8 of 16 levels; a mixture sees that colours agree
    assert float(bits.detach()) < least


@every_wide
def test_wide_parts_refuse_what_they_cannot_observe(part: Observation) -> None:
    for spec in (DataSpec(shape=(6,), kind="vector"), DataSpec(shape=(2, 1, 4, 4), kind="video", levels=256)):
        with pytest.raises(OptionError, match="use likelihood=Gaussian"):
            part.outputs(spec)
    with pytest.raises(OptionError, match="give levels=256"):
        part.head(DataSpec(shape=(1, 4, 4), kind="image"))


@every_wide
def test_single_precision_stays_finite(part: Observation) -> None:
    spec = DataSpec(shape=(3, 2, 2), kind="image", levels=256)
    out = output(part, spec, 4, scale=30.0).float().requires_grad_()
    x = torch.randint(0, 256, (4, 3, 2, 2)).float() / 255
    value = part.head(spec).log_likelihood(x, out)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert out.grad is not None
    assert torch.isfinite(out.grad).all()
