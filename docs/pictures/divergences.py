"""Two distributions part: the Jensen-Shannon divergence stops at ln 2, the earth mover's distance goes on growing.

Run: python docs/pictures/divergences.py
"""

from pathlib import Path

import numpy as np
from drawing import ABNORMAL, FOLDER, INK, MUTED, NORMAL, RULE, canvas, save
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
EDGE = 12.0


def jensen_shannon(p: Floats, q: Floats, dx: float) -> float:
    """JSD in nats of densities [P] on a grid of that spacing: at most ln 2."""
    middle = (p + q) / 2

    def part(density: Floats) -> float:
        there = density > 0
        return float((density[there] * np.log(density[there] / middle[there])).sum() * dx)

    return (part(p) + part(q)) / 2


def earth_mover(p: Floats, q: Floats) -> float:
    """The mean distance between equal quantiles [P] of two distributions on a line."""
    return float(np.abs(p - q).mean())


def normals_apart(gap: float) -> tuple[float, float]:
    """JSD and earth mover's distance of N(0, 1) and N(gap, 1)."""
    x, dx = np.linspace(-EDGE, EDGE + gap, 8001, retstep=True)
    p, q = (np.exp(-((x - centre) ** 2) / 2) / np.sqrt(2 * np.pi) for centre in (0.0, gap))
    quantiles = ndtri((np.arange(2000) + 0.5) / 2000)
    return jensen_shannon(p, q, float(dx)), earth_mover(quantiles, quantiles + gap)


def boxes_apart(gap: float) -> tuple[float, float]:
    """The same of uniform distributions on [0, 1] and [gap, gap + 1]: gap ln 2 while they overlap, and the gap."""
    return min(gap, 1.0) * np.log(2), gap


def points_apart(gap: float) -> tuple[float, float]:
    """The same of two points: ln 2 as soon as they part, and the gap."""
    return (np.log(2) if gap > 0 else 0.0), gap


def draw(path: Path) -> None:
    """Writes the picture."""
    figure, (shapes, divergence, distance) = canvas(3, width=900, height=260)
    x = np.linspace(-4, 10, 600)
    for centre, colour in ((0, INK), (6, NORMAL)):
        shapes.fill_between(x, np.exp(-((x - centre) ** 2) / 2), color=colour, alpha=0.35, linewidth=0)
    shapes.annotate("", (6, 0.55), (0, 0.55), arrowprops={"arrowstyle": "<->", "color": MUTED})
    shapes.text(3, 0.6, "gap", ha="center", color=MUTED, size=9)
    shapes.set(title="two distributions, a gap apart", yticks=[], xlabel="x")
    gaps = np.insert(np.linspace(0, 6, 121), 1, 1e-9)  # points part at once
    kinds = (("points", points_apart, ABNORMAL), ("uniform, width 1", boxes_apart, MUTED))
    for name, apart, colour in (*kinds, ("normal, deviation 1", normals_apart, NORMAL)):
        found = np.array([apart(gap) for gap in gaps])
        divergence.plot(gaps, found[:, 0], color=colour, label=name, linewidth=1.8)
        distance.plot(gaps, found[:, 1], color=INK, linewidth=1.8)  # the same of all
    divergence.axhline(np.log(2), color=RULE, linewidth=1, zorder=0)
    divergence.text(6, np.log(2) + 0.015, "ln 2", ha="right", color=MUTED, size=8)
    divergence.set(title="Jensen-Shannon divergence, nats", xlabel="gap", ylim=(0, 0.8))
    divergence.legend(frameon=False, fontsize=8, loc="lower right")
    distance.set(title="earth mover's distance of all three: the gap", xlabel="gap", ylim=(0, 6.3))
    save(path, figure)


def main(out: Path = FOLDER) -> None:
    """Draws, and says what is seen."""
    draw(out / "divergences.png")
    for gap in (1.0, 4.0, 8.0):
        divergence, distance = normals_apart(gap)
        print(f"normal distributions {gap:.0f} apart: JSD {divergence:.4f} nats, earth mover's distance {distance:.2f}")


if __name__ == "__main__":
    main()
