"""Complexity of images: bits under a lossless compressor, and inputs mutated for a background model.

A likelihood ranks simple foreign images as more normal than the training data. Two corrections take out what any
image of that complexity would get:

    S(x) = -log2 p(x) - L(x)            L the bits of x under a compressor: a ratio against it as background model
    LLR(x) = ln p(x) - ln p_bg(x)       the background model trained on mutated inputs

Both are sums over the whole image, bits with bits and nats with nats.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from math import ceil, log2
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbild.errors import OptionError

Bytes: TypeAlias = NDArray[np.uint8]

MOST_LEVELS = 1 << 16
CHOICE = 3  # bits that say which of at most eight forms was taken: without them L would be no code
SMALLEST_DICTIONARY = 1 << 12  # of LZMA, in bytes


def compressed_bits(x: Tensor, levels: int) -> Tensor:
    """Bits [N] of images under the best of some lossless forms; row i depends on x[i] alone.

    The forms are raw Deflate of the symbols behind each filter of PNG (none, left, up, average, Paeth; one for the
    whole image), of symbols below 8 bits also packed, and bzip2 and LZMA of the best filter's bytes. No form has the
    headers of a file; three bits are added for the choice. Pixels are in raster order, their channels together;
    symbols of more than 8 bits are two bytes, high byte first.

    Args:
        x: [N, C, H, W] in [0, 1].
        levels: distinct values of a channel, at most 65,536; x is rounded to them.

    Raises:
        OptionError: `levels` is out of range.

    Source: Serra et al. 2019, Input complexity and out-of-distribution detection (https://arxiv.org/abs/1909.11480),
    equation 2; PNG specification, third edition, section 9 (filters).
    """
    symbols = symbols_of(x, levels).movedim(1, -1).cpu().numpy()  # [N, H, W, C]
    if levels > 256:
        pairs = np.stack([symbols >> 8, symbols & 255], axis=-1).astype(np.uint8)
        image = pairs.reshape(*symbols.shape[:3], -1)
    else:
        image = symbols.astype(np.uint8)
    packed = _packed(image, levels)
    forms = list(_filtered(image))
    bits = [8 * _smallest([form[row] for form in forms], packed[row]) + CHOICE for row in range(len(image))]
    return torch.tensor(bits, dtype=torch.float32, device=x.device)


def symbols_of(x: Tensor, levels: int) -> Tensor:
    """Whole numbers 0 to levels - 1, int64, of values in [0, 1].

    Raises:
        OptionError: `levels` is out of range.
    """
    if not 2 <= levels <= MOST_LEVELS:
        msg = f"levels must be from 2 to {MOST_LEVELS}, and is {levels}."
        raise OptionError(msg)
    return (x.float().clamp(0, 1) * (levels - 1)).round().long()


def mutate(symbols: Tensor, levels: int, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Symbols of which each has, with probability `rate`, a uniform one added modulo `levels`.

    The structure of the image goes, and what it costs whatever its content stays: the input of a background model.

    Args:
        symbols: int64 of any shape, 0 to levels - 1.
        levels: distinct values.
        rate: share of the symbols that are drawn anew, 0 to 1.
        generator: of the draws; None takes the global one.

    Raises:
        OptionError: `rate` is out of range.

    Source: Ren et al. 2019, Likelihood ratios for out-of-distribution detection
    (https://arxiv.org/abs/1906.02845), section 2.
    """
    if not 0 <= rate <= 1:
        msg = f"the rate of mutation is a share from 0 to 1, and is {rate}."
        raise OptionError(msg)
    device = symbols.device if generator is None else generator.device
    drawn = torch.rand(symbols.shape, generator=generator, device=device) < rate
    added = torch.randint(levels, symbols.shape, generator=generator, device=device)
    return (symbols + (added * drawn).to(symbols.device)) % levels


def _filtered(image: Bytes) -> Iterator[Bytes]:
    """The bytes [N, H, W, B] of images behind each filter; what lies beyond the border counts as 0."""
    left, up, corner = (np.zeros_like(image) for _ in range(3))
    left[:, :, 1:], up[:, 1:] = image[:, :, :-1], image[:, :-1]
    corner[:, 1:, 1:] = image[:, :-1, :-1]
    average = ((left.astype(np.uint16) + up) // 2).astype(np.uint8)
    yield image
    for prediction in (left, up, average, _paeth(left, up, corner)):
        yield image - prediction  # modulo 256


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Of three neighbours the one nearest to left + up - corner; ties go in this order."""
    a, b, c = (neighbour.astype(np.int16) for neighbour in (left, up, corner))
    off_a, off_b, off_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearer = np.where(off_b <= off_c, up, corner)
    return np.where((off_a <= off_b) & (off_a <= off_c), left, nearer)


def _packed(image: Bytes, levels: int) -> list[Bytes | None]:
    """The symbols of each image side by side, without the bits that are always 0; None where there are none such."""
    width = ceil(log2(levels))
    if width >= 8:
        return [None] * len(image)
    return [np.packbits(np.unpackbits(one.reshape(-1, 1), axis=1)[:, 8 - width :]) for one in image]


def _smallest(forms: list[Bytes], packed: Bytes | None) -> int:
    """Bytes of the smallest form of one image."""
    sizes = [_deflated(form.tobytes()) for form in forms]
    raw = forms[int(np.argmin(sizes))].tobytes()
    sizes += [_bzipped(raw), _lzma(raw)]
    if packed is not None:
        sizes += [_deflated(packed.tobytes()), packed.size]
    return min(sizes)


def _deflated(raw: bytes) -> int:
    compressor = zlib.compressobj(level=9, wbits=-15, memLevel=9)  # negative: without header and check sum
    return len(compressor.compress(raw)) + len(compressor.flush())


def _bzipped(raw: bytes) -> int:
    return len(bz2.compress(raw, min(9, 1 + len(raw) // 100_000)))


def _lzma(raw: bytes) -> int:
    dictionary = max(SMALLEST_DICTIONARY, len(raw))  # the preset's takes tens of megabytes for each small image
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": dictionary}]
    return len(lzma.compress(raw, lzma.FORMAT_RAW, filters=filters))
