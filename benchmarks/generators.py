"""`python -m benchmarks.generators [--count N]`: the cost of measuring samples; writes results/generators.json.

Each row is a process of its own: 50,000 samples of 32 x 32 x 3 of a decoder are put beside as many images that lie in a
file. Neither is trained or real, for only time and memory are measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import tables
from benchmarks.common import RESULTS, write
from benchmarks.cost import family_memory

COUNT, SIDE, BATCH = 50_000, 32, 128
TASKS = {
    "pixels": "FID and KID in the space of pixels (3,072 values)",
    "distances": "FID, KID and sliced Wasserstein in the space of a classifier (128 values)",
    "neighbours": "precision, recall, density and coverage in the space of a classifier (128 values)",
}


def write_images(place: Path, count: int) -> Path:
    """A file of `count` images [N, 32, 32, 3] uint8: noise that was smoothed."""
    path, rng = place / "images.npy", np.random.default_rng(0)
    mapped = np.lib.format.open_memmap(path, "w+", np.uint8, (count, SIDE, SIDE, 3))
    for start in range(0, count, 1000):
        coarse = rng.integers(0, 256, size=(len(mapped[start : start + 1000]), 8, 8, 3), dtype=np.uint8)
        mapped[start : start + 1000] = coarse.repeat(4, axis=1).repeat(4, axis=2)
    mapped.flush()
    return path


def drawn(count: int) -> Iterator[Tensor]:
    """Samples [<= BATCH, 3, 32, 32] of a small decoder."""
    torch.manual_seed(0)
    layers = (nn.ConvTranspose2d(64, 64, 8), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU())
    decoder = nn.Sequential(*layers, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Sigmoid())
    with torch.no_grad():
        for start in range(0, count, BATCH):
            yield decoder(torch.randn(min(BATCH, count - start), 64, 1, 1))


def work(task: str, place: Path, count: int) -> None:
    """What a child process does."""
    from urbild import runs
    from urbild.data import Preparation, as_records
    from urbild.evaluation.generators import by_classifier, kernel_distance, neighbourhoods, raw, see
    from urbild.ops.frechet import frechet_distance
    from urbild.ops.wasserstein import directions, sliced_wasserstein

    path = place / "images.npy"
    records = as_records(path)
    preparation = Preparation.fit(records)
    if task == "pixels":
        space = raw(preparation)
    else:
        few = as_records(np.array(np.load(path, mmap_mode="r")[:200]), y=np.arange(200) % 10)
        space = by_classifier(runs.train_run("classifier", few, {"steps": 1}), preparation, "judge")
    real = see(
        (batch.x for batch in preparation.source(records, memory=0).batches(BATCH)), space, preparation, place / "r"
    )
    made = see(drawn(count), space, preparation, place / "m")
    if task == "neighbours":
        neighbourhoods(made, real)
        return
    frechet_distance(made.moments, real.moments)
    kernel_distance(made, real)
    if task == "distances":
        sliced_wasserstein(made.features, real.features, directions(made.features.size))


def run(count: int) -> list[dict[str, Any]]:
    """All rows."""
    rows = []
    for task, what in TASKS.items():
        with tempfile.TemporaryDirectory() as directory:
            write_images(Path(directory), count)
            words = [sys.executable, "-m", "benchmarks.generators", "--task", task, "--place", directory]
            begun, peak = time.perf_counter(), 0.0
            process = subprocess.Popen([*words, "--count", str(count)])
            while process.poll() is None:
                peak = max(peak, family_memory(process.pid))
                time.sleep(0.05)
            if process.returncode:
                msg = f"{task} failed."
                raise SystemExit(msg)
        seconds = time.perf_counter() - begun
        measured = f"{peak:.2f} GB, {seconds:.0f} s"
        rows.append({"what": f"{what}, {count:,} samples", "measured": measured, "wanted": "under 1.5 GB"})
    return rows


def main() -> None:
    """Measures and writes, or does one task of a child process."""
    parser = argparse.ArgumentParser(prog="benchmarks.generators", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--task", choices=tuple(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        work(options.task, options.place, options.count)
        return
    os.environ.pop("OMP_NUM_THREADS", None)
    rows = run(options.count)
    for row in rows:
        print(f"{row['what']}: {row['measured']} (wanted: {row['wanted']})")
    if options.count == COUNT:
        protocol = (
            "Whole processes on 2 cores, from the images on disk to the measures; memory is the proportional set of "
            "the process tree. Samples of an untrained decoder of 32 x 32 x 3 beside as many drawn images."
        )
        content = {"title": "Cost of measuring samples", "protocol": protocol, "rows": rows}
        write(RESULTS / "generators.json", content)
        tables.write_page()


if __name__ == "__main__":
    main()
