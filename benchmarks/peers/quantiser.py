"""Forward and backward of a codebook of moving averages beside vector-quantize-pytorch: time, memory, assignments."""

from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import interleaved, row
from urbild.nets.quantisers import Ema, nearest_codes

VECTORS, SIZE = 65_536, 64
PAIRS = {512: 9, 8192: 3}  # a block of theirs at 8,192 codes takes half a minute
LEAST = 8.0


def vectors(seed: int = 0, n: int = VECTORS) -> Tensor:
    """Normal vectors [n, 64]."""
    return torch.randn(n, SIZE, generator=torch.Generator().manual_seed(seed))


def step(quantise: Callable[[Tensor], tuple[Tensor, Tensor]], z: Tensor, upstream: Tensor) -> None:
    """A forward pass in training mode, and the gradient of its output and its loss."""
    z.grad = None
    z_q, loss = quantise(z)
    ((z_q * upstream).sum() + loss).backward()


def ours(codes: int) -> Callable[[], None]:
    """Ours, with codes drawn as the vectors are."""
    book = Ema(codes=codes, start="uniform", revive=None).build(SIZE).train()
    book.codes.copy_(vectors(1, codes))
    book.sums.copy_(book.codes)

    def quantise(z: Tensor) -> tuple[Tensor, Tensor]:
        said = book(z)
        return said.z_q, said.loss

    z, upstream = vectors().requires_grad_(), vectors(2)
    return lambda: step(quantise, z, upstream)


def peer(codes: int) -> Any:
    """Theirs, set to the same task."""
    from vector_quantize_pytorch import VectorQuantize

    book = VectorQuantize(SIZE, codes, decay=0.99, commitment_weight=0.25, rotation_trick=False)
    book._codebook.embed.data.copy_(vectors(1, codes)[None])
    book._codebook.embed_avg.data.copy_(vectors(1, codes)[None])
    return book


def theirs(codes: int) -> Callable[[], None]:
    """A step of theirs."""
    book = peer(codes).train()

    def quantise(z: Tensor) -> tuple[Tensor, Tensor]:
        z_q, _, loss = book(z[None])
        return z_q[0], loss.sum()

    z, upstream = vectors().requires_grad_(), vectors(2)
    return lambda: step(quantise, z, upstream)


def agreement(codes: int, n: int = 4096) -> float:
    """Share of the vectors that both give the same code."""
    with torch.no_grad():
        found = peer(codes).eval()(vectors(3, n)[None])[1][0]
    return float((found == nearest_codes(vectors(3, n), vectors(1, codes))).float().mean())


def _status(name: str) -> float:
    """A line of this process's memory, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _peak(which: str, codes: int) -> float:
    torch.set_num_threads(2)
    run = {"ours": ours, "theirs": theirs}[which](codes)
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def peak(which: str, codes: int) -> float:
    """MB that a step takes above what stands before it, in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (which, codes))


def run() -> dict[str, Any]:
    """Both sizes of codebook."""
    rows = []
    for codes, pairs in PAIRS.items():
        times = interleaved(ours(codes), theirs(codes), pairs=pairs)
        same = f"{100 * agreement(codes):.2f} % of assignments equal"
        rows.append(row(f"{codes:,} codes; {same}", VECTORS, "vectors/s", times, least=LEAST))
        mine, other = peak("ours", codes), peak("theirs", codes)
        ratio = {"median": other / mine, "low": other / mine, "high": other / mine, "pairs": 1}
        what = f"{codes:,} codes, peak memory of a step (ours under 1,000: {'yes' if mine < 1000 else 'NO'})"
        rows.append({"what": what, "unit": "MB", "ours": mine, "theirs": other, "ratio": ratio, "least": 1.0})
    return {
        "title": "Vector quantisation beside vector-quantize-pytorch 1.32.0",
        "protocol": (
            f"{VECTORS:,} vectors of {SIZE} numbers, forward in training mode with moving averages (decay .99, "
            "commitment .25, straight-through) and backward, fp32, the same codes at the start; 2 threads, one "
            f"process, interleaved pairs of steps ({', '.join(f'{n} at {k:,} codes' for k, n in PAIRS.items())}) after "
            "one uncounted pair. "
            "Memory in processes of their own, above what stands before the step."
        ),
        "rows": rows,
    }
