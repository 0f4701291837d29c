"""Measures of latents where the answer is known."""

import math

import pytest
import torch

from urbild.ops.gaussians import gaussian_log_density
from urbild.ops.latents import active_units, mutual_information, others, symbol_information


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_units_whose_mean_does_not_move_are_not_active() -> None:
    mean = torch.stack([some(200), torch.full((200,), 3.0), 0.05 * some(200, seed=1)], 1)
    assert active_units(mean).tolist() == [True, False, False]


def test_information_is_that_of_a_gaussian_channel() -> None:
    """z = a u + noise of variance v, u normal: I = ln(1 + a^2 / v) / 2 for each latent."""
    n = 4000
    gain, variance = torch.tensor([1.0, 0.5], dtype=torch.float64), 0.3
    mean = some(n, 2) * gain
    log_variance = torch.full((n, 2), math.log(variance), dtype=torch.float64)
    exact = float(0.5 * torch.log1p(gain.square() / variance).sum())
    assert float(mutual_information(mean, log_variance, some(n, 2, seed=1))) == pytest.approx(exact, abs=0.05)


def test_information_is_the_formula_and_lies_between_nothing_and_all() -> None:
    mean, log_variance, noise = some(6, 3), 0.3 * some(6, 3, seed=1), some(6, 3, seed=2)
    z = mean + (log_variance / 2).exp() * noise
    rows = [gaussian_log_density(one.expand(6, 3), mean, log_variance) for one in z]
    expected = torch.stack([row[i] - row.logsumexp(0) + math.log(6) for i, row in enumerate(rows)]).mean()
    torch.testing.assert_close(mutual_information(mean, log_variance, noise), expected)
    same = torch.zeros(6, 3, dtype=torch.float64)
    assert float(mutual_information(same, same, noise)) == pytest.approx(0, abs=1e-12)
    assert float(mutual_information(100 * mean, same, noise)) == pytest.approx(math.log(6))


def test_information_of_symbols_is_the_entropy_of_whole_codes() -> None:
    codes = torch.tensor([[0, 1], [0, 1], [1, 0], [1, 1]])[:, None]
    assert float(symbol_information(codes)) == pytest.approx(1.5 * math.log(2))
    assert float(symbol_information(torch.zeros(5, 1, 2, 2, dtype=torch.long))) == 0


@pytest.mark.parametrize("n", [2, 3, 50])
def test_each_sample_gets_the_code_of_another(n: int) -> None:
    taken = others(n, torch.Generator().manual_seed(0))
    assert sorted(taken.tolist()) == list(range(n))
    assert bool((taken != torch.arange(n)).all())
