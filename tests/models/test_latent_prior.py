"""Facts of the prior over codes."""

import math
from dataclasses import replace

import pytest
import torch
from models_kit import DIGITS, Rows, digits, train

from urbild.catalogue import build
from urbild.contract import DataSpec
from urbild.errors import ArtifactError, DataError, OptionError
from urbild.models.autoregressive.code_parts import CodeSource, VqvaeCodes
from urbild.models.autoregressive.code_priors import GatedPrior, MaskedPrior, RecurrentPrior
from urbild.models.autoregressive.latent_prior import LatentPrior
from urbild.models.autoregressive.raster import Raster, check_memory
from urbild.nets.quantisers import Ema
from urbild.training import Plan, fit

CODES = VqvaeCodes(quantiser=Ema(codes=16), hidden=16, residual=1, code_size=8, down=1, learning_rate=2e-3)
PRIOR = GatedPrior(layers=2, width=16, learning_rate=5e-3)


def made(**options: object) -> LatentPrior:
    model = build("latent_prior", DIGITS, {"autoencoder": CODES, "prior": PRIOR, **options})
    assert isinstance(model, LatentPrior)
    return model


@pytest.fixture(scope="module")
def trained() -> LatentPrior:
    model = made()
    train(model, digits()[0][:1400], steps=600)
    return model


def test_the_codes_are_trained_first_and_stay_as_they_are() -> None:
    model = made()
    assert [stage.name for stage in model.stages()] == ["vqvae", "prior"]
    x = digits()[0][:200]
    train(model, x, steps=20)
    again = made()
    again.adopt(model.autoencoder)
    assert [stage.name for stage in again.stages()] == ["prior"]
    before = {name: value.clone() for name, value in again.autoencoder.state_dict().items()}
    train(again, x, steps=5)
    assert all(torch.equal(value, before[name]) for name, value in again.autoencoder.state_dict().items())
    with torch.no_grad():
        assert torch.equal(again.encode(x[:5]), model.encode(x[:5]))


def test_the_prior_is_trained_on_the_codes(trained: LatentPrior) -> None:
    x = digits()[0][:50]
    source = CodeSource(trained, Rows(DIGITS, x), trained.prior.spec)
    batch = source.fetch([3, 1])
    assert torch.equal(trained.prior.head.symbols(batch.x), trained.encode(x[[3, 1]]))
    assert source.spec.levels == 16
    assert source.spec.shape == (1, 4, 4)


def test_the_prior_knows_more_than_how_often_codes_are_used(trained: LatentPrior) -> None:
    """Uniform, unigram and autoregressive codes cost bits in falling order, on digits that were not trained on."""
    x = digits()[0]
    with torch.no_grad():
        seen, fresh = trained.encode(x[:1400]), trained.encode(x[1400:])
        bits = float(trained.code_bits(x[1400:])[0].mean()) / 16
    share = torch.bincount(seen.flatten(), minlength=16) + 1.0
    unigram = -float((share / share.sum()).log2()[fresh].mean())
    assert bits < unigram - 0.1
    assert unigram < 4.0


def test_samples_are_decoded_codes(trained: LatentPrior) -> None:
    drawn = trained.sample(64, generator=torch.Generator().manual_seed(0))
    codes = trained.prior.sample(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, trained.decode(trained.prior.head.symbols(codes)))
    assert len(drawn.unique(dim=0)) > 60


def test_completion_keeps_what_is_seen(trained: LatentPrior) -> None:
    x = digits()[0][1400:1404]
    observed = torch.zeros(4, 8, 8, dtype=torch.bool)
    observed[:, :4] = True
    with torch.no_grad():
        made = trained.complete(x, observed, generator=torch.Generator().manual_seed(0))
        hidden = torch.where(observed[:, None], x, 1 - x)
        again = trained.complete(hidden, observed, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made[:, :, :4], x[:, :, :4])
    assert torch.equal(made, again), "what is hidden has no say"


def test_scores_are_bits_of_codes(trained: LatentPrior) -> None:
    x = digits()[0][1400:1450]
    with torch.no_grad():
        anomaly, strange = trained.anomaly(x), trained.anomaly(torch.rand(50, 1, 8, 8))
        bits, _, (sites,) = trained.code_bits(x)
    assert anomaly.map is not None
    assert torch.allclose(anomaly.map[:, ::2, ::2], sites)
    assert torch.allclose(bits, sites.flatten(1).sum(1), rtol=1e-4)
    assert strange.score.mean() > anomaly.score.mean()


def test_classes_are_learnt_and_wanted() -> None:
    spec = replace(DIGITS, classes=tuple("0123456789"))
    model = build("latent_prior", spec, {"autoencoder": CODES, "prior": PRIOR, "conditional": True})
    before = {name: value.clone() for name, value in model.named_parameters()}
    with pytest.raises(DataError, match="training samples have no label"):
        fit(model, Rows(spec, digits()[0][:64]), Plan(steps=4, batch=16, precision="32", device="cpu"))
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters()), "before any training"
    with pytest.raises(OptionError, match="these have no classes"):
        made(conditional=True)
    assert isinstance(model, LatentPrior)
    for given in (torch.tensor(3), torch.tensor([3.0, 1.0]), torch.tensor([[3, 1]])):
        with pytest.raises(OptionError, match=r"whole numbers, one for each sample.*int64 \[N\]"):
            model.sample(2, given=given)
    for prior in (MaskedPrior(), RecurrentPrior()):
        with pytest.raises(OptionError, match="take GatedPrior"):
            build("latent_prior", spec, {"autoencoder": CODES, "prior": prior, "conditional": True})


def test_any_prior_takes_any_codes() -> None:
    for prior in (MaskedPrior(blocks=1, width=4), RecurrentPrior(kind="row", layers=1, width=4)):
        model = made(prior=prior, autoencoder=replace(CODES, groups=2))
        train(model, digits()[0][:64], steps=4, batch=16)
        assert model.sample(2, generator=torch.Generator().manual_seed(0)).shape == (2, 1, 8, 8)


def test_another_autoencoder_is_refused() -> None:
    other = made(autoencoder=replace(CODES, hidden=8)).autoencoder
    with pytest.raises(ArtifactError, match="has other options"):
        made().adopt(other)


def test_a_prior_that_memory_cannot_hold_is_refused_with_an_estimate() -> None:
    symbols = torch.zeros(1, dtype=torch.long).expand(64, 1, 2048, 2048)
    with pytest.raises(OptionError, match=r"26388 GB to train"):
        check_memory(symbols, 8192)
    model = build("pixelcnn", DataSpec(shape=(1, 8, 8), kind="image", levels=4), {})
    assert isinstance(model, Raster)


def test_early_stopping_looks_at_the_codes_of_held_out_samples() -> None:
    model, x = made(), digits()[0][:96]
    plan = Plan(steps=6, batch=16, precision="32", device="cpu")
    found = fit(model, Rows(DIGITS, x[:64]), plan, validation=Rows(DIGITS, x[64:]))
    rows = [row for row in found.rows if (row.stage, row.split) == ("prior", "validation")]
    assert rows
    with torch.no_grad():
        bits = model.eval().code_bits(x[64:])[0]
    assert rows[-1].value == pytest.approx(float(bits.mean()) * math.log(2), rel=1e-5)


def test_it_is_refused_before_its_autoencoder_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr("urbild.models.autoregressive.raster.os.sysconf", lambda _: 100)
    with pytest.raises(OptionError, match="16 numbers for each of 4 x 4 sites of 16 samples"):
        train(model, digits()[0][:64], steps=4, batch=16)
    assert all(torch.equal(value, before[name]) for name, value in model.autoencoder.named_parameters("autoencoder"))
