"""A run directory -> one self-contained HTML page. Nothing is computed from data here: what is stored is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from urbild import __version__
from urbild.artifacts import load_manifest, write_atomically
from urbild.catalogue import cards
from urbild.errors import ArtifactError
from urbild.evaluation import Evaluation
from urbild.evaluation.record import NUMBERS
from urbild.report import charts, gallery, words
from urbild.report.parts import Page, Section, Table, Tile, count, facts, number, percent
from urbild.training.record import METRICS, read_csv

PAGE = "report.html"


def build(directory: str | Path, out: str | Path | None = None) -> Path:
    """Writes the report of a run: one HTML file that loads nothing and works from any place.

    Args:
        directory: of a run. What it does not hold (an evaluation, a calibration, labels, maps) the page leaves out.
        out: the file to write; `report.html` in the run's directory when None.

    Returns:
        The path of the page.

    Raises:
        ArtifactError: the directory holds no run, or a file of it is damaged.
        OutputError: the page cannot be written.
    """
    directory = Path(directory)
    manifest = load_manifest(directory)
    found = Evaluation.load(directory) if (directory / NUMBERS).exists() else None
    page = _page(manifest, found)
    try:
        rows = read_csv(directory / METRICS)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{directory / METRICS} is damaged ({error}); restore it from a copy, or delete it."
        raise ArtifactError(msg) from None
    page = replace(page, training=charts.training(rows))
    target = directory / PAGE if out is None else Path(out)
    write_atomically(target, render(page))
    return target


def render(page: Page) -> str:
    """The page as HTML; everything but our own drawings is escaped."""
    environment = Environment(
        loader=PackageLoader("urbild.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    assert environment.loader is not None
    css, _, _ = environment.loader.get_source(environment, "page.css")
    page = replace(page, contents=_contents(page))
    return environment.get_template("page.html").render(page=page, css=Markup(css)) + "\n"


def _contents(page: Page) -> list[Section]:
    entries = (
        ("scores", "Scores", page.histogram),
        ("quality", "Quality", page.curves or page.metrics),
        ("likelihood", "Likelihood", page.likelihood),
        ("examples", page.gallery_title, page.galleries),
        ("samples", "Drawn from the model", page.samples),
        ("training", "Training", page.training),
        ("promise", "What is promised", page.promise),
        ("protocol", "Protocol", page.protocol),
    )
    return [Section(key=key, title=title) for key, title, content in entries if content]


def _page(manifest: Mapping[str, Any], found: Evaluation | None) -> Page:
    model = _section(manifest, "model")
    name = str(model.get("name") or model.get("class") or "own model")
    card = cards().get(name)
    trained_on = _section(manifest, "data").get("origin")
    origin = found.data.get("origin") if found is not None else trained_on
    page = Page(
        version=__version__,
        title=f"{name} on {origin}" if origin else name,
        subtitle=f"{card.title} ({card.paper})" if card else "A model of your own",
        verdict=words.verdict(found) if found is not None else [],
        promise=words.promise(found, grouped=bool(_section(manifest, "calibration").get("grouped"))),
        protocol=_protocol(manifest, found),
        notices=_notices(manifest, found),
        left_out=[] if found is None else [_sentence(note) for note in found.notes],
    )
    if found is None:
        return page
    shown, scale = gallery.galleries(found)
    columns = _section(manifest, "data").get("columns", ())
    return replace(
        page,
        tiles=_tiles(found),
        histogram=charts.histogram(found),
        curves=charts.curves(found),
        metrics=_metrics(found),
        quality_title=words.TOLD_APART if found.curves else words.MEASURED,
        errors=_errors(found) if shown else [],
        likelihood=_likelihood(found),
        gallery_title=words.JUDGED if found.score is not None else words.MADE_AGAIN,
        gallery_text=_gallery_text(found),
        galleries=shown,
        scale=scale,
        samples=gallery.drawn(found, columns),
    )


def _section(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _notices(manifest: Mapping[str, Any], found: Evaluation | None) -> list[str]:
    warned = [f"While it trained: {text}" for text in _section(manifest, "training").get("warnings", ())]
    if found is not None:
        unreachable = found.threshold is not None and isinf(found.threshold)
        too_small = "Alpha is too small for so few calibration samples: nothing can be flagged."
        return [*warned, too_small] if unreachable else warned
    notices = [
        *warned,
        "This run has not been evaluated: urbild evaluate DIR PATH scores samples and fills this page.",
    ]
    if not manifest.get("calibration"):
        text = "It is not calibrated either: urbild recalibrate DIR PATH takes normal samples and sets a threshold."
        notices.append(text)
    return notices


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:].rstrip(".") + "."


def _tiles(found: Evaluation) -> list[Tile]:
    tiles = []
    if (auroc := found.metrics.get("image_auroc")) is not None:
        note = f"95 % interval {auroc.low:.3f} to {auroc.high:.3f}; 0.5 is guessing"
        tiles.append(Tile(label="AUROC", value=f"{auroc.value:.3f}", note=note))
    if found.alpha is not None:
        note = "of new normal samples at most, on average"
        tiles.append(Tile(label="False alarms promised", value=percent(found.alpha), note=note))
    if found.alpha is not None and found.p_value is not None:
        flagged = found.p_value <= found.alpha
        note = f"of {count(len(flagged), 'sample')}"
        if found.abnormal is not None and (~found.abnormal).any():
            good = flagged[~found.abnormal]
            note += f"; false alarms: {int(good.sum())} of {len(good):,} normal ones"
        tiles.append(Tile(label="Flagged", value=f"{int(flagged.sum()):,}", note=note))
    if found.threshold is not None and not isinf(found.threshold):
        shown = found.threshold_display
        note = "raw score, flagged above it" + (f"; {shown:.2f} on the display scale" if shown is not None else "")
        tiles.append(Tile(label="Threshold", value=number(found.threshold), note=note))
    return tiles


def _metrics(found: Evaluation) -> Table | None:
    if not found.metrics:
        return None
    rows = []
    for name, interval in found.metrics.items():
        label, meaning = words.metric(name, found.protocol.get("samples_measured"))
        value, low, high = (_metric(part, name) for part in (interval.value, interval.low, interval.high))
        rows.append((label, value, f"{low} to {high}" if interval.low < interval.high else "", meaning))
    return Table(caption="Metrics", head=("Metric", "Value", "95 % interval", "What it says"), rows=rows)


def _metric(value: float, name: str) -> str:
    if name.removesuffix(words.REAL) in words.SAMPLES:
        return number(value)
    return number(value, 3) if name == "reconstruction_error" else f"{value:.3f}"


_ERRORS = 12
"""Rows shown of each kind of error."""


def _errors(found: Evaluation) -> list[Table]:
    """The names of missed samples and of false alarms, the clearest errors first."""
    if found.abnormal is None or found.p_value is None or found.alpha is None or found.score is None:
        return []
    flagged = found.p_value <= found.alpha
    tables = []
    for caption, rows, sign in (
        ("Missed", found.abnormal & ~flagged, 1),
        ("False alarms", ~found.abnormal & flagged, -1),
    ):
        places = np.flatnonzero(rows)
        places = places[np.argsort(sign * found.score[places], kind="stable")]
        if not len(places):
            continue
        shown = places[:_ERRORS]
        lines = [(found.ids[at], number(found.score[at]), number(found.p_value[at], 2)) for at in shown]
        amount = f"{len(places):,}" if len(places) == len(shown) else f"{len(shown)} of {len(places):,}"
        tables.append(Table(caption=f"{caption} ({amount})", head=("Sample", "Raw score", "p-value"), rows=lines))
    return tables


def _likelihood(found: Evaluation) -> Table | None:
    line = found.likelihood
    if line is None:
        return None
    how = line.kind if not line.draws else f"{line.kind}, {count(line.draws, 'draw')}"
    rows = [
        ("Log-density of a sample", f"{number(line.nats.value, 5)} nats", _between(line.nats.low, line.nats.high)),
        ("Code length", f"{number(line.bits.value)} bits per dimension", _between(line.bits.low, line.bits.high)),
    ]
    return Table(
        caption=f"Mean over the normal samples ({how})", head=("Quantity", "Value", "95 % interval"), rows=rows
    )


def _between(low: float, high: float) -> str:
    return f"{number(low, 5)} to {number(high, 5)}"


def _gallery_text(found: Evaluation) -> str:
    if found.score is None:
        return ""
    text = "Both ends of the ranking."
    if found.display is not None:
        text += " The bar is the score on the display scale"
        text += ", the tick on it the threshold." if found.threshold_display is not None else "."
    if found.abnormal is not None and found.p_value is not None:
        text += " Misses and false alarms have a dark frame."
    return text


_CAPTIONS = {
    "model": "Model",
    "data": "Training data",
    "preparation": "Preparation",
    "training": "Training",
    "detector": "Detector",
    "calibration": "Calibration",
    "versions": "Versions",
}
_COUNTS = {"n": "samples", "n_abnormal": "abnormal", "n_skipped": "skipped", "n_masks": "with a mask"}
_HIDDEN = ("checksums", "final", "planned", "spec")


def _protocol(manifest: Mapping[str, Any], found: Evaluation | None) -> list[Table]:
    parts = {name: value for name, value in manifest.items() if isinstance(value, Mapping) and name not in _HIDDEN}
    detector = _section(manifest, "detector")
    parts["detector"] = {name: value for name, value in detector.items() if name != "params"}
    parts["detector"] = {**_section(detector, "params"), **parts["detector"]}
    order = [*_CAPTIONS, *(name for name in parts if name not in _CAPTIONS)]
    tables = [
        Table(caption=_CAPTIONS.get(name, _sentence(name).rstrip(".")), rows=facts(parts.get(name, {}), skip=_HIDDEN))
        for name in order
    ]
    if found is not None:
        data = {_COUNTS.get(name, name): value for name, value in found.data.items()}
        tables.append(Table(caption="Evaluated data", rows=facts(data)))
        tables.append(Table(caption="Evaluation", rows=facts(found.protocol)))
    version = manifest.get("urbild")
    tables.append(Table(caption="Run", rows=[("written by", f"Urbild {version}")] if version else []))
    return [table for table in tables if table.rows]
