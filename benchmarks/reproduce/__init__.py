"""The claims: a number of a paper, or a floor, with its protocol and budget; one file each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Budget = Literal["cpu", "full"]


class Line(NamedTuple):
    """One measured number.

    Attributes:
        system: that was measured, or the floor beside it.
        data: and the part of them, where there are several.
        metric: its name.
        value: measured.
        note: what the reader must know.
    """

    system: str
    data: str
    metric: str
    value: float
    note: str = ""


class Target(NamedTuple):
    """What the mean of some lines over parts and seeds should reach: at least the bound, or at most where `most`."""

    system: str
    data: str
    metric: str
    bound: float
    kind: Literal["gate", "aim"]
    most: bool = False

    def reached(self, value: float) -> bool:
        """Whether a mean is on the right side of the bound."""
        return value <= self.bound if self.most else value >= self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is measured.

    Attributes:
        name: of its results.
        title: one line.
        protocol: data, split, budget; what a reader needs to judge the numbers.
        seeds: that are measured.
        run: gives the lines of a seed; each part of a protocol that has several gives lines of its own.
        targets: to hold the means against.
        full: why there is no line at the `full` budget, or None.
    """

    name: str
    title: str
    protocol: str
    run: Callable[[int, Budget], Iterable[Line]]
    seeds: tuple[int, ...] = (0, 1, 2)
    targets: tuple[Target, ...] = ()
    full: str | None = None
    budgets: dict[str, Any] = field(default_factory=dict)


NAMES = (
    "pixelcnn_mnist",
    "gated_pixelcnn_mnist",
    "conditional_pixelcnn_mnist",
    "pixel_rnn_mnist",
    "one_class_mnist",
    "ganomaly_mnist",
    "industrial",
    "false_alarms",
    "pixels_cifar",
    "vqvae_cifar",
    "vqvae_bits",
    "other_codes",
    "crops_128",
    "codes_mnist",
    "codes_fashion",
    "collapse",
    "wavenet_fsdd",
    "vqvae_fsdd",
    "classifier",
    "ood",
    "mode_suites",
    "semi_supervised_mnist",
    "bigan_mnist",
    "progressive_mnist",
    "four_kinds",
    "stacked_digits",
    "gans_mnist",
    "gans_fashion",
    "dense_gans_mnist",
    "conditional_mnist",
    "conditional_fashion",
)
