"""The ring of 8 under the minimax loss: a critic that wins, what helps against it, and a generator that is too weak.

Run: python docs/pictures/critic_wins.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawing import FOLDER, MUTED, NORMAL, canvas, save

from urbild.contract import DataSpec, Samples
from urbild.data import Reading
from urbild.data.mixtures import MIXTURES, mixture
from urbild.evaluation.modes import Modes, mixture_modes
from urbild.nets.adversaries import Dense
from urbild.nets.games import Minimax
from urbild.nets.moves import Adam, Steady
from urbild.runs import train_run
from urbild.training import Row

NAME, STEPS, SHOWN = "ring8", 1500, 2500
SPEC = DataSpec(shape=(2,), kind="vector")
LARGE = Dense(width=256, depth=3, activation="leaky")
WINNING: Mapping[str, Any] = {
    "objective": Minimax(),
    "generator": Dense(width=64),
    "critic": LARGE,
    "optimiser": Adam(generator=3e-3, critic=1e-3),
    "rhythm": Steady(critic=3),
}
CASES: Mapping[str, Mapping[str, Any]] = {
    "a critic that wins": WINNING,
    "a smaller critic": {**WINNING, "critic": Dense(width=32, activation="leaky")},
    "dropout in the critic": {**WINNING, "critic": Dense(width=256, depth=3, activation="leaky", dropout=0.5)},
    "fewer moves of the critic": {**WINNING, "rhythm": Steady(critic=1)},
    "a weak generator": {**WINNING, "rhythm": Steady(critic=1), "generator": Dense(width=2, depth=1)},
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a game.

    Attributes:
        points: made samples [N, 2].
        modes: that they cover.
        told: share of pairs that the critic ranked rightly, over the last tenth.
        fake: D(G(z)) over the last tenth.
        warnings: that were given.
    """

    points: np.ndarray
    modes: Modes
    told: float
    fake: float
    warnings: list[str]


def played(options: Mapping[str, Any], steps: int) -> Result:
    """Plays a game."""
    records = mixture(NAME, Reading(part="train"))
    run = train_run("gan", records, {**options, "steps": steps, "batch": 64, "device": "cpu", "seed": 0})
    assert isinstance(run.model, Samples)
    with torch.no_grad():
        made = run.model.sample(SHOWN, generator=torch.Generator().manual_seed(0))
    points = np.asarray(run.preparation.restore(made))
    told, fake = (_late(run.rows, f"critic/{name}", steps) for name in ("told", "fake"))
    return Result(points, mixture_modes(points, MIXTURES[NAME]), told, fake, run.training["warnings"])


def _late(rows: list[Row], name: str, steps: int) -> float:
    return float(np.mean([row.value for row in rows if row.name == name and row.step > 0.9 * steps]))


def main(out: Path = FOLDER, steps: int = STEPS) -> dict[str, Result]:
    """Plays all games, draws them, and says how they went."""
    figure, axes = canvas(len(CASES), width=1100, height=270)
    found = {}
    centres = MIXTURES[NAME].centres
    for (name, options), panel in zip(CASES.items(), axes, strict=True):
        result = found[name] = played(options, steps)
        panel.scatter(*centres.T, s=70, facecolors="none", edgecolors=MUTED, linewidths=0.8)
        panel.scatter(*result.points[:1000].T, s=1.5, color=NORMAL, linewidths=0)
        said = f"{result.modes.held} of 8 modes, {100 * (result.modes.quality or 0):.0f} % good"
        panel.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", title=f"{name}\n{said}")
        panel.set_xlabel(f"told {result.told:.2f}, D(G(z)) {result.fake:.2f}")
        print(f"{name}: {said}; told {result.told:.3f}, D(G(z)) {result.fake:.3f}, {len(result.warnings)} warnings")
    save(out / "critic_wins.png", figure)
    return found


if __name__ == "__main__":
    main()
