"""Messages come back, and are as long as their probabilities say."""

import numpy as np
import pytest

from urbild.ops.arithmetic_coding import TOTAL, Decoder, Encoder, counts_of


@pytest.mark.parametrize("levels", [2, 5, 512, 8192])
def test_symbols_come_back_from_their_bytes(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for length in (0, 1, 7, 200):
        chances = rng.dirichlet(np.full(levels, 0.3), size=length)
        chances /= chances.sum(1, keepdims=True)
        symbols = [int(rng.choice(levels, p=row)) for row in chances]
        counts = [counts_of(row) for row in chances]
        coder = Encoder()
        for count, symbol in zip(counts, symbols, strict=True):
            coder.push(count, symbol)
        message = coder.bytes()
        reader = Decoder(message)
        assert [reader.pull(count) for count in counts] == symbols
        bits = -sum(np.log2(count[symbol] / TOTAL) for count, symbol in zip(counts, symbols, strict=True))
        assert bits / 8 - 1e-6 <= len(message) + 1
        assert len(message) <= bits / 8 + 2


def test_counts_are_whole_shares_that_leave_nothing_out() -> None:
    for row in ([1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [1 / 3] * 3):
        counts = counts_of(np.asarray(row))
        assert counts.sum() == TOTAL
        assert counts.min() >= 1
        assert np.allclose(counts / TOTAL, row, atol=1e-6)


def test_a_message_of_certain_symbols_is_empty() -> None:
    coder = Encoder()
    for _ in range(100):
        coder.push(counts_of(np.asarray([0.0, 1.0])), 1)
    assert len(coder.bytes()) <= 1
