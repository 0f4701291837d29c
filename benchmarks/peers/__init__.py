"""Side by side with peers, in one process: interleaved blocks, equal networks, batch and threads."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.common import ratio_interval


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any], *, pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each block, run in turn after one block each that is not counted; the order alternates."""
    times: tuple[list[float], list[float]] = ([], [])
    ours()
    theirs()
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            begun = time.perf_counter()
            (ours, theirs)[which]()
            times[which].append(time.perf_counter() - begun)
    return times


def row(what: str, amount: int, unit: str, times: tuple[list[float], list[float]], *, least: float) -> dict[str, Any]:
    """A row of a comparison: medians as rates, and the ratio of the times."""
    ours, theirs = (sorted(each)[len(each) // 2] for each in times)
    return {
        "what": what,
        "unit": unit,
        "ours": amount / ours,
        "theirs": amount / theirs,
        "ratio": ratio_interval(*times),
        "least": least,
    }


NAMES = ("sampling", "engine", "vae_pythae", "autoencoder_pyod", "quantiser", "vqvae_pythae", "sampling_wavenet")
