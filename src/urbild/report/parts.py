"""What a report page is made of: values that the template lays out, already in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An entry of the page's list of contents."""

    key: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number that the page begins with."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text; the first cell of a row is its head."""

    caption: str
    rows: Sequence[tuple[str, ...]]
    head: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """An inline SVG with its title and what to see in it."""

    title: str
    svg: Markup
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The score histogram, drawn for a wide and for a narrow window."""

    text: str
    legend: Sequence[tuple[str, str]]
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image of a card; without a URI the text stands in its place."""

    caption: str
    alt: str
    uri: str = ""
    width: int = 1
    height: int = 1
    hard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A word about a sample: its kind is a class of the style sheet."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What one column of a table adds to a score; the width is in percent of the card's longest bar."""

    name: str
    value: str
    width: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One sample, as it was judged.

    Attributes:
        name: of the sample.
        outcome: "hit", "miss", "false" or "right", or "" where that is not known.
        flagged: whether the verdict is anomalous.
        chips: verdict and label.
        pictures: input, reconstruction, heat map and mask, as far as they exist.
        bars: of a table's row.
        facts: names and values below.
        gauge: the score on the display scale, in percent.
        limit: the threshold there.
    """

    name: str
    outcome: str
    flagged: bool
    chips: Sequence[Chip]
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[Picture] = ()
    bars: Sequence[Bar] = ()
    gauge: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Cards under one heading."""

    title: str
    text: str
    count: str
    shape: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The colours of the heat maps and the map values at their ends."""

    low: str
    high: str
    css: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What the model made when it was asked for samples, and the training samples nearest to them."""

    text: str
    pictures: Sequence[Picture] = ()
    nearest: Sequence[Picture] = ()
    nearest_text: str = ""
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the losses went."""

    text: str
    legend: Sequence[tuple[str, str]] = ()
    figures: Sequence[Drawing] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A paragraph with its heading."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything on the page, from top to bottom. What is empty or None is left out."""

    version: str
    title: str
    subtitle: str
    verdict: Sequence[str]
    promise: Sequence[Passage]
    protocol: Sequence[Table]
    tiles: Sequence[Tile] = ()
    notices: Sequence[str] = ()
    left_out: Sequence[str] = ()
    histogram: Histogram | None = None
    curves: Sequence[Drawing] = ()
    metrics: Table | None = None
    quality_title: str = ""
    likelihood: Table | None = None
    errors: Sequence[Table] = ()
    gallery_title: str = ""
    gallery_text: str = ""
    scale: Scale | None = None
    galleries: Sequence[Gallery] = ()
    samples: Drawn | None = None
    training: Training | None = None
    contents: Sequence[Section] = field(default_factory=tuple)


def number(value: float, digits: int = 4) -> str:
    """A number for reading: `digits` significant places, thousands apart, no exponent for moderate sizes."""
    if isnan(value):
        return "not defined"
    if abs(value) >= 10**digits and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def percent(share: float, digits: int = 3) -> str:
    """A share as percent."""
    return f"{100 * share:.{digits}g}\N{NO-BREAK SPACE}%"


def count(amount: int, singular: str, plural: str | None = None) -> str:
    """An amount with its noun: "1 sample", "1,200 samples"."""
    return f"{amount:,} {singular if amount == 1 else plural or singular + 's'}"


def facts(section: Mapping[str, Any], *, skip: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Rows of a manifest's section: nested names joined, long lists counted rather than shown."""
    rows = []
    for name, value in section.items():
        if name in skip:
            continue
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            rows += [(f"{label}: {inner}", text) for inner, text in facts(value, skip=skip)]
        elif value is not None:
            rows.append((label, _text(value)))
    return rows


def _text(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value, 6)
        case int():
            return str(value)
        case list() | tuple():
            if len(value) > 12 or any(isinstance(entry, Mapping) for entry in value):
                return count(len(value), "value")
            return " x ".join(map(str, value)) if _is_shape(value) else ", ".join(map(_text, value)) or "none"
        case _:
            return str(value)


def _is_shape(value: Sequence[object]) -> bool:
    return 1 < len(value) <= 4 and all(type(entry) is int and entry > 0 for entry in value)
