"""PCA equals scikit-learn's, on the exact and on the streaming path."""

import numpy as np
import pytest
import torch
from models_kit import DIGITS, Rows, digits, train, vectors
from sklearn.decomposition import PCA

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.models.autoencoders import pca as module
from urbild.models.autoencoders.pca import Pca, pca


def _spec(size: int) -> DataSpec:
    return DataSpec(shape=(size,), kind="vector")


@pytest.mark.parametrize("exact", [4096, 0], ids=["exact", "streaming"])
@pytest.mark.parametrize("n", [1500, 300, 40])
def test_equals_scikit_learn(exact: int, n: int) -> None:
    x = digits()[0][:n].flatten(1)
    reference = PCA(10, svd_solver="full").fit(x.double().numpy())
    model = Pca(_spec(64), components=10, exact=exact)
    train(model, x)
    np.testing.assert_allclose(model.mean, reference.mean_, atol=1e-5)
    np.testing.assert_allclose(model.variances, reference.explained_variance_ * (n - 1) / n, rtol=1e-4)
    overlap = (model.directions.double().numpy() * reference.components_).sum(1)
    np.testing.assert_allclose(np.abs(overlap), 1, atol=1e-4)
    fresh = digits()[0][1600:].flatten(1)
    rebuilt = reference.inverse_transform(reference.transform(fresh.double().numpy()))
    expected = ((fresh.numpy() - rebuilt) ** 2).mean(1)
    np.testing.assert_allclose(model.anomaly(fresh).score, expected, rtol=1e-3)


def test_the_partial_eigensolver_of_large_covariances_equals_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(300, 40, rank=6, noise=0.5)
    whole, partial = Pca(_spec(40), components=6), Pca(_spec(40), components=6)
    train(whole, x)
    monkeypatch.setattr(module, "DENSE", 10)
    train(partial, x)
    torch.testing.assert_close(whole.directions, partial.directions, atol=1e-4, rtol=0)


@pytest.mark.parametrize("exact", [4096, 0], ids=["exact", "streaming"])
def test_reads_blocks_and_never_the_whole(exact: int) -> None:
    """Memory does not grow with the samples: no more than a block is asked for at a time."""
    source = Rows(_spec(8), vectors(1000, 8))
    Pca(_spec(8), components=2, exact=exact).solve(source)
    assert sum(map(len, source.asked)) >= 1000
    assert max(map(len, source.asked)) <= 256


def test_components_are_clipped_to_the_rank_of_the_data() -> None:
    flat = vectors(50, 12, rank=3, noise=0.0)
    for exact in (4096, 0):
        model = Pca(_spec(12), components=9, exact=exact)
        train(model, flat)
        assert model.directions.shape == (3, 12)
        assert model.anomaly(flat).score.max() < 1e-8
    two = Pca(_spec(12), components=9)
    train(two, flat[:2])
    assert two.directions.shape == (1, 12)


def test_codes_of_the_training_data_are_uncorrelated_with_the_variances_found() -> None:
    x = vectors(500, 12)
    model = Pca(_spec(12), components=3)
    train(model, x)
    covariance = np.cov(model.encode(x).numpy().T, bias=True)
    np.testing.assert_allclose(covariance, np.diag(model.variances), atol=1e-3)


def test_the_map_is_the_squared_residual() -> None:
    x, _ = digits()
    model = pca(DIGITS, components=5)
    assert isinstance(model, Pca)
    train(model, x)
    anomaly = model.anomaly(x[:4])
    residual = x[:4].flatten(1) - model.mean
    residual = residual - residual @ model.directions.mT @ model.directions
    assert anomaly.map is not None
    torch.testing.assert_close(anomaly.map.flatten(1), residual.square(), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(anomaly.score, anomaly.map.flatten(1).mean(1))


def test_no_components_are_refused() -> None:
    with pytest.raises(OptionError, match="components must be positive"):
        pca(DIGITS, components=0)
