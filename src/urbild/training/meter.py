"""Collects the losses of a stage, and stops a run whose losses are not finite."""

from collections.abc import Mapping
from math import isfinite

import torch
from torch import Tensor

from urbild.errors import TrainingDivergedError


class Meter:
    """Means of losses by "turn/name".

    Args:
        stage: for messages.
        sync: steps between looks at the numbers; on a GPU each look waits for the device.

    Attributes:
        latest: the last values seen.
        count: steps since the means were last taken.
    """

    def __init__(self, stage: str, *, sync: int) -> None:
        self._stage, self._sync = stage, sync
        self._held: list[tuple[int, str, float, Tensor]] = []
        self._sums: dict[str, list[float]] = {}
        self.latest: dict[str, float] = {}
        self.count = 0

    def begin(self) -> None:
        """A step begins."""
        self.count += 1

    def add(self, turn: str, losses: Mapping[str, Tensor], step: int, share: float) -> None:
        """Takes up the losses of one move, on `share` of its batch.

        Raises:
            TrainingDivergedError: a loss is NaN or infinite.
        """
        self._held += [(step, f"{turn}/{name}", share, value.detach()) for name, value in losses.items()]
        if self._sync == 1 or self._held[0][0] <= step - self._sync:
            self.flush()

    def flush(self) -> None:
        """Looks at what was taken up.

        Raises:
            TrainingDivergedError: a loss is NaN or infinite.
        """
        if not self._held:
            return
        if self._held[0][3].device.type == "cpu":
            values = [float(value) for *_, value in self._held]
        else:
            values = torch.stack([value.float() for *_, value in self._held]).tolist()
        for (step, name, share, _), value in zip(self._held, values, strict=True):
            if not isfinite(value):
                turn, _, term = name.rpartition("/")
                msg = f"training diverged in stage {self._stage!r}, turn {turn!r}, step {step}: {term} is {value}; "
                msg += "the last good checkpoint, if one was written, stays. Try a smaller learning rate, --clip 1 or "
                msg += "--precision 32."
                raise TrainingDivergedError(msg)
            entry = self._sums.setdefault(name, [0.0, 0.0])
            entry[0] += value * share
            entry[1] += share
            self.latest[name] = value
        self._held.clear()

    def means(self) -> dict[str, float]:
        """Means since the last call."""
        self.flush()
        means = {name: total / weight for name, (total, weight) in self._sums.items()}
        self._sums.clear()
        self.count = 0
        return means
