"""An autoencoder on a table of 60,000 x 32 beside PyOD's: fitting and scoring."""

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers import interleaved, row
from urbild.contract import DataSpec
from urbild.detection import Detector
from urbild.models.autoencoders.autoencoder import Autoencoder

ROWS, COLUMNS, PAIRS = 60_000, 32, 5
SPEC = DataSpec(shape=(COLUMNS,), kind="vector")


def block(before: int, after: int) -> list[nn.Module]:
    """A hidden layer as PyOD builds it."""
    return [nn.Linear(before, after), nn.ReLU(), nn.BatchNorm1d(after), nn.Dropout(0.2)]


def ours(batch: int) -> Detector:
    """A detector with PyOD's network, taking as many steps as PyOD does in an epoch."""
    encoder = nn.Sequential(*block(COLUMNS, 64), *block(64, 32))
    decoder = nn.Sequential(*block(32, 64), nn.Linear(64, COLUMNS))
    steps = -(-ROWS // batch)
    return Detector(Autoencoder(SPEC, encoder, decoder), steps=steps, batch=batch, validation=0.0, random_state=0)


def theirs(batch: int) -> Any:
    """PyOD's, one epoch."""
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(epoch_num=1, batch_size=batch, verbose=0, random_state=0, device=torch.device("cpu"))


def run() -> dict[str, Any]:
    """Batch 32, PyOD's default, and 512."""
    x = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    rows = []
    for batch in (32, 512):
        times = interleaved(
            lambda batch=batch: ours(batch).fit(x), lambda batch=batch: theirs(batch).fit(x), pairs=PAIRS
        )
        rows.append(row(f"fit, batch {batch}", ROWS, "rows/s", times, least=1.0))
        mine, other = ours(batch).fit(x), theirs(batch).fit(x)
        times = interleaved(
            lambda mine=mine: mine.score_samples(x), lambda other=other: other.decision_function(x), pairs=PAIRS
        )
        rows.append(row(f"score, batch {batch}", ROWS, "rows/s", times, least=1.0))
    return {
        "title": "Autoencoder on a table of 60,000 x 32 beside PyOD 3.6.7",
        "protocol": (
            "The same network (64-32, batch norm, dropout .2), equal batch and number of steps (one epoch of PyOD's), "
            f"Adam, fp32, 2 threads, one process, {PAIRS} interleaved pairs after one uncounted pair. Our fit includes "
            "checking the data, splitting and calibrating on 12,000 rows; theirs includes scoring its training rows."
        ),
        "rows": rows,
    }
