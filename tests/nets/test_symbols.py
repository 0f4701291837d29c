"""The head of whole pixels: probabilities sum to one, draws follow them, and its numbers are those of a decoder's."""

from itertools import product
from math import log

import pytest
import torch
from torch import Tensor

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets.observations import LogisticMixture
from urbild.nets.symbols import Binary, Mixture, Softmax, SymbolHead, Symbols


def pixel(channels: int, levels: int) -> DataSpec:
    return DataSpec(shape=(channels, 1, 1), kind="image", levels=levels)


def every(channels: int, levels: int) -> Tensor:
    """All pixels: [levels^channels, channels, 1, 1]."""
    return torch.tensor(list(product(range(levels), repeat=channels)))[:, :, None, None]


def output(head: SymbolHead, *sites: int, n: int = 1, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, head.outputs, *sites, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 17), (1, 256), (3, 2), (3, 7)])
@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_the_probabilities_of_a_pixel_sum_to_one(channels: int, levels: int, components: int, scale: float) -> None:
    head = Mixture(components=components).head(pixel(channels, levels))
    symbols = every(channels, levels)
    nats = head.surprise(output(head, 1, 1, scale=scale).expand(len(symbols), -1, -1, -1), symbols)
    assert nats.shape == (len(symbols), 1, 1, 1)
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_mixture_of_a_decoder(channels: int) -> None:
    """The same numbers mean the same as behind a decoder, site by site."""
    spec = DataSpec(shape=(channels, 3, 4), kind="image", levels=16)
    head, whole = Mixture(components=3).head(spec), LogisticMixture(components=3).head(spec)
    symbols = torch.randint(16, (5, *spec.shape), generator=torch.Generator().manual_seed(1))
    numbers = output(head, 3, 4, n=5)
    nats = head.surprise(numbers, symbols)
    assert nats.shape == (5, 1, 3, 4)
    torch.testing.assert_close(-nats.flatten(1).sum(1), whole.log_likelihood(symbols / 15.0, numbers))
    torch.testing.assert_close(head.mean(numbers, symbols), whole.mean(numbers))


@pytest.mark.parametrize(("channels", "levels"), [(1, 5), (3, 3)])
def test_draws_have_the_probabilities(channels: int, levels: int) -> None:
    head, symbols = Mixture(components=3).head(pixel(channels, levels)), every(channels, levels)
    numbers = output(head, 1, 1, seed=3)
    wanted = (-head.surprise(numbers.expand(len(symbols), -1, -1, -1), symbols)).exp().flatten()
    noise = torch.rand(60_000, head.draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = head.draw(numbers.flatten(1).expand(60_000, -1), noise)
    assert drawn.shape == (60_000, channels)
    assert drawn.dtype == torch.int64
    found = torch.stack([(drawn == one.flatten()).all(1).double().mean() for one in symbols])
    torch.testing.assert_close(found, wanted, atol=0.008, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_low_temperature_narrows(channels: int) -> None:
    head = Mixture(components=4).head(pixel(channels, 256))
    numbers = output(head, seed=1).expand(5_000, -1)
    noise = torch.rand(5_000, head.draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spread = [float(head.draw(numbers, noise, t).double().std(0).mean()) for t in (1.0, 0.5, 0.1)]
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize("part", [Binary(grey="dynamic"), Softmax(), Mixture()])
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(part: Symbols, temperature: float) -> None:
    head = part.head(pixel(1, 4))
    with pytest.raises(OptionError, match="must be more than 0"):
        head.draw(torch.zeros(2, head.outputs), torch.rand(2, head.draws), temperature)


def test_the_ends_of_the_noise_draw_levels() -> None:
    head = Mixture(components=2).head(pixel(3, 256))
    numbers = output(head, scale=5.0).float()
    for end in (0.0, 1.0):
        drawn = head.draw(numbers, torch.full((1, head.draws), end))
        assert 0 <= int(drawn.min()) <= int(drawn.max()) <= 255


def test_half_precision_outputs_are_summed_in_full() -> None:
    head = Mixture().head(pixel(3, 256))
    symbols = every(3, 6)[:50] * 51
    numbers = output(head, 1, 1, n=50).bfloat16()
    nats = head.surprise(numbers, symbols)
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, head.surprise(numbers.float(), symbols))


def test_extreme_outputs_stay_finite() -> None:
    head = Mixture().head(pixel(3, 256))
    numbers = output(head, 1, 1, n=50, scale=30.0).float().requires_grad_()
    nats = head.surprise(numbers, every(3, 6)[:50] * 51)
    nats.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(nats).all()
    assert numbers.grad is not None
    assert torch.isfinite(numbers.grad).all()


def test_equal_levels_cost_their_logarithm_at_most_a_little_more() -> None:
    """One very wide logistic that is cut off by no end would be uniform; a scale of the whole range comes near."""
    head = Mixture(components=1).head(pixel(1, 16))
    numbers = torch.tensor([0.0, 0.0, log(0.3)]).view(1, 3, 1, 1).expand(16, -1, -1, -1)
    mean = float(head.surprise(numbers, every(1, 16)).mean())
    assert log(16) <= mean < log(16) + 0.3


def test_what_cannot_be_described_is_refused() -> None:
    with pytest.raises(OptionError, match="these have 2 channels"):
        Mixture().head(pixel(2, 4))
    with pytest.raises(OptionError, match="at least 1 component"):
        Mixture(components=0).head(pixel(1, 4))
    for part in (Mixture(), Softmax()):
        with pytest.raises(OptionError, match="give levels=256"):
            part.head(DataSpec(shape=(1, 2, 2), kind="image"))
    assert Mixture(levels=8).head(DataSpec(shape=(1, 2, 2), kind="image")).levels == 8
