"""The sizes through which networks grow, and how long they stay at each, as values that are passed to a builder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from urbild.errors import OptionError, ShapeError
from urbild.nets.layers import Size
from urbild.nets.moves import Checked
from urbild.nets.stock import check_sizes

SMALLEST, LARGEST_BATCH_SIDE = 4, 16
MOST_CHANNELS, CHANNELS = 512, 16384  # the latter is channels times the shorter side (the paper's 8192 / 2^s)


def pyramid(size: Size) -> tuple[Size, ...]:
    """Sizes from the smallest, each twice the one before; the last is that of the images, or the next that can be had.

    The shorter side begins with 4 to 7 pixels: 28 x 28 grows from 7 x 7, 32 x 32 from 4 x 4, 30 x 30 from 4 x 4 to
    32 x 32; a shorter side of 5 or 6 grows from 4 to 8.

    Raises:
        ShapeError: a side is so short that it cannot grow.
    """
    if min(size) <= SMALLEST:
        msg = (
            f"images of {size[0]} x {size[1]} cannot be grown: growing begins at {SMALLEST} pixels a side and doubles "
            f"at least once, so both sides need {SMALLEST + 1} or more; take wgan_gp for these."
        )
        raise ShapeError(msg)
    found: list[tuple[Size, ...]] = []
    for doublings in range(1, min(size).bit_length()):
        start = tuple(max(SMALLEST, ceil(side / 2**doublings)) for side in size)
        if min(start) < 2 * SMALLEST:
            found.append(tuple((start[0] << level, start[1] << level) for level in range(doublings + 1)))
    return min(found, key=lambda sizes: sizes[-1][0] * sizes[-1][1])


def widths(sizes: Sequence[Size], width: int) -> list[int]:
    """Channels at each size, at most `width`."""
    return [max(1, min(width, MOST_CHANNELS, CHANNELS // min(size))) for size in sizes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What is trained in a stage.

    Attributes:
        name: of the stage.
        level: number of the size, from 0.
        fades: whether the layers of that size fade in.
        share: of the steps, relative to the other stages.
        batch: samples a step, or None for the run's.
    """

    name: str
    level: int
    fades: bool = False
    share: float = 1.0
    batch: int | None = None


def overall(phases: Sequence[Phase], phase: Phase, progress: float) -> float:
    """Progress of the run, from the progress of a stage of it."""
    at = phases.index(phase)
    before = sum(other.share for other in phases[:at])
    return (before + progress * phase.share) / sum(other.share for other in phases)


class Schedule(Checked, ABC):
    """How the networks come to their last size."""

    @abstractmethod
    def phases(self, sizes: Sequence[Size]) -> tuple[Phase, ...]:
        """The stages in order, for the sizes that there are."""


@dataclass(frozen=True, slots=True)
class Grown(Schedule):
    """Size by size: new layers fade in, then stabilise.

    Every size is shown as many samples, but the first, into which nothing fades, only those of the second part.

    Attributes:
        fading: share of a size's samples that are met while its layers fade in.
        batch: samples a step at up to 16 pixels a side, and fewer in proportion at more; without it the run's.
    """

    fading: float = 0.5
    batch: int | None = None

    def check(self) -> None:
        """Refuses fields out of range."""
        check_sizes(batch=self.batch)
        if not 0 < self.fading < 1:
            msg = f"fading is a share of a size's samples, above 0 and below 1, and is {self.fading}."
            raise OptionError(msg)

    def phases(self, sizes: Sequence[Size]) -> tuple[Phase, ...]:
        """A stage for the first size, and two for each later one."""
        found = []
        for level, size in enumerate(sizes):
            name, batch = f"{size[0]}x{size[1]}", batch_at(self.batch, size)
            if level:
                share = self.fading / (batch or 1)
                found.append(Phase(name=f"{name}-fade", level=level, fades=True, share=share, batch=batch))
            found.append(Phase(name=name, level=level, share=(1 - self.fading) / (batch or 1), batch=batch))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Direct(Schedule):
    """At the last size from the start: the same networks, not grown.

    Attributes:
        batch: as `Grown` has it.
    """

    batch: int | None = None

    def check(self) -> None:
        """Refuses fields out of range."""
        check_sizes(batch=self.batch)

    def phases(self, sizes: Sequence[Size]) -> tuple[Phase, ...]:
        """One stage."""
        return (Phase(name="direct", level=len(sizes) - 1, batch=batch_at(self.batch, sizes[-1])),)


def batch_at(batch: int | None, size: Size) -> int | None:
    """Samples a step at a size: `batch` up to 16 pixels on the shorter side, half of it at 32, and so on."""
    return None if batch is None else max(1, batch * LARGEST_BATCH_SIDE // max(LARGEST_BATCH_SIDE, min(size)))


GROWN = Grown()
