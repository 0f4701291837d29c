"""Compressed size is a code length that says what is simple; mutation draws anew what it should and nothing else."""

import math
import os

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from urbild.errors import OptionError
from urbild.ops.complexity import CHOICE, _filtered, compressed_bits, mutate, symbols_of


def noise(n: int, channels: int, side: int, levels: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(levels, (n, channels, side, side), generator=generator) / (levels - 1)


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (3, 256), (1, 2), (1, 16), (2, 1 << 16)])
def test_noise_has_the_bits_of_its_symbols(channels: int, levels: int) -> None:
    x = noise(20, channels, 28, levels)
    bits = compressed_bits(x, levels) / x[0].numel()
    wanted = math.log2(levels)
    assert (bits >= wanted).all(), "no code is shorter than the noise"
    assert (bits < wanted + 0.1).all()


def test_an_image_of_one_value_has_next_to_none() -> None:
    bits = compressed_bits(torch.full((3, 1, 28, 28), 7 / 255), 256)
    assert bits.unique().numel() == 1
    assert bits.max() < 200


def test_smooth_images_are_smaller_than_textures_and_textures_than_noise() -> None:
    slope = (torch.arange(28) / 255).expand(28, 28)
    photo = torch.from_numpy(load_sample_images()["images"][0][200:228, 200:228, 0].copy()) / 255
    x = torch.stack([slope, photo, noise(1, 1, 28, 256)[0, 0]])[:, None]
    smooth, texture, random = compressed_bits(x, 256).tolist()
    assert smooth < 0.3 * texture < 0.3 * random


def test_each_row_alone_and_always_the_same() -> None:
    x = noise(5, 3, 9, 256)
    x[2] = 0.5
    together = compressed_bits(x, 256)
    assert torch.equal(together, compressed_bits(x, 256))
    assert torch.equal(together, torch.cat([compressed_bits(row[None], 256) for row in x]))
    assert torch.equal(together, compressed_bits(x.to(memory_format=torch.channels_last), 256))
    assert together.shape == (5,)
    assert compressed_bits(x[:0], 256).shape == (0,)


def test_the_bits_are_bounded_by_the_raw_bytes() -> None:
    for side in (1, 2, 5):
        x = noise(4, 1, side, 256)
        assert (compressed_bits(x, 256) <= 8 * (side * side + 5) + CHOICE).all(), "a stored block has 5 bytes besides"


def undone(filtered: "np.ndarray", kind: int) -> "np.ndarray":
    """The image [H, W, C] that a filter of PNG was put on, byte by byte as the specification has it."""
    height, width, channels = filtered.shape
    image = np.zeros((height, width, channels), np.int64)
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                a = image[row, column - 1, channel] if column else 0
                b = image[row - 1, column, channel] if row else 0
                c = image[row - 1, column - 1, channel] if row and column else 0
                p = a + b - c
                paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                prediction = (0, a, b, (a + b) // 2, paeth)[kind]
                image[row, column, channel] = (filtered[row, column, channel] + prediction) % 256
    return image


def test_the_filters_are_those_of_png() -> None:
    image = symbols_of(noise(2, 3, 7, 256), 256).movedim(1, -1).numpy().astype(np.uint8)
    image[1] //= 30  # many ties
    for kind, filtered in enumerate(_filtered(image)):
        for row in range(2):
            assert (undone(filtered[row].astype(np.int64), kind) == image[row]).all(), kind


@pytest.mark.data
def test_file_size_alone_tells_digits_from_clothes() -> None:
    """And says the opposite the other way round: no evidence for a model."""
    from sklearn.metrics import roc_auc_score

    from urbild.data import Reading, as_records

    if "URBILD_DATA" not in os.environ:
        pytest.skip("URBILD_DATA names no folder of real data")
    bits = []
    for name in ("fashion_mnist", "mnist"):
        records = as_records(name, reading=Reading(part="test"))
        images = torch.from_numpy(np.stack([records.read(row) for row in range(300)])).movedim(-1, 1) / 255
        bits.append(compressed_bits(images, 256))
    digit = np.r_[np.zeros(300), np.ones(300)]
    assert roc_auc_score(digit, -torch.cat(bits)) == pytest.approx(0.988, abs=0.012)


def test_a_rate_of_nothing_changes_nothing() -> None:
    x = symbols_of(noise(3, 3, 8, 256), 256)
    assert torch.equal(mutate(x, 256, 0.0), x)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_full_rate_is_uniform_noise(levels: int) -> None:
    x = mutate(torch.zeros(40, 1, 20, 20, dtype=torch.long), levels, 1.0, torch.Generator().manual_seed(1))
    counts = torch.bincount(x.flatten(), minlength=levels)
    expected = x.numel() / levels
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi2 - (levels - 1)) < 5 * math.sqrt(2 * max(1, levels - 1))


def test_the_rate_is_the_share_that_is_drawn_anew() -> None:
    x = symbols_of(noise(50, 1, 28, 256), 256)
    changed = (mutate(x, 256, 0.3, torch.Generator().manual_seed(1)) != x).float().mean()
    assert float(changed) == pytest.approx(0.3 * 255 / 256, abs=0.01), "a symbol of 256 adds nothing"


def test_mutation_follows_its_generator_and_keeps_to_the_levels() -> None:
    x = symbols_of(noise(2, 3, 8, 5), 5)
    first = mutate(x, 5, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(first, mutate(x, 5, 0.5, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, mutate(x, 5, 0.5, torch.Generator().manual_seed(2)))
    assert 0 <= first.min() <= first.max() <= 4
    torch.manual_seed(3)
    by_global = mutate(x, 5, 0.5)
    torch.manual_seed(3)
    assert torch.equal(by_global, mutate(x, 5, 0.5))


@pytest.mark.parametrize("levels", [0, 1, (1 << 16) + 1])
def test_levels_out_of_range(levels: int) -> None:
    with pytest.raises(OptionError, match="levels must be from 2 to 65536"):
        compressed_bits(torch.zeros(1, 1, 2, 2), levels)


@pytest.mark.parametrize("rate", [-0.1, 1.5, math.nan])
def test_a_rate_out_of_range(rate: float) -> None:
    with pytest.raises(OptionError, match="share from 0 to 1"):
        mutate(torch.zeros(1, 1, 2, 2, dtype=torch.long), 256, rate)
