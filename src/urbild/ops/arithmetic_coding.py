"""Arithmetic coding: symbols as bytes, as many as their probabilities say.

Rissanen and Langdon 1979, Arithmetic coding, https://doi.org/10.1147/rd.232.0149

A message is an interval, narrowed by each symbol to the share that is its probability; the bytes are the shortest
binary fraction inside. Intervals are exact integers, so that nothing is lost to rounding but that of the probabilities:
a message of B bits takes at most B / 8 + 2 bytes. The integers grow with the message, which suits images of up to some
ten thousand symbols.
"""

import numpy as np
from numpy.typing import NDArray

PRECISION = 24
TOTAL = 1 << PRECISION

Counts = NDArray[np.int64]


def counts_of(probabilities: NDArray[np.floating]) -> Counts:
    """Probabilities [..., K] as whole shares of 2^24, each at least 1: what coder and decoder must agree on."""
    levels = probabilities.shape[-1]
    shares: Counts = np.floor(probabilities.astype(np.float64) * (TOTAL - levels)).astype(np.int64) + 1
    flat = shares.reshape(-1, levels)
    flat[np.arange(len(flat)), flat.argmax(1)] += TOTAL - flat.sum(1)
    return shares


class Encoder:
    """A message that is being written."""

    def __init__(self) -> None:
        self._low, self._width, self._symbols = 0, 1, 0

    def push(self, counts: Counts, symbol: int) -> None:
        """Takes a symbol that had `counts` [K], which sum to 2^24."""
        below = int(counts[:symbol].sum())
        self._low = (self._low << PRECISION) + below * self._width
        self._width *= int(counts[symbol])
        self._symbols += 1

    def bytes(self) -> bytes:
        """The shortest bytes that mean the message."""
        scale = PRECISION * self._symbols
        high = self._low + self._width
        length = max(0, (scale - self._width.bit_length()) // 8)
        while True:
            # the least fraction of that many bytes that is not below the interval
            value = -((-self._low << 8 * length) >> scale)
            if value << scale < high << 8 * length:
                return value.to_bytes(length, "big")
            length += 1


class Decoder:
    """A message that is being read."""

    def __init__(self, message: bytes) -> None:
        self._value, self._bits = int.from_bytes(message, "big"), 8 * len(message)
        self._low, self._width, self._symbols = 0, 1, 0

    def pull(self, counts: Counts) -> int:
        """The next symbol, which had `counts` [K]."""
        self._symbols += 1
        low = self._low << PRECISION
        inside = (self._value << PRECISION * self._symbols) - (low << self._bits)
        share = inside // (self._width << self._bits)
        upper = np.cumsum(counts)
        symbol = int(np.searchsorted(upper, share, side="right"))
        symbol = min(symbol, len(counts) - 1)
        self._low = low + int(upper[symbol] - counts[symbol]) * self._width
        self._width *= int(counts[symbol])
        return symbol
