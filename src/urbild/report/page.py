"""A run directory -> one self-contained HTML page. Nothing is computed from data here: what is stored is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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
        ("examples", "Samples, judged", page.galleries),
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
        promise=words.promise(found),
        protocol=_protocol(manifest, found),
        notes=_notes(manifest, found),
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
        likelihood=_likelihood(found),
        gallery_text=_gallery_text(found),
        galleries=shown,
        scale=scale,
        samples=gallery.drawn(found.samples, columns),
    )


def _section(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _notes(manifest: Mapping[str, Any], found: Evaluation | None) -> list[str]:
    if found is not None:
        return list(found.notes)
    notes = ["This run has not been evaluated: urbild evaluate DIR PATH scores samples and fills this page."]
    if not manifest.get("calibration"):
        notes.append(
            "It is not calibrated either: urbild recalibrate DIR PATH takes normal samples and sets a threshold."
        )
    return notes


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
            note += f"; {percent(float(flagged[~found.abnormal].mean()), 2)} of the normal ones"
        tiles.append(Tile(label="Flagged", value=f"{int(flagged.sum()):,}", note=note))
    if found.threshold is not None:
        shown = found.threshold_display
        note = "raw score, flagged above it" + (f"; {shown:.2f} on the display scale" if shown is not None else "")
        if found.threshold == float("inf"):
            tiles.append(Tile(label="Threshold", value="none", note="alpha is too small for the calibration samples"))
        else:
            tiles.append(Tile(label="Threshold", value=number(found.threshold), note=note))
    return tiles


def _metrics(found: Evaluation) -> Table | None:
    if not found.metrics:
        return None
    rows = []
    for name, interval in found.metrics.items():
        label, meaning = words.METRICS.get(name, (name, ""))
        rows.append((label, f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}", meaning))
    return Table(caption="Metrics on raw scores", head=("Metric", "Value", "95 % interval", "What it says"), rows=rows)


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
_HIDDEN = ("checksums", "format", "final", "score", "scores", "display", "threshold_display")


def _protocol(manifest: Mapping[str, Any], found: Evaluation | None) -> list[Table]:
    tables = []
    for name in [*_CAPTIONS, *(name for name in manifest if name not in _CAPTIONS)]:
        rows = facts(_section(manifest, name), skip=_HIDDEN)
        if rows and name not in _HIDDEN:
            tables.append(Table(caption=_CAPTIONS.get(name, name.replace("_", " ").capitalize()), rows=rows))
    loose = {name: value for name, value in manifest.items() if not isinstance(value, Mapping)}
    if rows := facts(loose, skip=_HIDDEN):
        tables.append(Table(caption="Run", rows=rows))
    if found is not None:
        tables.append(Table(caption="Evaluated data", rows=facts(found.data)))
        tables.append(Table(caption="Evaluation", rows=facts(found.protocol)))
    return [table for table in tables if table.rows]
