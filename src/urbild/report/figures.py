"""The report's line drawings: pure functions from stored numbers to inline SVG. Nothing is measured here.

Colours are written as CSS variables (with the light value as fallback), so that one drawing serves a light and a dark
page. Text stays text: it takes the page's fonts, can be searched, and is read aloud.
"""

import re
from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import NamedTuple, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

INK, MUTED, RULE = "#1d2230", "#5f6778", "#dfe2e8"
NORMAL, ABNORMAL = "#0072b2", "#d55e00"  # Okabe and Ito's blue and vermilion: told apart by every kind of colour vision
TRAIN, VALIDATION = "#7a8194", "#00795c"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    NORMAL: "normal",
    ABNORMAL: "abnormal",
    TRAIN: "train",
    VALIDATION: "validation",
}
TEXT = 12
_PIXELS = 72  # points an inch in SVG: a figure of 6 x 4 inches has a viewBox of 432 x 288


class Curve(NamedTuple):
    """A line with the band that its interval covers: all [P]; low and high may be None."""

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


class Group(NamedTuple):
    """Scores that are drawn as one histogram, by the name and colour of what they are."""

    name: str
    scores: Floats
    colour: str


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of `width` x `height` CSS pixels with quiet axes."""
    figure = Figure(figsize=(width / _PIXELS, height / _PIXELS), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=TEXT, length=3, width=0.8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    return figure, axes


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=MUTED, fontsize=TEXT)
    axes.set_ylabel(y, color=MUTED, fontsize=TEXT)


def _plain(value: float, _place: object = None) -> str:
    """A tick's text without padding zeros: 0.5, 12000, 1e-05."""
    return f"{value:.6g}"


def _inline(figure: Figure, *, key: str, description: str) -> str:
    """The figure as an SVG element that can stand in any page: unique ids, page fonts, colours by variable."""
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "urbild", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([\w.-]+)', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{key}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name}, {colour})")
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    head = f'<svg class="figure" {box[0]} role="img" aria-label="{escape(description, quote=True)}">'
    return head + re.sub(r"\s*\n\s*", "\n", svg[svg.index(">") + 1 :]).strip()


def _is_wide(values: Floats) -> bool:
    """Whether positive values span so much that only a logarithmic axis shows them."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return bool(low > 0 and high > 25 * middle)


def histogram(
    groups: Sequence[Group],
    *,
    threshold: float | None,
    display: tuple[Floats, Floats] | None = None,
    size: tuple[int, int] = (880, 300),
    key: str = "histogram",
) -> str:
    """Histograms of raw scores over each other, each as shares of its own group, with the threshold.

    Args:
        groups: drawn in this order; empty ones are left out.
        threshold: raw score from which samples are flagged.
        display: raw scores and what they are on the 0-to-1 display scale, both [P] and increasing: an upper axis.
        size: width and height in CSS pixels.
        key: prefix of the element ids.
    """
    groups = [group for group in groups if len(group.scores)]
    bins, logarithmic = _bins(np.concatenate([group.scores for group in groups]), threshold)
    figure, axes = _canvas(*size)
    _stairs(axes, groups, bins)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8 if size[0] > 600 else 5))
    _label(axes, "raw score (larger is stranger)" + (", logarithmic" if logarithmic else ""), "share of the group")
    if threshold is not None and np.isfinite(threshold):
        _threshold(axes, threshold)
    if display is not None:
        _display_axis(axes, display, apart=45 / size[0])
    names = ", ".join(f"{len(group.scores)} {group.name}" for group in groups)
    at = "" if threshold is None else f", threshold at {threshold:.4g}"
    return _inline(figure, key=key, description=f"Histogram of raw scores: {names}{at}")


def _bins(scores: Floats, threshold: float | None) -> tuple[Floats, bool]:
    """Edges that cover all finite scores and the threshold, more of them for more scores; whether they grow."""
    finite = scores[np.isfinite(scores)]
    marks = finite if threshold is None or not np.isfinite(threshold) else np.append(finite, threshold)
    low, high = float(marks.min()), float(marks.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    amount = int(np.clip(2.5 * np.sqrt(len(finite)), 12, 48)) + 1
    grows = _is_wide(marks)
    return (np.geomspace(low, high, amount) if grows else np.linspace(low, high, amount)), grows


def _stairs(axes: Axes, groups: Sequence[Group], bins: Floats) -> None:
    for group in groups:
        heights, _ = np.histogram(group.scores[np.isfinite(group.scores)], bins)
        share = 100 * heights / len(group.scores)
        axes.stairs(share, bins, fill=True, color=group.colour, alpha=0.22)
        axes.stairs(share, bins, color=group.colour, linewidth=1.5)
    axes.set_ylim(0, 1.18 * axes.get_ylim()[1])  # room for the words beside the threshold
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g} %"))


def _threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, color=INK, linewidth=1.3, linestyle=(0, (4, 3)))
    place = axes.transAxes.inverted().transform(axes.transData.transform((threshold, 0)))[0]
    for word, side in (("passed", -1), ("flagged", 1)):
        if (place if side < 0 else 1 - place) > 0.12:
            axes.annotate(
                word,
                (threshold, 1),
                xycoords=("data", "axes fraction"),
                xytext=(6 * side, -2),
                textcoords="offset points",
                ha="right" if side < 0 else "left",
                va="top",
                color=INK,
                fontsize=TEXT,
            )


def _display_axis(axes: Axes, display: tuple[Floats, Floats], *, apart: float) -> None:
    """An upper axis that says what raw scores are on the display scale, with ticks at least `apart` (of the width)."""
    raw, shown = display
    upper = axes.twiny()
    upper.set_xscale(axes.get_xscale())
    upper.set_xlim(axes.get_xlim())
    low, high = axes.get_xlim()
    kept: dict[float, float] = {}
    visible = np.interp([low, high], raw, shown)
    for value in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(*visible):
        place = float(np.interp(value, shown, raw))
        fractions = axes.transAxes.inverted().transform(
            axes.transData.transform([(p, 0) for p in (place, *kept.values())])
        )
        clear = np.all(np.abs(fractions[1:, 0] - fractions[0, 0]) > apart)
        if shown[0] <= value <= shown[-1] and low <= place <= high and clear:
            kept[float(value)] = place
    upper.spines[["top", "right", "left", "bottom"]].set_visible(False)
    upper.set_xticks(list(kept.values()), [_plain(value) for value in kept])
    upper.minorticks_off()
    upper.tick_params(colors=MUTED, labelsize=TEXT, length=3, width=0.8)
    upper.set_xlabel("display scale (0 to 1)", color=MUTED, fontsize=TEXT)


def curve(
    line: Curve,
    *,
    x: str,
    y: str,
    chance: tuple[tuple[float, float], tuple[float, float]],
    mark: tuple[float, float] | None = None,
    key: str,
    description: str,
) -> str:
    """A ROC or precision-recall curve on the unit square, with its band, the line of chance and the chosen point.

    Args:
        line: the curve and the interval around it.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        chance: (x, y) of both ends of the line that guessing gives.
        mark: (x, y) of the point where the detector works at its alpha.
        key: prefix of the element ids.
        description: what the drawing shows, for those who cannot see it.
    """
    figure, axes = _canvas(430, 340)
    axes.plot(*zip(*chance, strict=True), color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=NORMAL, alpha=0.18, linewidth=0)
    axes.plot(line.x, line.y, color=NORMAL, linewidth=2)
    if mark is not None:
        axes.plot(
            *mark, marker="o", markersize=8, color=INK, markerfacecolor="none", markeredgewidth=1.8, clip_on=False
        )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    _label(axes, x, y)
    return _inline(figure, key=key, description=description)


def training(lines: Sequence[tuple[str, Floats, Floats]], *, name: str, key: str) -> str:
    """One quantity over the steps of a stage.

    Args:
        lines: (split, steps [P], values [P]); the split is "train" or "validation".
        name: of the quantity.
        key: prefix of the element ids.
    """
    figure, axes = _canvas(430, 250)
    for split, steps, values in lines:
        is_train = split == "train"
        at, seen = _thin(steps, values) if is_train else (steps, values)
        marker = "o" if len(at) < 25 else ""
        axes.plot(
            at,
            seen,
            color=TRAIN if is_train else VALIDATION,
            linewidth=1.2 if is_train else 2,
            marker=marker,
            markersize=3.5,
        )
    values = np.concatenate([values for _, _, values in lines])
    finite = values[np.isfinite(values)]
    if len(finite) and _is_wide(finite):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.minorticks_off()
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _label(axes, "step", "")
    ends = ", ".join(f"{split} {values[0]:.4g} to {values[-1]:.4g}" for split, _, values in lines)
    return _inline(figure, key=key, description=f"{name} over training steps: {ends}")


def _thin(steps: Floats, values: Floats, most: int = 300) -> tuple[Floats, Floats]:
    """At most `most` points, each the mean of equally many neighbours: what fits on a screen."""
    if len(steps) <= most:
        return steps, values
    parts = np.array_split(np.arange(len(steps)), most)
    return np.array([steps[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])
