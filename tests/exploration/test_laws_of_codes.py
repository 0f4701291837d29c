"""Codes are drawn from a model's own prior, or from a density that says that it was fitted."""

from math import erf, sqrt

import numpy as np
import pytest
import torch
from explore_kit import IMAGES, codes, model

from urbild.errors import DataError, OptionError
from urbild.exploration import decoded, fitted_law, own_law
from urbild.nets.priors import Uniform


def drawn(law, n=4000, **options):
    return law.draw(n, generator=torch.Generator().manual_seed(0), **options)


def test_a_model_that_samples_has_its_prior():
    assert "normal" in own_law(model("vae")).label
    assert "uniform" in own_law(model("gan", prior=Uniform())).label
    assert own_law(model("unrolled_gan")).mean.shape == (6,)
    for name in ("pca", "autoencoder", "ganomaly"):
        assert own_law(model(name)) is None
    assert own_law(model("vqvae", IMAGES)) is None


@pytest.mark.parametrize("name", ["vae", "gan", "unrolled_gan"])
def test_samples_of_a_model_are_decoded_draws_of_its_law(name):
    made = model(name)
    with torch.no_grad():
        sampled = made.sample(5, generator=torch.Generator().manual_seed(3))
    z = own_law(made).draw(5, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(decoded(made, z), sampled)


def test_a_truncated_normal_has_the_deviation_of_theory():
    z = drawn(own_law(model("vae")), truncation=1.0)
    density = np.exp(-0.5) / sqrt(2 * np.pi)
    assert z.abs().max() <= 1
    assert z.std() == pytest.approx(sqrt(1 - 2 * density / erf(1 / sqrt(2))), abs=0.01)


def test_moments_of_a_uniform_prior():
    law = own_law(model("gan", prior=Uniform()))
    z = drawn(law)
    assert law.bound == 1
    torch.testing.assert_close(z.std(0), law.scale, atol=0.02, rtol=0)


@pytest.mark.parametrize("density", ["gaussian", "kernel"])
def test_a_fitted_density_has_the_moments_of_the_codes_and_says_so(density):
    mixing = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0]], dtype=torch.float64)  # rank 2 of 3: no noise in the third
    z = codes(400, 2) @ mixing + 5
    law = fitted_law(z, density)
    assert law.fitted
    assert "fitted to 400 codes" in law.label
    found = drawn(law)
    torch.testing.assert_close(found.mean(0).double(), z.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(found.T.cov().double(), z.T.cov(), atol=0.9, rtol=0.15)
    assert found[:, 2].std() < 1e-5


def test_a_kernel_density_keeps_two_groups_apart_where_a_gaussian_does_not():
    z = 0.1 * codes(200, 2) + torch.tensor([[-3.0, 0.0], [3.0, 0.0]]).repeat(100, 1)
    between = {name: (drawn(fitted_law(z, name))[:, 0].abs() < 1.5).float().mean() for name in ("gaussian", "kernel")}
    assert between["gaussian"] > 0.3
    assert between["kernel"] < 0.01


def test_what_no_law_can_do():
    with pytest.raises(OptionError, match="only a normal law can be truncated"):
        drawn(own_law(model("gan", prior=Uniform())), truncation=1.0)
    with pytest.raises(OptionError, match="only a normal law can be truncated"):
        drawn(fitted_law(codes(10, 2), "kernel"), truncation=1.0)
    with pytest.raises(OptionError, match="above 0"):
        drawn(own_law(model("vae")), truncation=0.0)
    with pytest.raises(DataError, match="at least 3 samples"):
        fitted_law(codes(2, 2))
    with pytest.raises(DataError, match="all codes are the same"):
        fitted_law(torch.ones(5, 2))
