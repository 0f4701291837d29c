"""Facts of the autoencoder: a linear one is PCA, and a deep one sees strange digits."""

from typing import Literal

import numpy as np
import pytest
import torch
from models_kit import DIGITS, auroc, brightness_auroc, one_class, train, vectors
from scipy.linalg import subspace_angles
from torch import nn

from urbild.contract import Batch, DataSpec
from urbild.models.autoencoders.autoencoder import Autoencoder, autoencoder
from urbild.models.autoencoders.pca import Pca


def test_a_linear_one_spans_the_principal_subspace() -> None:
    """Baldi and Hornik 1989: its optimum has the error of PCA, and its decoder spans the leading eigenvectors."""
    spec, x = DataSpec(shape=(8,), kind="vector"), vectors(200, 8, noise=0.3)
    torch.manual_seed(0)
    linear = Autoencoder(spec, nn.Linear(8, 3), nn.Linear(3, 8), learning_rate=0.1)
    train(linear, x, steps=800, batch=200)
    reference = Pca(spec, components=3)
    train(reference, x)
    angles = subspace_angles(linear.decoder.weight.detach().numpy(), reference.directions.numpy().T)
    assert np.rad2deg(angles.max()) < 5
    with torch.no_grad():
        error, best = linear.anomaly(x).score.mean(), reference.anomaly(x).score.mean()
    assert best <= error * (1 + 1e-5)
    assert error <= 1.01 * best


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_the_score_is_the_squared_error_that_was_trained(network: Literal["dense", "convolutional"]) -> None:
    train_x, x, _ = one_class(3)
    model = train(autoencoder(DIGITS, latent=3, width=4, network=network), train_x, steps=3)
    assert isinstance(model, Autoencoder)
    with torch.no_grad():
        version, anomaly = model.reconstruct(x[:5]), model.anomaly(x[:5])
        expected = ((x[:5] - version) ** 2).mean(dim=(1, 2, 3))
        torch.testing.assert_close(anomaly.score, expected)
        assert anomaly.map is not None
        torch.testing.assert_close(anomaly.map.mean(dim=(1, 2)), expected)
        raw = model.decoder(model.encoder(x[:5]))
        loss = model.loss(Batch(x=x[:5], index=torch.arange(5)))["loss"]
        torch.testing.assert_close(loss, ((x[:5] - raw) ** 2).sum() / 5)


def test_it_learned() -> None:
    """Above the distance of mean brightness, on digits it never saw."""
    train_x, x, abnormal = one_class(6)
    torch.manual_seed(0)
    model = train(autoencoder(DIGITS, latent=8, width=32), train_x, steps=250)
    assert auroc(model, x, abnormal) > max(0.97, brightness_auroc(train_x, x, abnormal) + 0.1)
