"""Run directories to report on: real digits and synthetic surfaces, judged by the residual of a linear subspace."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from urbild import artifacts
from urbild.evaluation import CalibrationScores, Curve, Evaluation, Example, Interval, Likelihoods

EVIL = '<script>alert(\'x\')</script>"onload="x" & $\\frac{.png'


@dataclass(frozen=True)
class Judged:
    """Scores of a linear subspace: [n] and [N] with labels, and what the pictures show."""

    calibration: np.ndarray
    score: np.ndarray
    abnormal: np.ndarray
    samples: np.ndarray
    versions: np.ndarray
    masks: np.ndarray | None


def subspace(train: np.ndarray, x: np.ndarray, rank: int) -> np.ndarray:
    flat = train.reshape(len(train), -1)
    mean = flat.mean(0)
    basis = np.linalg.svd(flat - mean, full_matrices=False)[2][:rank]
    return ((x.reshape(len(x), -1) - mean) @ basis.T @ basis + mean).reshape(x.shape)


def digits() -> Judged:
    data = load_digits()
    images, is_four = data.images / 16, data.target == 4
    normal = images[~is_four]
    train, calibration = normal[:700], normal[700:900]
    x = np.concatenate([normal[900:1060], images[is_four][:40]])
    versions = np.clip(subspace(train, x, 12), 0, 1)
    held = calibration - subspace(train, calibration, 12)
    return Judged(
        calibration=(held**2).mean((1, 2)),
        score=((x - versions) ** 2).mean((1, 2)),
        abnormal=np.arange(len(x)) >= 160,
        samples=x[..., None],
        versions=versions[..., None],
        masks=None,
    )


def surfaces(side: int = 128, *, seed: int = 0) -> Judged:
    draw = np.random.default_rng(seed)
    rows = np.arange(side)

    def texture() -> np.ndarray:
        weave = 0.5 + 0.12 * np.sin(rows[None] * 0.55 + draw.uniform(0, 6)) * np.sin(rows[:, None] * 0.55)
        tint = np.array([0.95, 0.85, 0.7])
        return np.clip((weave + draw.normal(0, 0.03, (side, side)))[..., None] * tint, 0, 1)

    x = np.stack([texture() for _ in range(60)])
    masks = np.zeros((60, side, side), bool)
    for row in range(40, 60):
        centre, size = draw.integers(20, side - 20, 2), draw.integers(3, 14)
        masks[row] = (rows[:, None] - centre[0]) ** 2 / 4 + (rows[None] - centre[1]) ** 2 < size**2
        x[row][masks[row]] *= draw.uniform(0.55, 0.95)
    versions = x * 0 + x[:40].mean(0) * 0.5 + np.median(x, axis=(1, 2), keepdims=True) * 0.5
    error = np.abs(x - versions).mean(-1)
    score = np.sort(error.reshape(60, -1), axis=1)[:, -200:].mean(1)
    return Judged(score[:20], score[20:], np.arange(40) >= 20, x[20:], versions[20:], masks[20:])


def interval(value: float) -> Interval:
    return Interval(value, max(0.0, value - 0.03), min(1.0, value + 0.02))


def evaluation(found: Judged, *, name: str = ".png", gallery: int = 8) -> Evaluation:
    """An evaluation with everything in it, as `urbild.evaluation` writes one."""
    scores = np.sort(found.calibration)
    alpha = 0.05
    p_value = (1 + (scores[None] >= found.score[:, None]).sum(1)) / (len(scores) + 1)
    threshold = float(scores[len(scores) - int(alpha * (len(scores) + 1))])
    middle = float(np.median(scores))

    def shown(raw: Any) -> Any:
        return 1 / (1 + (middle / np.maximum(raw, 1e-12)) ** 2)

    error = np.abs(found.samples - found.versions).mean(-1)
    order = np.argsort(-found.score)
    ids = tuple(f"test/{'odd' if bad else 'good'}/{row:03d}{name}" for row, bad in enumerate(found.abnormal))
    examples = [
        Example(
            id=ids[row],
            score=float(found.score[row]),
            display=float(shown(found.score[row])),
            p_value=float(p_value[row]),
            abnormal=bool(found.abnormal[row]),
            label="odd" if found.abnormal[row] else "good",
            input=(found.samples[row] * 255).astype(np.uint8),
            reconstruction=(np.clip(found.versions[row], 0, 1) * 255).astype(np.uint8),
            map=error[row].astype(np.float32),
            mask=None if found.masks is None else found.masks[row],
        )
        for row in [*order[:gallery], *order[-gallery:]]
    ]
    x, y, _ = roc_curve(found.abnormal, found.score)
    precision, recall, _ = precision_recall_curve(found.abnormal, found.score)
    return Evaluation(
        data={"origin": "digits", "part": "test", "kind": "image", "samples": len(ids), "checksum": "5f0c"},
        protocol={"model": "vae", "resamples": 1000, "seconds": 0.8, "versions": {"torch": "2.13.0"}},
        metrics={
            "image_auroc": interval(float(roc_auc_score(found.abnormal, found.score))),
            "image_aupr": interval(float(auc(recall, precision))),
            "f1_max": interval(0.8),
            "fpr95": interval(0.3),
        },
        ids=ids,
        score=found.score,
        display=shown(found.score),
        p_value=p_value,
        abnormal=found.abnormal,
        label=found.abnormal.astype(np.int64),
        classes=("good", "odd"),
        curves={
            "roc": Curve(x, y, np.clip(y - 0.06, 0, 1), np.clip(y + 0.04, 0, 1)),
            "pr": Curve(
                recall[::-1],
                precision[::-1],
                np.clip(precision[::-1] - 0.08, 0, 1),
                np.clip(precision[::-1] + 0.05, 0, 1),
            ),
        },
        alpha=alpha,
        threshold=threshold,
        threshold_display=float(shown(threshold)),
        calibration=CalibrationScores(scores, shown(scores)),
        likelihood=Likelihoods("ELBO", 1, Interval(-31.2, -32.0, -30.4), Interval(1.2, 1.1, 1.3), found.score),
        gallery=examples,
        samples=(np.clip(found.versions[:24], 0, 1) * 255).astype(np.uint8),
    )


def table() -> Evaluation:
    """A table's evaluation: no pictures, contributions by column."""
    found = digits()
    whole = evaluation(found)
    columns = ("pressure", "temperature", "flow", EVIL, "vibration", "load", "speed", "age")
    whole.data["kind"] = "vector"
    whole.gallery = [
        Example(
            id=f"row {place}",
            score=example.score,
            display=example.display,
            p_value=example.p_value,
            abnormal=example.abnormal,
            label=example.label,
            columns=tuple((c, f"{i * 1.5:.3g}", 0.7**i * example.score) for i, c in enumerate(columns)),
        )
        for place, example in enumerate(whole.gallery)
    ]
    whole.samples = found.versions.reshape(len(found.versions), -1)[:5, : len(columns)]
    return whole


def write_run(
    directory: Path,
    found: Evaluation | None = None,
    *,
    calibrated: bool = True,
    trained: bool = True,
    grouped: bool = False,
) -> Path:
    """A run directory as `fit` and `evaluate` leave one."""
    manifest: dict[str, Any] = {
        "model": {"name": "vae", "options": {"latent": 16, "width": 32}},
        "data": {"origin": "digits", "kind": "image", "shape": [1, 8, 8], "samples": 1000},
        "training": {"seed": 0, "steps": {"main": 400}, "batch": 64, "versions": {"torch": "2.13.0"}},
    }
    if calibrated:
        manifest["detector"] = {"alpha": 0.05, "reduction": "model"}
        manifest["calibration"] = {"scores": [0.1] * 200, "grouped": grouped}
    artifacts.save(directory, {"weight": torch.zeros(2)}, manifest)
    if trained:
        (directory / "metrics.csv").write_text(metrics(), encoding="utf-8")
    if found is not None:
        found.save(directory)
    return directory


def metrics() -> str:
    draw = np.random.default_rng(0)
    lines = ["stage,step,seconds,split,name,value"]
    for step in range(10, 401, 10):
        fall = np.exp(-step / 90)
        lines.append(f"main,{step},{step / 50:.3f},train,vae/loss,{30 + 25 * fall + draw.normal(0, 0.6):.6f}")
        lines.append(f"main,{step},{step / 50:.3f},train,vae/rate,{9 - 8 * fall + draw.normal(0, 0.1):.6f}")
        lines.append(f"main,{step},{step / 50:.3f},train,vae/distortion,{21 + 33 * fall:.6f}")
        if step % 50 == 0:
            lines.append(f"main,{step},{step / 50:.3f},validation,monitor,{31 + 25 * fall:.6f}")
    return "\n".join(lines) + "\n"
