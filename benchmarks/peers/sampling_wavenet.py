"""WaveNet's sampling from queues beside plain sampling and one forward pass."""

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.common import ratio_interval
from urbild.contract import DataSpec
from urbild.models.autoregressive.wavenet import WaveNet, wavenet
from urbild.nets.causal import Naive

LENGTH, PAIRS = 2000, 5
NAIVE_STEPS = 10  # the plain way is timed on so many steps, and takes as long on every later one
SPEC = DataSpec(shape=(LENGTH, 1), kind="sequence", rate=8000)


def clocked(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def measure(n: int) -> dict[str, Any]:
    """A row: samples of sound a second from queues and by one pass over the receptive field for each."""
    torch.manual_seed(0)
    model = wavenet(SPEC)
    assert isinstance(model, WaveNet)
    model.eval()
    symbols = torch.randint(256, (n, LENGTH), generator=torch.Generator().manual_seed(0))
    plain = Naive(model.stack, n)
    for t in range(model.stack.field):
        plain.push(symbols[:, t])
    cached, naive, passes = [], [], []
    for pair in range(PAIRS + 1):
        with torch.inference_mode():
            step = sum(clocked(plain.logits) for _ in range(NAIVE_STEPS)) / NAIVE_STEPS
            whole = clocked(lambda: model.stack(symbols))
        own = clocked(lambda: model.generate(n, generator=torch.Generator().manual_seed(0)))
        if pair:  # the first is not counted
            cached.append(own)
            naive.append(step * LENGTH)
            passes.append(own / whole)
    ours, theirs = (sorted(each)[PAIRS // 2] for each in (cached, naive))
    return {
        "what": f"WaveNet, 18 layers x 64, {n} at once: {sorted(passes)[PAIRS // 2]:.1f} forward passes",
        "unit": "samples of sound/s",
        "ours": n * LENGTH / ours,
        "theirs": n * LENGTH / theirs,
        "ratio": ratio_interval(cached, naive),
        "least": 100.0,
    }


def run() -> dict[str, Any]:
    """The default stack, one sound at a time and 16."""
    return {
        "title": "WaveNet: sampling from queues beside plain sampling",
        "protocol": (
            f"{LENGTH:,} samples of sound at 8 kHz, 256 codes, two cycles of dilations 1 to 256, fp32, "
            f"{torch.get_num_threads()} threads (the queues take one). Plain sampling is one pass over the 1,024 "
            f"samples that the network sees for each sample of sound; its time is that of {NAIVE_STEPS} passes, taken "
            f"between the cached draws, times {LENGTH:,}. {PAIRS} interleaved pairs after one uncounted. The symbols "
            "are identical (tests/models/test_wavenet.py)."
        ),
        "rows": [measure(n) for n in (1, 16)],
    }
