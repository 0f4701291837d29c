"""Nearest neighbours against sorted lists of all distances."""

import pytest
import torch

from urbild.ops import neighbours
from urbild.ops.neighbours import nearest_neighbours


@pytest.mark.parametrize(("queries", "stored", "k"), [(7, 20, 3), (1, 1, 1), (5, 4, 4), (0, 3, 2), (9, 200, 1)])
def test_equals_sorting_all_distances(monkeypatch, queries: int, stored: int, k: int) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(neighbours, "ROWS", 4)
    monkeypatch.setattr(neighbours, "COLUMNS", 16)
    generator = torch.Generator().manual_seed(0)
    x, s = torch.randn(queries, 6, generator=generator), torch.randn(stored, 6, generator=generator)
    found = nearest_neighbours(x, s, k)
    assert found.distance.shape == found.rows.shape == (queries, k)
    for row in range(queries):
        every = sorted((float((x[row] - other).double().norm()), number) for number, other in enumerate(s))[:k]
        assert found.rows[row].tolist() == [number for _, number in every]
        assert found.distance[row].tolist() == pytest.approx([distance for distance, _ in every], rel=1e-5)


def test_a_stored_vector_is_at_distance_zero_however_far_from_the_origin() -> None:
    stored = 1000 + torch.rand(50, 300, generator=torch.Generator().manual_seed(0))
    found = nearest_neighbours(stored, stored, 1)
    assert found.distance.eq(0).all()
    assert found.rows[:, 0].tolist() == list(range(50))


def test_a_row_does_not_depend_on_its_company() -> None:
    x = torch.rand(40, 64, generator=torch.Generator().manual_seed(0))
    together = nearest_neighbours(x[:20], x[20:], 3)
    for row in range(20):
        alone = nearest_neighbours(x[row : row + 1], x[20:], 3)
        assert torch.equal(alone.distance[0], together.distance[row])
