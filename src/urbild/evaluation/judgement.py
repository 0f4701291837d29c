"""How often a classifier is right: what must stand beside every number that it judges."""

import numpy as np
import torch
from numpy.typing import NDArray

from urbild.contract import UNLABELLED, Classifies, Model
from urbild.data import Preparation, Records
from urbild.errors import DataError
from urbild.evaluation import examples
from urbild.evaluation.metrics import rate
from urbild.evaluation.record import Evaluation

MOST_NAMED = 3


def accuracy(found: Evaluation, model: Model, preparation: Preparation, records: Records) -> None:
    """Adds the metric "accuracy": the share of labelled samples that are told right, with its exact 95 % interval.

    Classes are compared by name. Samples of a class that the model never saw are left out, and so are unlabelled ones;
    a note says how many.

    Raises:
        DataError: no sample has a label that the model knows.
    """
    assert isinstance(model, Classifies)
    if examples.works_on_windows(preparation):
        found.notes += ("the model works on windows, so the classes of whole images are left out",)
        return
    truth = known_labels(records, model.spec.classes)
    judged = np.flatnonzero(truth >= 0)
    if not len(judged):
        msg = (
            f"no sample of {records.origin} has a label that the model knows, so there is no accuracy; give labels by "
            "folder names, a label column (--label-column) or y in an .npz."
        )
        raise DataError(msg)
    said = []
    with torch.no_grad():
        for x in examples.prepared(model, preparation, records.select(judged)):
            said.append(model.classify(x).argmax(1).cpu().numpy())
    found.metrics["accuracy"] = rate(np.concatenate(said) == truth[judged])
    _left_out(found, records, model.spec.classes, len(records) - len(judged))


def known_labels(records: Records, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Labels [N] by the model's numbers; -1 where a sample has none, or one that the model does not know."""
    if records.labels is None:
        return np.full(len(records), UNLABELLED, dtype=np.int64)
    numbers = [classes.index(name) if name in classes else UNLABELLED for name in records.classes]
    known: NDArray[np.int64] = np.asarray([*numbers, UNLABELLED])[records.labels]  # the last stands for -1
    return known


def _left_out(found: Evaluation, records: Records, classes: tuple[str, ...], count: int) -> None:
    if not count or records.labels is None:
        return
    present = np.unique(records.labels[records.labels >= 0]).tolist()
    strange = [records.classes[label] for label in present if records.classes[label] not in classes]
    which = f", of classes that the model never saw ({', '.join(strange[:MOST_NAMED])})" if strange else ""
    found.notes += (f"{count} samples are left out of the accuracy: without a label{which}",)
