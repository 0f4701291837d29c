"""A search finds the code that a sample was decoded from, and no sample's code depends on its neighbours."""

import pytest
import torch
from explore_kit import IMAGES, codes, model, subspace

from urbild.errors import OptionError
from urbild.exploration import ENCODED, decoded, encoded, fitted_law, project


def test_a_linear_decoder_gives_its_codes_back():
    made, z = subspace(), 3 * codes(8, 3)
    found = project(made, decoded(made, z), law=fitted_law(3 * codes(50, 3, seed=1)), encoder=False)
    torch.testing.assert_close(found.z, z, atol=2e-3, rtol=0)
    assert found.error.max() < 1e-5
    assert (found.start >= 0).all()
    torch.testing.assert_close(found.x, decoded(made, found.z))


def test_a_batch_is_its_samples_one_by_one():
    made = model("gan").double()
    x = codes(5, 6)
    whole = project(made, x, steps=40)
    alone = [project(made, x[row : row + 1], steps=40) for row in range(5)]
    torch.testing.assert_close(whole.z, torch.cat([one.z for one in alone]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.error, torch.cat([one.error for one in alone]), atol=1e-5, rtol=1e-5)
    assert (project(made, x, steps=40).z == whole.z).all()


def test_the_code_of_a_generated_sample_is_found():
    made = model("gan", IMAGES)
    x = decoded(made, codes(4, 100).float())
    floor = project(made, x, steps=0)
    found = project(made, x)
    assert (found.error < floor.error).all()
    assert found.error.mean() < 0.1 * floor.error.mean()


def test_an_encoder_is_a_start_and_the_search_never_makes_it_worse():
    made = model("autoencoder")
    x = codes(6, 6).float()
    found = project(made, x, starts=0, steps=30)
    assert (found.start == ENCODED).all()
    before = (decoded(made, encoded(made, x)) - x).square().mean(1)
    assert (found.error <= before + 1e-6).all()
    assert (found.error < before - 1e-6).any()


def test_latents_of_a_uniform_prior_stay_in_its_range():
    from urbild.nets.priors import Uniform

    made = model("gan", prior=Uniform())
    found = project(made, 5 * codes(3, 6).float(), steps=60, rate=0.5)
    assert found.z.abs().max() <= 1 + 1e-6


def test_a_conditional_model_is_told_the_class():
    from dataclasses import replace

    from explore_kit import ROWS

    made = model("conditional_gan", replace(ROWS, classes=("a", "b")))
    z, given = codes(4, 6).float(), torch.tensor([1, 0, 1, 0])
    x = decoded(made, z, given=given)
    right, wrong = project(made, x, given=given), project(made, x, given=1 - given)
    assert right.error.mean() < wrong.error.mean()


def test_what_cannot_be_searched():
    x = codes(2, 6).float()
    with pytest.raises(OptionError, match="nowhere to start"):
        project(model("gan"), x, starts=0)
    with pytest.raises(OptionError, match="nowhere to start"):
        project(model("autoencoder"), x, encoder=False)
    with pytest.raises(OptionError, match="cannot be negative"):
        project(model("gan"), x, steps=-1)
    with pytest.raises(OptionError, match="are symbols"):
        project(model("vqvae", IMAGES), torch.rand(2, 1, 8, 8))
