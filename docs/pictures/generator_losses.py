"""The two losses of a generator against D(G(z)), their gradients, and how fast either learns while the critic is sure.

Run: python docs/pictures/generator_losses.py
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from drawing import ABNORMAL, FOLDER, NORMAL, RULE, canvas, save
from numpy.typing import NDArray
from torch import Tensor

from urbild.ops.adversarial import minimax_generator, non_saturating_generator

Floats = NDArray[np.float64]
LOSSES = {"minimax: ln(1 - D)": minimax_generator, "non-saturating: -ln D": non_saturating_generator}
COLOURS = (ABNORMAL, NORMAL)
START, LENGTH, PARTS = 4.0, 16.0, 1600
NODES = np.polynomial.hermite_e.hermegauss(60)


def value_and_slope(loss: Callable[[Tensor], Tensor], belief: Floats) -> tuple[Floats, Floats]:
    """A loss [P] where the critic believes samples with probability D [P], and its slope along the critic's logit."""
    logit = torch.from_numpy(belief).logit().requires_grad_()
    value = loss(logit)
    (slope,) = torch.autograd.grad(value.sum(), logit)
    return value.detach().numpy(), slope.numpy()


def pull(loss: Callable[[Tensor], Tensor], gap: float) -> float:
    """How the mean of a generator N(gap, 1) moves under gradient descent, the data N(0, 1) and the critic the best one.

    The best critic's logit is ln p(x) / q(x) = gap^2 / 2 - gap x.
    """
    nodes, weights = NODES
    logit = gap**2 / 2 - gap * (gap + nodes)
    _, slope = value_and_slope(loss, 1 / (1 + np.exp(-logit)))
    return float(gap * (weights * slope).sum() / weights.sum())


def descent(loss: Callable[[Tensor], Tensor], start: float = START) -> Floats:
    """The generator's mean [PARTS + 1] over time, from `start`."""
    means = [start]
    for _ in range(PARTS):
        means.append(means[-1] + pull(loss, means[-1]) * LENGTH / PARTS)
    return np.array(means)


def draw(path: Path) -> dict[str, Floats]:
    """Writes the picture; gives the means over time by loss."""
    figure, (value, slope, speed) = canvas(3, width=900, height=270)
    belief = np.linspace(0.005, 0.995, 400)
    paths = {}
    for (name, loss), colour in zip(LOSSES.items(), COLOURS, strict=True):
        values, slopes = value_and_slope(loss, belief)
        value.plot(belief, values, color=colour, label=name, linewidth=1.8)
        slope.plot(belief, -slopes, color=colour, linewidth=1.8)
        paths[name] = descent(loss)
        speed.plot(np.linspace(0, LENGTH, PARTS + 1), paths[name], color=colour, linewidth=1.8)
    value.set(title="the generator's loss", xlabel="D(G(z))")
    value.legend(frameon=False, fontsize=8)
    slope.set(title="its pull on the critic's logit", xlabel="D(G(z))")
    slope.axvspan(0, 0.1, color=RULE, alpha=0.6, linewidth=0)
    slope.text(0.12, 0.96, "early: the critic is sure", size=8, va="center")
    speed.set(title="distance of N(m, 1) to the data, N(0, 1)", xlabel="time", ylim=(0, None))
    save(path, figure)
    return paths


def main(out: Path = FOLDER) -> None:
    """Draws, and says how long either takes to come half way."""
    for name, means in draw(out / "generator_losses.png").items():
        half = np.flatnonzero(means < START / 2)
        when = f"at time {half[0] * LENGTH / PARTS:.1f}" if len(half) else f"not by time {LENGTH:.0f}"
        print(f"{name}: half way {when}")


if __name__ == "__main__":
    main()
