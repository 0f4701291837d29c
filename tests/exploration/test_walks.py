"""Ends are ends, arcs keep their length, directions add up exactly where the decoder is linear."""

import pytest
import torch
from explore_kit import codes, model, subspace

from urbild.errors import DataError, OptionError
from urbild.exploration import attribute, between, decoded, encoded, interpolate, shift, traverse


@pytest.mark.parametrize("name", ["vae", "autoencoder", "ganomaly", "gan", "unrolled_gan"])
@pytest.mark.parametrize("curve", ["spherical", "linear"])
def test_a_way_begins_and_ends_at_its_codes(name, curve):
    made = model(name)
    size = 6 if "gan" in name and name != "ganomaly" else 4
    a, b = codes(3, size).float(), codes(3, size, seed=1).float()
    shown = interpolate(made, a, b, steps=5, curve=curve)
    assert shown.shape == (3, 5, 6)
    torch.testing.assert_close(shown[:, 0], decoded(made, a))
    torch.testing.assert_close(shown[:, -1], decoded(made, b))


def test_an_arc_keeps_the_norm_and_turns_evenly():
    a, b = (torch.nn.functional.normalize(codes(4, 16, seed=seed)) * 3 for seed in (0, 1))
    points = between(a, b, torch.linspace(0, 1, 7))
    torch.testing.assert_close(points.norm(dim=2), torch.full((4, 7), 3.0, dtype=torch.float64))
    turns = (points[:, 1:] * points[:, :-1]).sum(2) / 9
    torch.testing.assert_close(turns, turns[:, :1].expand(-1, 6), atol=1e-6, rtol=0)
    assert (points[:, 0] == a).all()
    assert (between(a, 2 * b, torch.tensor([0.5]))[:, 0].norm(dim=1) - 4.5).abs().max() < 1e-9
    assert between(a, b, torch.tensor([0.5]), "linear")[:, 0].norm(dim=1).max() < 3


@pytest.mark.parametrize("end", [2.0, -1.0, 0.0])
def test_where_there_is_no_one_arc_the_way_is_straight(end):
    a = codes(2, 8)
    points = between(a, end * a, torch.linspace(0, 1, 5))
    torch.testing.assert_close(points[:, 2], (1 + end) / 2 * a)


def test_codes_of_any_shape_are_walked():
    a, b = codes(2, 12).reshape(2, 3, 2, 2), codes(2, 12, seed=1).reshape(2, 3, 2, 2)
    assert between(a, b, torch.linspace(0, 1, 4)).shape == (2, 4, 3, 2, 2)


def test_one_entry_takes_the_values_and_the_others_stay():
    made, z = subspace(), codes(2, 3)
    shown = traverse(made, z, 1, [-2.0, 0.0, 2.0])
    found = encoded(made, shown.flatten(0, 1)).reshape(2, 3, 3)
    torch.testing.assert_close(found[:, :, 1], torch.tensor([[-2.0, 0.0, 2.0]] * 2, dtype=torch.float64))
    torch.testing.assert_close(found[..., [0, 2]], z[:, None, [0, 2]].expand(-1, 3, -1))


def test_arithmetic_of_a_linear_model_is_exact():
    made = subspace()
    x, labels = codes(40, 6, seed=2), torch.arange(40) % 2
    z = encoded(made, x)
    direction = attribute(z, labels, plus=1, minus=0)
    versions = decoded(made, z)
    wanted = versions[labels == 1].mean(0) - versions[labels == 0].mean(0)
    shown = shift(made, z[:3], direction, [0.0, 1.0, 2.0])
    torch.testing.assert_close(shown, versions[:3, None] + torch.arange(3.0)[None, :, None] * wanted)


def test_what_cannot_be_walked():
    made, z = subspace(), codes(2, 3)
    with pytest.raises(OptionError, match="at least 2"):
        interpolate(made, z, z, steps=1)
    with pytest.raises(OptionError, match="entries 0 to 2, and no entry 3"):
        traverse(made, z, 3, [0.0])
    with pytest.raises(DataError, match="no sample has the label 5"):
        attribute(z, torch.zeros(2), plus=5, minus=0)
    with pytest.raises(OptionError, match="Nearest decodes no codes"):
        decoded(model("nearest"), z)
