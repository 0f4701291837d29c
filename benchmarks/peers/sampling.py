"""Cached sampling of the autoregressive models of pixels beside plain sampling and one forward pass."""

import time
from typing import Any

import torch

from benchmarks.common import ratio_interval
from urbild import catalogue
from urbild.contract import DataSpec
from urbild.models.autoregressive.raster import Raster
from urbild.models.autoregressive.raster_drawing import draw, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.symbols import Softmax

N, SIZE, PAIRS = 16, 28, 5
NAIVE_SITES = 28  # the plain way is timed on so many sites, and takes as long on every other
GREY = DataSpec(shape=(1, SIZE, SIZE), kind="image", levels=2)
CODES = DataSpec(shape=(1, 8, 8), kind="image", levels=512)
CASES: tuple[tuple[str, str, DataSpec, dict[str, Any]], ...] = (
    ("gated PixelCNN, 7 x 64", "gated_pixelcnn", GREY, {"layers": 7, "width": 64}),
    ("PixelCNN, 15 x 16", "pixelcnn", GREY, {"blocks": 15, "width": 16}),
    ("PixelCNN, 7 x 64", "pixelcnn", GREY, {"blocks": 7, "width": 64}),
    ("Diagonal BiLSTM, 7 x 16", "pixel_rnn", GREY, {"layers": 7, "width": 16}),
    ("Row LSTM, 7 x 16", "pixel_rnn", GREY, {"kind": "row", "layers": 7, "width": 16}),
    ("PixelCNN++, 2 x 64", "pixelcnn_pp", GREY, {"blocks": 2, "width": 64}),
    (
        "gated PixelCNN over 8 x 8 codes, 12 x 64",
        "gated_pixelcnn",
        CODES,
        {"layers": 12, "width": 64, "embedding": 64, "likelihood": Softmax()},
    ),
)


def clocked(action: Any) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(what: str, name: str, spec: DataSpec, options: dict[str, Any]) -> dict[str, Any]:
    """A row: seconds of cached and of plain sampling, and of a forward pass in the fastest memory format."""
    model = catalogue.build(name, spec, options).eval()
    assert isinstance(model, Raster)
    assert spec.levels is not None
    sites = spec.shape[1] * spec.shape[2]
    noise = noise_for(model.head, N, (spec.shape[1], spec.shape[2]), torch.Generator().manual_seed(0))
    symbols = torch.randint(spec.levels, (N, *spec.shape), generator=torch.Generator().manual_seed(0))
    plain = model.network
    formats = {}
    with torch.inference_mode():
        for memory in (torch.contiguous_format, torch.channels_last):
            plain.to(memory_format=memory)
            plain(symbols, Condition())
            formats[memory] = min(clocked(lambda: plain(symbols, Condition())) for _ in range(5))
        plain.to(memory_format=min(formats, key=lambda memory: formats[memory]))
    cached, naive, passes = [], [], []
    for pair in range(PAIRS + 1):
        with torch.inference_mode():
            forward = [clocked(lambda: plain(symbols, Condition())) for _ in range(NAIVE_SITES)]
        own = clocked(lambda: draw(plain, model.head, noise, Condition(), channels=spec.channels))
        if pair:  # the first is not counted
            cached.append(own)
            naive.append(sum(forward) / NAIVE_SITES * sites * model.head.groups)
            passes.append(own / sorted(forward)[NAIVE_SITES // 2])
    ours, theirs = (sorted(each)[PAIRS // 2] for each in (cached, naive))
    return {
        "what": f"{what}: {sorted(passes)[PAIRS // 2]:.1f} forward passes",
        "unit": "images/s",
        "ours": N / ours,
        "theirs": N / theirs,
        "ratio": ratio_interval(cached, naive),
        "least": 100.0 if sites > 64 else 8.0,
    }


def run() -> dict[str, Any]:
    """Each model on binary images of 28 x 28, and a prior over codes."""
    return {
        "title": "Cached sampling beside plain sampling",
        "protocol": (
            f"{N} images drawn at once, fp32, {torch.get_num_threads()} threads. Plain sampling is one pass over the "
            "whole image for each site, the network in its faster memory format; its time is that of "
            f"{NAIVE_SITES} passes, taken between the cached draws, times the number of sites. {PAIRS} interleaved "
            "pairs after one uncounted. The symbols are identical (tests/models/test_pixels.py). A prior over 64 sites "
            "cannot be 100 times faster than 64 passes; its bar is 8 times, which is 8 passes."
        ),
        "rows": [measure(*case) for case in CASES],
    }
