"""The gallery of an evaluation: samples side by side with their maps, their reconstructions and their facts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urbild.contract import UNLABELLED
from urbild.data import Records
from urbild.evaluation import examples
from urbild.evaluation.record import Evaluation, Example
from urbild.evaluation.subject import Scored, Subject
from urbild.runs import Run


def gallery(found: Evaluation, run: Run, records: Records, subject: Subject | None, count: int) -> list[Example]:
    """The strangest and the least strange samples, with what the model made of them.

    Args:
        found: the scores and verdicts of all samples.
        run: whose model is looked at.
        records: the samples.
        subject: gives heat maps and the shares of columns; None where nothing is scored.
        count: of samples.
    """
    if records.kind == "sequence":
        return []  # a sound is to be heard
    rows = examples.strangest_and_least(found.score, count, len(records))
    chosen = records.select(rows)
    versions = examples.reconstructions(run.model, run.preparation, chosen)
    blocks = [] if subject is None else list(subject.blocks(chosen, maps=True))
    maps = [one for block in blocks for one in block.maps or ()]
    if chosen.kind == "vector":
        return _of_table(found, run, chosen, rows, blocks)
    shown = []
    for place, row in enumerate(rows.tolist()):
        image, mask = examples.shown(chosen.read(place)), chosen.mask(place)
        size = image.shape[:2]
        shown.append(
            Example(
                **_facts(found, row),
                input=image,
                reconstruction=versions[place] if versions else None,
                map=examples.shown_map(maps[place], size) if maps else None,
                mask=None if mask is None else examples.shown_mask(mask, size),
            )
        )
    return shown


def _of_table(
    found: Evaluation, run: Run, chosen: Records, rows: NDArray[np.int64], blocks: Sequence[Scored]
) -> list[Example]:
    columns = tuple(dict.fromkeys(run.preparation.spec.columns))
    shares = [block.contributions for block in blocks if block.contributions is not None]
    table = np.concatenate(shares) if shares else None
    values = examples.table_values(run.preparation, chosen)
    return [
        Example(
            **_facts(found, row),
            columns=() if table is None else examples.largest(columns, table[place], values[place]),
        )
        for place, row in enumerate(rows.tolist())
    ]


def _facts(found: Evaluation, row: int) -> dict[str, Any]:
    label = UNLABELLED if found.label is None else int(found.label[row])
    return {
        "id": found.ids[row],
        "score": 0.0 if found.score is None else float(found.score[row]),
        "display": None if found.display is None else float(found.display[row]),
        "p_value": None if found.p_value is None else float(found.p_value[row]),
        "abnormal": None if found.abnormal is None else bool(found.abnormal[row]),
        "label": "" if label == UNLABELLED else found.classes[label],
    }
