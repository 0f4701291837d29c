"""What may look on while a run goes on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from urbild.contract import Model, Stage
from urbild.training.record import Row
from urbild.training.tools import Exchanged, seeded


class Watch(Protocol):
    """Told of a run by its first process; changes nothing of it."""

    def logged(self, rows: Sequence[Row]) -> None:
        """Rows of metrics.csv, as they come; of a run that goes on, those of before at first."""

    def look(self, model: Model, stage: Stage, step: int) -> Mapping[str, float]:
        """The model when `step` steps of a stage are done: at its start, at each checkpoint and at its end.

        It is as the verbs would use it: with averaged weights, in evaluation mode, without gradients.

        Returns:
            What is to be recorded, by name.
        """


@contextmanager
def as_used(model: Model, average: Mapping[str, Tensor], seed: int) -> Iterator[None]:
    """Within it a model in training is as the verbs would use it; after it the run can go on as if nothing had been."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    with torch.no_grad(), Exchanged(model, average), seeded(seed):
        yield
    for module in training:
        module.training = True  # not train(), which would reach modules below that are in evaluation mode
