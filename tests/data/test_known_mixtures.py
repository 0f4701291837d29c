"""Mixtures of known modes, and digits stacked as channels."""

import numpy as np
import pytest

from urbild.data import Preparation, Reading, as_records
from urbild.data.mixtures import MIXTURES
from urbild.data.stacked import stack_digits
from urbild.errors import DataError


@pytest.mark.parametrize(("name", "modes", "reach"), [("ring8", 8, 2.0), ("grid25", 25, 4.0)])
def test_a_mixture_has_its_modes_in_equal_shares(name, modes, reach):
    train, test = (as_records(name, reading=Reading(part=part)) for part in ("train", "test"))
    assert (len(train), len(test), train.kind) == (100_000, 10_000, "vector")
    mixture = MIXTURES[name]
    points, labels = train.block(np.arange(len(train))), train.labels
    assert len(mixture.centres) == modes
    assert np.abs(mixture.centres).max() == pytest.approx(reach)
    assert np.bincount(labels) / len(labels) == pytest.approx(np.full(modes, 1 / modes), abs=0.004)
    off = (points - mixture.centres[labels]) / mixture.deviation
    assert off.mean(0) == pytest.approx([0, 0], abs=0.02)
    assert np.cov(off.T) == pytest.approx(np.eye(2), abs=0.02)
    assert not set(map(tuple, points[:1000])) & set(map(tuple, test.block(np.arange(1000))))
    np.testing.assert_array_equal(points, as_records(name, reading=Reading(part="train")).block(np.arange(100_000)))


def test_digits_are_stacked_as_channels_and_read_as_a_number():
    digits = as_records("digits", reading=Reading(part="train"))
    stacks = stack_digits(digits, 500, digits=3, seed=1)
    assert stacks.shape == stacks.read(0).shape == (8, 8, 3)
    assert len(stacks.classes) == 1000
    images, own = digits.block(np.arange(len(digits)))[..., 0], digits.labels
    known = {image.tobytes(): label for image, label in zip(images, own, strict=True)}
    for row in (0, 7, 499):
        read = "".join(str(known[np.ascontiguousarray(stacks.read(row)[..., at]).tobytes()]) for at in range(3))
        assert stacks.classes[stacks.labels[row]] == read
        np.testing.assert_array_equal(stacks.select([3, row]).block(np.asarray([1]))[0], stacks.read(row))
    assert stacks.checksum != stack_digits(digits, 500, seed=2).checksum
    assert stacks.checksum == stack_digits(digits, 500, seed=1).checksum
    two = stack_digits(digits, 10, digits=2)
    assert (two.shape, two.classes[-1]) == ((8, 8, 2), "99")


def test_stacks_are_prepared_as_images():
    stacks = stack_digits(as_records("digits"), 40, digits=2)
    preparation = Preparation.fit(stacks)
    assert preparation.spec.shape == (2, 8, 8)
    (batch,) = preparation.source(stacks).batches()
    np.testing.assert_array_equal(preparation.restore(batch.x), stacks.block(np.arange(40)))


def test_what_cannot_be_stacked_is_refused():
    with pytest.raises(DataError, match="grey images, and a label"):
        stack_digits(as_records(np.zeros((4, 8, 8), np.uint8)), 10)
    with pytest.raises(DataError, match="grey images"):
        stack_digits(as_records(np.zeros((4, 8, 8, 3), np.uint8), y=[0, 1, 0, 1]), 10)
