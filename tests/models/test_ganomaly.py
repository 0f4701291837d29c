"""Facts of GANomaly: its score's formula, losses by equation, and turns that do not touch each other."""

import pytest
import torch
from models_kit import DIGITS, auroc, brightness_auroc, digits, one_class, train
from torch.nn.functional import binary_cross_entropy_with_logits

from urbild.contract import Batch, DataSpec
from urbild.models.anomaly.ganomaly import Ganomaly, ganomaly


def _model(**options: float) -> Ganomaly:
    torch.manual_seed(0)
    model = ganomaly(DIGITS, latent=5, width=6, **options)  # type: ignore[arg-type]
    assert isinstance(model, Ganomaly)
    return model


def test_the_score_is_the_mean_squared_distance_of_the_two_codes() -> None:
    model = train(_model(), digits()[0][:200], steps=5)
    assert isinstance(model, Ganomaly)
    x = digits()[0][200:210]
    with torch.no_grad():
        z = model.encoder(2 * x - 1)
        version = model.decoder(z)
        again = model.second(version)
        anomaly = model.anomaly(x)
        expected = torch.stack([sum((a - b) ** 2 for a, b in zip(*pair)) / 5 for pair in zip(z, again)])  # noqa: B905
        torch.testing.assert_close(anomaly.score, expected)
        residual = (x - (version + 1) / 2).square().mean(1)
        assert anomaly.map is not None
        torch.testing.assert_close(anomaly.map, residual)


def test_the_losses_are_those_of_the_paper() -> None:
    model, x = _model(contextual=7.0), digits()[0][:32]
    batch = Batch(x=x, index=torch.arange(32))
    found = model.generator_loss(batch)
    working = 2 * x - 1
    z = model.encoder(working)
    version = model.decoder(z)
    torch.testing.assert_close(found["contextual"], (working - version).abs().mean())
    torch.testing.assert_close(found["codes"], (z - model.second(version)).square().mean())
    gap = model.features(working) - model.features(version)
    torch.testing.assert_close(found["adversarial"], gap.square().mean())
    torch.testing.assert_close(found["loss"], found["adversarial"] + 7 * found["contextual"] + found["codes"])
    real, fake = model.verdict(model.features(working)), model.verdict(model.features(version))
    entropy = binary_cross_entropy_with_logits(real, torch.ones_like(real))
    entropy += binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(model.discriminator_loss(batch)["loss"], entropy / 2)


def test_the_discriminators_loss_does_not_reach_the_generator() -> None:
    model = _model()
    model.discriminator_loss(Batch(x=digits()[0][:8], index=torch.arange(8)))["loss"].backward()
    for module in (model.encoder, model.decoder, model.second):
        assert all(parameter.grad is None for parameter in module.parameters())
    assert all(parameter.grad is not None for parameter in model.verdict.parameters())


def test_the_score_does_not_depend_on_the_company_although_training_normalises_by_it() -> None:
    """Published numbers were taken with batch statistics: an image then scores differently among anomalies."""
    train_x, x, abnormal = one_class(4)
    model = train(_model(), train_x, steps=20)
    assert isinstance(model, Ganomaly)
    normal, strange = x[~abnormal][:8], x[abnormal][:24]
    with torch.no_grad():
        alone = model.anomaly(normal).score
        among = model.anomaly(torch.cat([strange, normal])).score[24:]
        torch.testing.assert_close(alone, among, rtol=1e-4, atol=0)
        model.train()
        leaky = model.anomaly(torch.cat([strange, normal])).score[24:]
    assert not torch.allclose(alone, leaky, rtol=1e-2)


@pytest.mark.parametrize("size", [(28, 28), (33, 20), (5, 40)])
def test_images_of_any_size_come_back_at_theirs(size: tuple[int, int]) -> None:
    spec = DataSpec(shape=(2, *size), kind="image")
    model = ganomaly(spec, latent=4, width=2).eval()
    assert isinstance(model, Ganomaly)
    with torch.no_grad():
        version = model.reconstruct(torch.rand(1, *spec.shape))
    assert version.shape == (1, *spec.shape)
    assert version.min() >= 0
    assert version.max() <= 1


def test_it_learned() -> None:
    """One digit is normal: above the distance of mean brightness."""
    train_x, x, abnormal = one_class(6)
    torch.manual_seed(0)
    model = train(ganomaly(DIGITS, latent=16, width=16, learning_rate=2e-3), train_x, steps=200, batch=32)
    assert auroc(model, x, abnormal) > max(0.9, brightness_auroc(train_x, x, abnormal) + 0.1)
