"""What all measurements share: where results go, what machine they ran on, where the real data lie."""

import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from urbild.artifacts import write_atomically

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("urbild", "torch", "lightning-fabric", "numpy", "scikit-learn")


def data_root() -> Path:
    """The folder of real data.

    Raises:
        SystemExit: it is not there.
    """
    root = Path(os.environ.get("URBILD_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        msg = "the real data are not at hand: set URBILD_DATA to the folder that holds them."
        raise SystemExit(msg)
    os.environ["URBILD_DATA"] = str(root)
    return root


def machine() -> dict[str, Any]:
    """The machine and the libraries that a figure was measured on."""
    return {
        "processor": torch.cpu.get_capabilities().get("cpu_name", platform.processor()),
        "bf16": bool(torch.cpu.get_capabilities().get("avx512_bf16")),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "date": date.today().isoformat(),
        **{name: version(name) for name in LIBRARIES},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes a result, machine included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({**content, "machine": machine()}, indent=1) + "\n")


def ratio_interval(ours: list[float], theirs: list[float], *, resamples: int = 4000) -> dict[str, float]:
    """Median of the paired ratios theirs / ours with a 95 % bootstrap interval: above 1, ours is faster."""
    ratios = np.asarray(theirs) / np.asarray(ours)
    draws = np.random.default_rng(0).choice(ratios, (resamples, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return {"median": float(np.median(ratios)), "low": float(low), "high": float(high), "pairs": len(ratios)}
