"""Facts of the VQ-VAE: what decoding starts from, symmetry of the codebook, the loss by its formula, and learning."""

import math
from dataclasses import replace

import pytest
import torch
from models_kit import DIGITS, Rows, auroc, brightness_auroc, digits, one_class, train
from torch import Tensor

from urbild.contract import Batch, DataSpec
from urbild.models.variational.vqvae import Vqvae, data_variance, vqvae
from urbild.nets.observations import Bernoulli, Categorical, Discretised, Gaussian, LogisticMixture, Observation
from urbild.nets.quantisers import Ema, Gradient, Gumbel, Quantiser

SMALL = {"hidden": 8, "residual": 1, "code_size": 4}
PARTS = [Ema(codes=16), Ema(codes=16, gradient="rotation"), Gradient(codes=16), Gumbel(codes=16)]
every_part = pytest.mark.parametrize("part", PARTS, ids=repr)


def build(spec: DataSpec = DIGITS, **options) -> Vqvae:  # type: ignore[no-untyped-def]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = vqvae(spec, **{**SMALL, **options})
    assert isinstance(model, Vqvae)
    return model.eval()


def batch(x: Tensor) -> Batch:
    return Batch(x=x, index=torch.arange(len(x)))


@every_part
@pytest.mark.parametrize("groups", [1, 2])
def test_decoding_the_symbols_is_the_reconstruction(part: Quantiser, groups: int) -> None:
    model, x = build(quantiser=part, groups=groups), digits()[0][:6]
    with torch.no_grad():
        z = model.encode(x)
        assert z.dtype == torch.int64
        assert z.shape == (6, *model.code_spec.shape) == (6, groups, 2, 2)
        assert model.code_spec.levels == 16
        assert torch.equal(model.decode(z), model.reconstruct(x))
        said = model.quantiser(model.features(x))
        assert torch.equal(model.reader.mean(model.decoder(said.z_q)), model.reconstruct(x)), "the forward pass"


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 5), (41, 27)])
@pytest.mark.parametrize("down", [1, 2, 3])
def test_any_size_comes_back(size: tuple[int, int], down: int) -> None:
    spec = DataSpec(shape=(3, *size), kind="image", levels=256)
    model = build(spec, down=down)
    with torch.no_grad():
        x = torch.rand(2, *spec.shape)
        assert model.encode(x).shape[1:] == model.code_spec.shape
        assert model.reconstruct(x).shape == x.shape


def test_a_codebook_may_be_reordered_with_its_symbols() -> None:
    model, x = build(quantiser=Ema(codes=16)), digits()[0][:20]
    model.train()
    model.loss(batch(x))
    model.eval()
    with torch.no_grad():
        before, z, score = model.reconstruct(x), model.encode(x), model.anomaly(x).score
        order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
        book = model.quantiser.books[0]
        book.codes.copy_(book.codes[order].clone())
        torch.testing.assert_close(model.reconstruct(x), before)
        torch.testing.assert_close(model.anomaly(x).score, score)
        assert torch.equal(order[model.encode(x)], z)


def test_with_a_code_for_each_encoding_it_is_the_plain_autoencoder() -> None:
    model, x = build(quantiser=Ema(codes=80)), digits()[0][:20]
    with torch.no_grad():
        z = model.features(x)
        model.quantiser.books[0].codes.copy_(z.movedim(1, -1).reshape(80, 4))
        torch.testing.assert_close(model.reconstruct(x), model.reader.mean(model.decoder(z)))


@every_part
def test_the_loss_is_independent_of_the_batch_size(part: Quantiser) -> None:
    model, x = build(quantiser=part), digits()[0][:6]
    with torch.no_grad():
        torch.testing.assert_close(model.loss(batch(x))["loss"], model.loss(batch(x.repeat(3, 1, 1, 1)))["loss"])


def test_the_loss_is_that_of_the_paper() -> None:
    model, x = build(quantiser=Gradient(codes=16, commitment=0.5)), digits()[0][:6]
    model.reader.variance.fill_(0.2)
    with torch.no_grad():
        z = model.features(x)
        q = model.quantiser.lookup(model.quantiser.indices(z))
        expected = (model.decoder(q) + 0.5 - x).square().mean() / 0.2 + 1.5 * (z - q).square().mean()
        torch.testing.assert_close(model.loss(batch(x))["loss"], expected)


def test_a_relaxed_choice_gives_a_bound_in_nats_of_an_entry() -> None:
    model, x = build(quantiser=Gumbel(codes=16), likelihood=Bernoulli()), digits()[0][:6]
    with torch.no_grad():
        logits = model.quantiser.books[0].logits(model.features(x).movedim(1, -1))
        q = torch.distributions.Categorical(logits=logits)
        kl = (math.log(16) - q.entropy()).flatten(1).sum(1).mean()
        nats = -model.reader.head.log_likelihood(x, model.decoder(model.quantiser.lookup(model.encode(x)))).mean()
        torch.testing.assert_close(model.loss(batch(x))["loss"], (nats + kl) / 64)


def test_the_solver_takes_the_variance_of_the_data() -> None:
    x = digits()[0]
    assert data_variance(Rows(DIGITS, x)) == pytest.approx(float(x.double().var(correction=0)))
    model = train(build(), x[:100], steps=2)
    torch.testing.assert_close(model.reader.variance, x[:100].var(correction=0))


def test_the_loss_under_autocast_is_that_of_single_precision() -> None:
    model, x = build(quantiser=Ema(codes=16), likelihood=Discretised()), digits()[0][:64]
    model.train()
    model.loss(batch(x))
    model.eval()
    with torch.no_grad():
        wide = model.loss(batch(x))
        with torch.autocast("cpu", torch.bfloat16):
            narrow = model.loss(batch(x))
    assert narrow["loss"].dtype == torch.float32
    torch.testing.assert_close(narrow["loss"], wide["loss"], rtol=0.02, atol=0)


@pytest.mark.parametrize("part", PARTS[:3], ids=repr)
def test_symbols_say_more_than_the_mean_image_and_than_principal_components_of_equal_bits(part: Quantiser) -> None:
    """4 positions of 6 bits against the 3 components of 8 bits that they pay for."""
    x = digits()[0]
    seen, fresh = x[:1500], x[1500:]
    model = build(quantiser=replace(part, codes=64), hidden=32, code_size=16, learning_rate=0.003)
    train(model, seen, steps=400)
    with torch.no_grad():
        error = (model.reconstruct(fresh) - fresh).square().mean()
    centred, mean = fresh.flatten(1) - seen.flatten(1).mean(0), seen.flatten(1).mean(0)
    basis = torch.linalg.svd(seen.flatten(1) - mean, full_matrices=False).Vh[:3]
    floor = (centred - centred @ basis.mT @ basis).square().mean()
    assert floor < centred.square().mean()
    assert error < 0.9 * floor


def test_a_discrete_vae_learned() -> None:
    x = digits()[0]
    seen, fresh = x[:1500], x[1500:]
    part = Gumbel(codes=32, weight=0.3)
    model = build(quantiser=part, hidden=32, code_size=16, likelihood=Bernoulli(), learning_rate=0.003)
    train(model, seen, steps=400)
    with torch.no_grad():
        error = (model.reconstruct(fresh) - fresh).square().mean()
    assert error < 0.75 * (fresh - seen.mean(0)).square().mean()


@pytest.mark.parametrize(
    "likelihood", [Gaussian(), Discretised(), Categorical(), LogisticMixture(components=3)], ids=repr
)
def test_likelihoods_learn(likelihood: Observation) -> None:
    x = digits()[0]
    model = build(quantiser=Ema(codes=32), hidden=16, likelihood=likelihood, learning_rate=0.003)
    with torch.no_grad():
        before = model.loss(batch(x[1500:]))["distortion"]
    train(model, x[:1500], steps=80)
    with torch.no_grad():
        after = model.loss(batch(x[1500:]))["distortion"]
    assert after < before - 0.1
    if not isinstance(likelihood, Gaussian):
        assert after < math.log(17), "below equal levels"


def test_it_finds_other_digits() -> None:
    train_x, x, abnormal = one_class(6)
    model = train(build(quantiser=Ema(codes=32), hidden=32, code_size=16, learning_rate=0.003), train_x, steps=250)
    assert auroc(model, x, abnormal) > max(0.9, brightness_auroc(train_x, x, abnormal) + 0.1)
