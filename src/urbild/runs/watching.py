"""What is seen while a run trains: pictures of the same latents, and a warning in words when a game goes wrong."""

import shutil
import time
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from urbild.artifacts import write_atomically
from urbild.contract import DataSpec, Model, Samples, Source, Stage, in_turn
from urbild.ops.sheets import Pixels, animation, captioned, enlarged, scatter, sheet
from urbild.runs.signs import Collapse, Victory
from urbild.training import Quiet, Reporter, Row

ANIMATION = "samples.gif"
FRAMES = "frames"  # the folder that they are kept in while the run goes on
IMAGES, POINTS = 36, 500
LONGEST, TILE = 384, 56  # px: of a sheet, and of one small image in it
SHARE, FREE = 0.02, 1.0  # of the time of the run that looks may take, and seconds that they may take in any case
SEED = 0
REAL_COLOUR, MADE_COLOUR = (214, 218, 226), (0, 114, 178)


class Watcher:
    """Looks at samples of the same latents, and warns once of each thing that goes wrong.

    A look costs what sampling costs: where that is more than 2 % of the run, looks are left out. One sample is drawn
    before the first of them to find out.

    Args:
        model: that will be trained; only one that samples images or vectors is looked at.
        source: of training samples, for what real ones look like.
        directory: where an animation is to lie in the end, or None.
        frames: that it has, at most.
        reporter: told of warnings.
        share: of the run's time that looks may take.
    """

    def __init__(
        self,
        model: Model,
        source: Source,
        *,
        directory: Path | None,
        frames: int,
        reporter: Reporter | None = None,
        share: float = SHARE,
    ) -> None:
        self._source, self._directory, self._limit, self._share = source, directory, frames, share
        self._reporter = reporter or Quiet()
        self._able = isinstance(model, Samples) and model.spec.kind in ("image", "vector")
        self._drawn = frames > 0 and directory is not None and pictured(model.spec)
        self._count = IMAGES if model.spec.kind == "image" else POINTS
        self._began, self._spent, self._expected = time.monotonic(), 0.0, 0.0
        self._tried = False
        self._real: Tensor | None = None
        self._signs = (Collapse(), Victory())
        self.warnings: list[str] = []

    def logged(self, rows: Sequence[Row]) -> None:
        """Warns where the rows are the sign of something."""
        for row in rows:
            for sign in self._signs:
                text = sign.read(row)
                if text is not None:
                    self.warnings.append(text)
                    self._reporter.note(f"warning: {text}")

    def look(self, model: Model, stage: Stage, step: int) -> Mapping[str, float]:
        """Keeps a picture of samples, and measures how much they differ, where that is worth its time."""
        stages = [each.name for each in model.stages() if each.turns]
        is_game = len(stage.turns) > 1
        # samples of a stage that makes a part of the sampler tell nothing
        wanted = is_game or (self._drawn and stage.name == stages[-1])
        if not self._able or not wanted or not self._affordable(model):
            return {}
        begun = time.monotonic()
        made = drawn(model, self._count)
        real = self._some_real()
        if self._drawn and self._directory is not None:
            place = self._directory / FRAMES / f"{stages.index(stage.name):04d}-{step:010d}.png"
            place.parent.mkdir(exist_ok=True)
            text = f"{stage.name}, step {step:,}" if len(stages) > 1 else f"step {step:,}"
            Image.fromarray(captioned(picture(model.spec, made, real), text)).save(place)
        values = {"samples/diversity": spread(made) / max(spread(real), 1e-12)} if is_game and step else {}
        self._expected = time.monotonic() - begun
        self._spent += self._expected
        self.logged([Row(stage.name, step, 0.0, "train", name, value) for name, value in values.items()])
        return values

    def _affordable(self, model: Model) -> bool:
        begun = time.monotonic()
        if not self._tried:
            self._tried = True
            drawn(model, 1)
            self._expected = time.monotonic() - begun
            self._spent += self._expected
        return self._spent + self._expected <= max(FREE, self._share * (begun - self._began))

    def _some_real(self) -> Tensor:
        if self._real is None:
            rows = np.linspace(0, len(self._source) - 1, min(self._count, len(self._source))).round().astype(int)
            self._real = self._source.fetch(rows.tolist()).x.float()
        return self._real

    def finish(self) -> None:
        """Makes the animation of the frames that are kept, and removes them."""
        # of several processes only the one that looked
        if not self._tried or self._directory is None or not (self._directory / FRAMES).is_dir():
            return
        paths = sorted((self._directory / FRAMES).glob("*.png"))
        chosen = sorted({round(place) for place in np.linspace(0, len(paths) - 1, min(self._limit, len(paths)))})
        frames = [np.asarray(Image.open(paths[place]).convert("RGB")) for place in chosen]
        if len(frames) > 1:
            write_atomically(self._directory / ANIMATION, animation(frames))
        shutil.rmtree(self._directory / FRAMES)


def pictured(spec: DataSpec) -> bool:
    """Whether samples can be shown: images, and vectors of two columns."""
    return spec.kind == "image" or (spec.kind == "vector" and spec.size == 2)


def drawn(model: Model, n: int) -> Tensor:
    """Samples [n, *sample] on the CPU, the same for the same weights; of all classes in turn where there are any."""
    assert isinstance(model, Samples)
    given = in_turn(model, n)
    device = next(model.parameters()).device
    given = None if given is None else given.to(device)
    x = model.sample(n, given=given, generator=torch.Generator().manual_seed(SEED)).cpu().float()
    return x.nan_to_num()


def picture(spec: DataSpec, made: Tensor, real: Tensor) -> Pixels:
    """Images [N, C, H, W] in rows, or points [N, 2] above real ones, in a square about these."""
    if spec.kind == "vector":
        low, high = float(real.min()), float(real.max())
        room = 0.15 * (high - low)
        groups = [(real.numpy(), REAL_COLOUR), (made.numpy(), MADE_COLOUR)]
        return scatter(groups, low - room, high + room)
    channels = made[:, :3] if made.shape[1] >= 3 else made[:, :1].expand(-1, 3, -1, -1)
    tiles = (channels.clamp(0, 1) * 255 + 0.5).byte().movedim(1, -1).numpy()
    laid = sheet([enlarged(tile, TILE) for tile in tiles])
    step = ceil(max(laid.shape[:2]) / LONGEST)
    return laid if step == 1 else np.asarray(Image.fromarray(laid).reduce(step))


def spread(x: Tensor) -> float:
    """The mean distance of two samples of x [N, *sample], in units of its entries."""
    distances = torch.pdist(x.flatten(1))
    return float(distances.mean()) if len(distances) else 0.0
