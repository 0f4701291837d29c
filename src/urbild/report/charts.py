"""The page's drawings with their words: from stored scores, curves and losses to figures in context."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from urbild.evaluation import Evaluation
from urbild.report import figures, words
from urbild.report.parts import Drawing, Histogram, Training, count, number, percent
from urbild.training.record import Row

_PANELS = 8
"""Drawings of losses at most; a reader of more of them opens metrics.csv."""


def histogram(found: Evaluation) -> Histogram | None:
    """The score histogram, by class where there are labels."""
    if found.score is None or not np.isfinite(found.score).any():
        return None
    if found.abnormal is None:
        groups = [figures.Group("samples", found.score, figures.TRAIN)]
        legend = [("muted", f"all samples ({len(found.score):,})")]
    else:
        normal, abnormal = found.score[~found.abnormal], found.score[found.abnormal]
        groups = [
            figures.Group("normal", normal, figures.NORMAL),
            figures.Group("abnormal", abnormal, figures.ABNORMAL),
        ]
        legend = [("normal", f"normal ({len(normal):,})"), ("abnormal", f"abnormal ({len(abnormal):,})")]
    if found.threshold is not None and np.isfinite(found.threshold):
        legend.append(("threshold", f"threshold {number(found.threshold)}"))
    display = None
    if found.display is not None:
        order = np.argsort(found.score, kind="stable")
        display = (found.score[order], found.display[order])
    wide, narrow = (
        Markup(figures.histogram(groups, threshold=found.threshold, display=display, size=size, key=key))
        for size, key in (((1024, 320), "scores-wide"), ((400, 300), "scores-narrow"))
    )
    text = "How the scores are distributed. Each outline is in percent of its own group, so that few and many compare."
    if display is not None:
        text += " The upper axis is the display scale, the lower one the raw score."
    return Histogram(text=text, legend=legend, wide=wide, narrow=narrow)


def curves(found: Evaluation) -> list[Drawing]:
    """The ROC and the precision-recall curve, with the point where the detector works."""
    drawings = []
    caught, alarms, precision = _working_point(found)
    if "roc" in found.curves:
        # the curve begins where nothing is flagged; its stored grid holds only the upper end of a vertical piece
        x, y, low, high = _fields(found, "roc")
        line = figures.Curve(np.append(0.0, x), np.append(0.0, y), np.append(low[:1], low), np.append(high[:1], high))
        svg = figures.curve(
            line,
            x="normal samples flagged",
            y="abnormal samples flagged",
            chance=((0, 0), (1, 1)),
            mark=None if caught is None or alarms is None else (alarms, caught),
            key="roc",
            description="ROC curve with its 95 % band" + _metric(found, "image_auroc", "area under it"),
        )
        text = "Band: 95 % interval. Dotted: guessing." + _ring(found, caught)
        drawings.append(Drawing(title="ROC" + _heading(found, "image_auroc"), svg=Markup(svg), text=text))
    if "pr" in found.curves and found.abnormal is not None:
        share = float(found.abnormal.mean())
        line = figures.Curve(*_fields(found, "pr"))
        svg = figures.curve(
            line,
            x="abnormal samples flagged (recall)",
            y="flags that are right (precision)",
            chance=((0, share), (1, share)),
            mark=None if caught is None or precision is None else (caught, precision),
            key="pr",
            description="Precision-recall curve with its 95 % band" + _metric(found, "image_aupr", "area under it"),
        )
        text = f"Dotted: guessing, {percent(share)}, the share of abnormal samples here."
        drawings.append(
            Drawing(title="Precision and recall" + _heading(found, "image_aupr"), svg=Markup(svg), text=text)
        )
    return drawings


def _fields(found: Evaluation, name: str) -> tuple[figures.Floats, figures.Floats, figures.Floats, figures.Floats]:
    line = found.curves[name]
    return line.x, line.y, line.low, line.high


def _ring(found: Evaluation, caught: float | None) -> str:
    return "" if caught is None or found.alpha is None else f" Ring: this detector at alpha {number(found.alpha)}."


def _metric(found: Evaluation, name: str, words: str) -> str:
    return f", {words} {number(found.metrics[name].value, 3)}" if name in found.metrics else ""


def _heading(found: Evaluation, name: str) -> str:
    return f", area {found.metrics[name].value:.3f}" if name in found.metrics else ""


def _working_point(found: Evaluation) -> tuple[float | None, float | None, float | None]:
    """Shares found, of false alarms and of right flags at alpha, as far as they are defined."""
    if found.abnormal is None or found.p_value is None or found.alpha is None:
        return None, None, None
    flagged = found.p_value <= found.alpha
    bad, good = flagged[found.abnormal], flagged[~found.abnormal]
    caught = float(bad.mean()) if len(bad) else None
    alarms = float(good.mean()) if len(good) else None
    return caught, alarms, float(bad.sum() / flagged.sum()) if flagged.any() else None


def training(rows: Sequence[Row]) -> Training | None:
    """The losses over the steps of each stage; None where nothing was trained by steps."""
    panels = _panels(rows)
    drawings = []
    for place, ((stage, name), lines) in enumerate(list(panels.items())[:_PANELS]):
        title = name if len({key[0] for key in panels}) == 1 else f"{stage}: {name}"
        arrays = [
            (split, np.array([row.step for row in line], dtype=float), np.array([row.value for row in line]))
            for split, line in lines.items()
        ]
        svg = figures.training(arrays, name=title, key=f"training-{place}")
        said = words.SEEN.get(name.rpartition("/")[2], "")
        drawings.append(Drawing(title=title, svg=Markup(svg), text=said))
    if not drawings:
        return None
    legend = [("train line", "training samples")]
    if any("validation" in lines for lines in panels.values()):
        legend.append(("validation line", "validation samples, normal and never trained on"))
    steps = sum({row.stage: row.step for row in rows}.values())
    text = f"{count(steps, 'step')} in {_duration(max(row.seconds for row in rows))}."
    if len(panels) > _PANELS:
        text += f" The first {_PANELS} of {len(panels)} recorded quantities are drawn; all are in metrics.csv."
    return Training(text=text, legend=legend, figures=drawings)


def _panels(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, list[Row]]]:
    """Rows by (stage, quantity) and split, losses first. The monitor joins the loss of a stage with a single player."""
    losses: dict[str, list[str]] = {}
    for row in rows:
        if row.split == "train" and row.name.endswith("/loss") and row.name not in losses.setdefault(row.stage, []):
            losses[row.stage].append(row.name)
    panels: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: not (row.name.endswith("/loss") or row.name == "monitor")):
        own = losses.get(row.stage, [])
        name = own[0] if row.name == "monitor" and len(own) == 1 else row.name
        panels.setdefault((row.stage, name), {}).setdefault(row.split, []).append(row)
    return panels


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{number(seconds, 3)} seconds"
    return f"{number(seconds / 60, 3)} minutes" if seconds < 7200 else f"{number(seconds / 3600, 3)} hours"
