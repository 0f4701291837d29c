"""Maps keep what they promise, and pictures can be read by others."""

from io import BytesIO

import numpy as np
import pytest
import torch
from explore_kit import codes
from PIL import Image

from urbild.errors import DataError
from urbild.exploration import map2d, scatter
from urbild.ops.sheets import labelled


def apart(points, labels):
    """The distance of two groups' centres in units of their spread."""
    first, second = points[labels == 0], points[labels == 1]
    return np.linalg.norm(first.mean(0) - second.mean(0)) / max(first.std(), second.std())


def test_a_plane_of_codes_keeps_all_distances_where_they_lie_in_one():
    z = codes(30, 2) @ codes(2, 10, seed=1)
    found = map2d(z)
    assert found.explained == pytest.approx(1)
    np.testing.assert_allclose(torch.pdist(torch.from_numpy(found.points)), torch.pdist(z))
    assert (map2d(codes(9, 1)).points[:, 1] == 0).all()


def test_symbols_are_mapped_as_if_written_one_hot():
    symbols = torch.from_numpy(np.random.default_rng(0).integers(0, 4, size=(40, 1, 3, 3)))
    one_hot = torch.nn.functional.one_hot(symbols.flatten(1)).flatten(1).double()
    found, wanted = map2d(symbols), map2d(one_hot)
    assert found.explained == pytest.approx(wanted.explained)
    # two one-hot codes are apart, squared, twice the places that differ
    np.testing.assert_allclose(np.abs(found.points) * np.sqrt(2 * 9), np.abs(wanted.points), atol=1e-9)


@pytest.mark.parametrize("symbols", [False, True])
def test_neighbours_stay_together(symbols):
    labels = np.arange(60) % 2
    groups = torch.from_numpy(labels)[:, None]
    z = (
        torch.from_numpy(np.random.default_rng(0).integers(0, 3, size=(60, 8))) + 10 * groups
        if symbols
        else 0.2 * codes(60, 8) + 3 * groups
    )
    found = map2d(z, method="tsne", seed=1)
    assert found.points.shape == (60, 2)
    assert apart(found.points, labels) > 1.5
    assert (map2d(z, method="tsne", seed=1).points == found.points).all()


def test_what_cannot_be_mapped():
    with pytest.raises(DataError, match="at least 5 codes"):
        map2d(codes(4, 3))
    with pytest.raises(DataError, match="all 6 codes are the same"):
        map2d(torch.ones(6, 3))


def test_words_stand_above_and_are_not_cut():
    picture = np.full((12, 20, 3), 90, np.uint8)
    found = labelled(picture, "drawn from a Gaussian fitted to 30 codes")
    assert (found[-12:, :20] == picture).all()
    assert found.shape[1] > 150
    assert labelled(np.zeros((12, 900, 3), np.uint8), "words").shape[1] == 900


@pytest.mark.parametrize("labels", [None, np.arange(30) % 3 - 1])
def test_a_scatter_is_a_picture(labels):
    data = scatter(codes(30, 2).numpy(), labels, ("a", "b"), title="codes")
    with Image.open(BytesIO(data)) as picture:
        assert picture.size == (900, 700)
