"""Nearest neighbours equal scikit-learn's, and memory is bounded by options."""

import numpy as np
import pytest
import torch
from models_kit import DIGITS, Rows, auroc, digits, one_class, train, vectors
from sklearn.neighbors import NearestNeighbors

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.models.anomaly.nearest import Nearest, nearest
from urbild.ops.resampling import resize

VECTOR = DataSpec(shape=(7,), kind="vector")


def _fitted(spec: DataSpec, x: torch.Tensor, **options: int) -> Nearest:
    model = nearest(spec, **options)
    assert isinstance(model, Nearest)
    train(model, x)
    return model


@pytest.mark.parametrize("neighbours", [1, 4])
def test_equals_scikit_learn(neighbours: int) -> None:
    x, fresh = vectors(600, 7), vectors(50, 7, seed=1)
    model = _fitted(VECTOR, x, neighbours=neighbours)
    distance, rows = NearestNeighbors(n_neighbors=neighbours).fit(x.numpy()).kneighbors(fresh.numpy())
    anomaly = model.anomaly(fresh)
    np.testing.assert_allclose(anomaly.score, distance[:, -1] / np.sqrt(7), rtol=1e-4)
    assert anomaly.map is not None
    expected = (fresh.numpy() - x.numpy()[rows].mean(1)) ** 2
    np.testing.assert_allclose(anomaly.map, expected, rtol=1e-3, atol=1e-6)


def test_a_stored_sample_is_not_strange_at_all() -> None:
    x, _ = digits()
    model = _fitted(DIGITS, x)
    anomaly = model.anomaly(x[:100])
    assert anomaly.score.eq(0).all()
    assert anomaly.map is not None
    assert anomaly.map.eq(0).all()


def test_images_are_compared_at_the_working_resolution() -> None:
    spec = DataSpec(shape=(1, 48, 24), kind="image")
    x = torch.rand(30, *spec.shape, generator=torch.Generator().manual_seed(0))
    model = _fitted(spec, x[:20], resolution=16)
    assert model.stored.shape == (20, 16 * 8)
    small = resize(x, (16, 8)).flatten(1)
    expected = torch.cdist(small[20:], small[:20]).min(1).values / (16 * 8) ** 0.5
    torch.testing.assert_close(model.anomaly(x[20:]).score, expected, rtol=1e-3, atol=1e-5)


def test_no_more_than_the_limit_is_stored_and_read() -> None:
    source = Rows(VECTOR, x := vectors(2000, 7))
    model = nearest(VECTOR, limit=300)
    assert isinstance(model, Nearest)
    model.solve(source)
    asked = [row for rows in source.asked for row in rows]
    assert max(map(len, source.asked)) <= 256
    assert len(model.stored) == 300
    assert asked == sorted(set(asked))
    assert len(asked) == 300
    assert torch.equal(model.stored, x[asked])
    assert max(asked) > 1500, "the subset is drawn from everywhere"


def test_fewer_samples_than_neighbours() -> None:
    model = _fitted(VECTOR, vectors(3, 7), neighbours=10)
    assert torch.isfinite(model.anomaly(vectors(2, 7, seed=1)).score).all()


def test_it_learned() -> None:
    train_x, x, abnormal = one_class(6)
    assert auroc(_fitted(DIGITS, train_x), x, abnormal) > 0.97


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="limit must be positive"):
        nearest(VECTOR, limit=0)
