"""Parzen windows in closed form."""

from math import log, pi, sqrt

import pytest
import torch

from urbild.ops import parzen


def test_one_centre_at_the_sample():
    found = parzen.parzen_log_density(torch.zeros(1, 784), torch.zeros(1, 784), 0.2)
    assert float(found) == pytest.approx(-784 * log(0.2 * sqrt(2 * pi)))
    assert float(found) == pytest.approx(541.4, abs=0.1)


def test_blocks_are_the_mixture(monkeypatch):
    torch.manual_seed(0)
    x, centres = torch.randn(7, 3), torch.randn(11, 3)
    normals = torch.distributions.MultivariateNormal(centres.double(), 0.25 * torch.eye(3, dtype=torch.float64))
    want = normals.log_prob(x.double()[:, None]).logsumexp(1) - log(11)
    monkeypatch.setattr(parzen, "ROWS", 2)
    monkeypatch.setattr(parzen, "COLUMNS", 3)
    torch.testing.assert_close(parzen.parzen_log_density(x, centres, 0.5), want)


def test_the_deviation_is_that_of_the_likeliest():
    torch.manual_seed(0)
    centres, x = torch.randn(500, 1), torch.randn(500, 1)
    assert parzen.best_deviation(x, centres, (0.001, 0.3, 30.0)) == 0.3
