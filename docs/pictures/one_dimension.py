"""A GAN on a line, as in figure 1 of Goodfellow et al. 2014: trained until the critic can tell nothing.

Run: python docs/pictures/one_dimension.py
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from drawing import ABNORMAL, FOLDER, GREEN, INK, MUTED, RULE, canvas, pixels
from numpy.typing import NDArray

from urbild.artifacts import write_atomically
from urbild.contract import Batch, DataSpec, Model, Source, Stage
from urbild.models.adversarial.game import Game
from urbild.models.adversarial.gan import gan
from urbild.nets.adversaries import Dense
from urbild.nets.games import RealPenalty
from urbild.nets.moves import Adam, Steady
from urbild.nets.priors import Uniform
from urbild.ops.sheets import Pixels, animation
from urbild.training import Plan, Row, fit

Floats = NDArray[np.float64]
MEAN, DEVIATION = 1.5, 0.5
LOW, HIGH = -1.5, 4.0
GRID = np.linspace(LOW, HIGH, 276)
STEPS, FRAMES, SHARPNESS = 800, 14, 0.1  # the last: deviation of the kernel that p_g is drawn with


class Line(Source):
    """Quantiles of N(1.5, .25)."""

    spec = DataSpec(shape=(1,), kind="vector")

    def __init__(self, n: int = 4096) -> None:
        self._x = (MEAN + DEVIATION * torch.special.ndtri((torch.arange(n) + 0.5) / n))[:, None]

    def __len__(self) -> int:
        return len(self._x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:  # noqa: ARG002 -- no random views
        """The samples at `rows`."""
        index = torch.as_tensor(np.asarray(rows))
        return Batch(x=self._x[index], index=index)


@dataclass(frozen=True, slots=True)
class Sight:
    """A game at one step.

    Attributes:
        step: of the game.
        belief: D(x) on the grid.
        made: G(z) for 2,000 latents evenly from -1 to 1.
    """

    step: int
    belief: Floats
    made: Floats


@dataclass(slots=True)
class Film:
    """Looks on while a game is trained."""

    sights: list[Sight] = field(default_factory=list)

    def logged(self, rows: Sequence[Row]) -> None:
        """Ignored."""

    def look(self, model: Model, stage: Stage, step: int) -> Mapping[str, float]:  # noqa: ARG002 -- of any watch
        """Keeps what is to be drawn."""
        assert isinstance(model, Game)
        belief = torch.sigmoid(model.critic(torch.from_numpy(GRID).float()[:, None]))
        made = model.decode(torch.linspace(-1, 1, 2001)[:, None])
        self.sights.append(Sight(step, belief.double().numpy(), made[:, 0].double().numpy()))
        return {}


def played(steps: int = STEPS) -> list[Sight]:
    """What was seen of a game of that many steps."""
    torch.manual_seed(0)
    model = gan(
        Line.spec,
        prior=Uniform(1),
        constraint=RealPenalty(0.05),
        generator=Dense(width=32, activation="tanh"),
        critic=Dense(width=64, activation="leaky"),
        optimiser=Adam(generator=4e-3, critic=1e-2, memory=0.99, linear=True),
        rhythm=Steady(critic=2),
    )
    film = Film()
    fit(model, Line(), Plan(steps=steps, batch=128, device="cpu", checkpoint_every=10), watch=film)
    return film.sights


def shown(sights: Sequence[Sight]) -> list[Sight]:
    """Those that are drawn: more of the beginning, where more happens."""
    at = np.linspace(0, 1, FRAMES) ** 2 * (len(sights) - 1)
    return [sights[place] for place in sorted(set(at.round().astype(int).tolist()))]


def density(x: Floats) -> Floats:
    """Of the data, at x."""
    return np.exp(-(((x - MEAN) / DEVIATION) ** 2) / 2) / (DEVIATION * np.sqrt(2 * np.pi))


def made_density(made: Floats) -> Floats:
    """Of made samples on the grid, by a Gaussian kernel."""
    weights = np.exp(-(((GRID[:, None] - made) / SHARPNESS) ** 2) / 2) / (SHARPNESS * np.sqrt(2 * np.pi))
    return weights.mean(1)


def uncertainty(sight: Sight) -> float:
    """The mean of |D(x) - 1/2| over the data."""
    weights = density(GRID)
    return float((weights * np.abs(sight.belief - 0.5)).sum() / weights.sum())


def distance(sight: Sight) -> float:
    """The earth mover's distance of made samples from the data."""
    wanted = torch.special.ndtri((torch.arange(len(sight.made)) + 0.5) / len(sight.made)).double().numpy()
    return float(np.abs(np.sort(sight.made) - (MEAN + DEVIATION * wanted)).mean())


def frame(sight: Sight) -> Pixels:
    """One picture: the densities and D above, the map from z to x below."""
    figure, (above, below) = canvas(1, 2, width=460, height=400)
    above.plot(GRID, density(GRID), color=INK, linestyle=":", linewidth=1.8, label="p(data)")
    above.plot(GRID, made_density(sight.made), color=GREEN, linewidth=1.8, label="p(generator)")
    above.plot(GRID, sight.belief, color=ABNORMAL, linestyle="--", linewidth=1.8, label="D(x)")
    above.axhline(0.5, color=RULE, linewidth=1, zorder=0)
    above.set(xlim=(LOW, HIGH), ylim=(0, 1.6), title=f"step {sight.step}: mean |D - 1/2| = {uncertainty(sight):.3f}")
    above.legend(frameon=False, fontsize=8, loc="upper right")
    width = (HIGH - LOW) / 2
    for z, x in list(zip(np.linspace(-1, 1, 2001), sight.made, strict=True))[::100]:
        below.plot([(LOW + HIGH) / 2 + 0.8 * width * z, x], [0, 1], color=MUTED, linewidth=0.8)
    below.set(xlim=(LOW, HIGH), ylim=(0, 1), xticks=[], yticks=[0, 1], xlabel="z, uniform")
    below.set_yticklabels(["z", "x"])
    return pixels(figure)


def main(out: Path = FOLDER, steps: int = STEPS) -> Sight:
    """Trains and draws; gives what is seen in the end."""
    sights = played(steps)
    out.mkdir(parents=True, exist_ok=True)
    film = animation([frame(sight) for sight in shown(sights)], milliseconds=300, colours=48)
    write_atomically(out / "one_dimension.gif", film)
    for sight in shown(sights):
        said = f"mean |D - 1/2| {uncertainty(sight):.3f}, earth mover's distance {distance(sight):.3f}"
        print(f"step {sight.step}: {said}")
    return sights[-1]


if __name__ == "__main__":
    main()
