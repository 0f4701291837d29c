"""Cards of samples: input, reconstruction, heat map and truth side by side, or the columns of a table's row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbild.evaluation import Evaluation, Example
from urbild.ops.sheets import Pixels
from urbild.report.parts import Bar, Card, Chip, Drawn, Gallery, Picture, Scale, Table, count, number
from urbild.report.pictures import heat_scale, outline, overlay, palette_css, thumbnail, to_pixels

_BARS = 6
"""Columns shown of a table's row: the ones that contributed most."""

_OUTCOMES = {
    (True, True): ("hit", "found"),
    (True, False): ("miss", "missed"),
    (False, True): ("false", "false alarm"),
    (False, False): ("right", ""),
}


def galleries(found: Evaluation) -> tuple[list[Gallery], Scale | None]:
    """The stored examples as galleries of the strangest and of the least strange, and the heat maps' colour scale."""
    maps = [example.map for example in found.gallery if example.map is not None]
    scale = heat_scale(maps)
    kinds = _picture_kinds(found.gallery)
    shape = "slim" if len(kinds) in (1, 2) else ""
    if found.score is None:
        told = "reconstruction" in kinds  # inputs alone say nothing of a model that only samples
        cards = [_card(example, found, scale, kinds) for example in found.gallery] if told else []
        text = "The first of the samples that were evaluated, and the model's version of them."
        shown = Gallery(title="The first samples", text=text, count=str(len(cards)), shape=shape, cards=cards)
        return [shown] if cards else [], None
    # the gallery holds both ends of the ranking: the middle of all scores lies between them
    middle = float(np.median(found.score))
    high = [example for example in found.gallery if example.score > middle]
    low = [example for example in reversed(found.gallery) if example.score <= middle]
    made = []
    for title, text, examples in (
        ("Most anomalous", "The strangest first.", high),
        ("Least anomalous", "The most ordinary first: what the model takes for normal.", low),
    ):
        if examples:
            cards = [_card(example, found, scale, kinds) for example in examples]
            made.append(Gallery(title=title, text=text, count=str(len(cards)), shape=shape, cards=cards))
    ends = Scale(low=number(scale[0], 3), high=number(scale[1], 3), css=palette_css()) if maps else None
    return made, ends


def _picture_kinds(examples: Sequence[Example]) -> tuple[str, ...]:
    """Which pictures the cards show; the same in all of them, so that they stand in line."""
    present = {
        "input": any(example.input is not None for example in examples),
        "reconstruction": any(example.reconstruction is not None for example in examples),
        "map": any(example.map is not None for example in examples),
        "mask": any(example.mask is not None and example.mask.any() for example in examples),
    }
    return tuple(name for name, is_there in present.items() if is_there)


def _card(example: Example, found: Evaluation, scale: tuple[float, float], kinds: Sequence[str]) -> Card:
    flagged = None
    if example.p_value is not None and found.alpha is not None:
        flagged = example.p_value <= found.alpha
    outcome, chips = "", []
    if example.abnormal is not None and flagged is not None:
        outcome, word = _OUTCOMES[example.abnormal, flagged]
        chips += [Chip(kind="wrong", text=word)] if outcome in ("miss", "false") else []
    if flagged is not None:
        chips.append(Chip(kind="flagged", text="flagged") if flagged else Chip(kind="passed", text="passed"))
    if example.abnormal is not None:
        chips.append(Chip(kind="label", text="abnormal" if example.abnormal else "normal"))
    facts = [("score", number(example.score))] if found.score is not None else []
    facts += [("display", f"{example.display:.2f}")] if example.display is not None else []
    facts += [("p-value", number(example.p_value, 2))] if example.p_value is not None else []
    facts += [("label", example.label)] if example.label else []
    return Card(
        name=example.id,
        outcome=outcome,
        flagged=bool(flagged),
        chips=chips,
        facts=facts,
        pictures=[_picture(example, kind, scale) for kind in kinds],
        bars=_bars(example),
        gauge=None if example.display is None else _percent(example.display),
        limit=_limit(found.threshold_display),
    )


def _limit(display: float | None) -> float | None:
    return _percent(display) if display is not None and np.isfinite(display) else None


def _percent(display: float) -> float:
    return round(100 * min(max(display, 0.0), 1.0), 2)


def _picture(example: Example, kind: str, scale: tuple[float, float]) -> Picture:
    base = example.input if example.input is not None else example.reconstruction
    assert base is not None
    height, width = base.shape[:2]
    caption = {"input": "Input", "reconstruction": "Reconstruction", "map": "Heat map", "mask": "Truth"}[kind]
    pixels = _pixels(example, kind, base, scale)
    if pixels is None:
        missing = "no defect" if kind == "mask" and example.abnormal is False else "none"
        return Picture(caption=caption, alt=missing, width=width, height=height)
    uri, hard = thumbnail(pixels)
    alt = f"{caption} of {example.id}"
    return Picture(caption=caption, alt=alt, uri=uri, width=width, height=height, hard=hard)


def _pixels(example: Example, kind: str, base: NDArray[Any], scale: tuple[float, float]) -> Pixels | None:
    match kind:
        case "input":
            return None if example.input is None else to_pixels(example.input)
        case "reconstruction":
            return None if example.reconstruction is None else _fit(to_pixels(example.reconstruction), base.shape)
        case "map":
            return None if example.map is None else overlay(base, example.map, scale)
        case _:
            return outline(base, example.mask) if example.mask is not None and example.mask.any() else None


def _fit(pixels: Pixels, shape: tuple[int, ...]) -> Pixels:
    if pixels.shape[:2] == shape[:2]:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _bars(example: Example) -> list[Bar]:
    total = sum(share for _, _, share in example.columns)
    shown = example.columns[:_BARS]
    longest = max((share for _, _, share in shown), default=0.0)
    if total <= 0 or longest <= 0:
        return []
    return [
        Bar(name=name, value=value, width=round(100 * max(share, 0) / longest, 1), text=f"{100 * share / total:.0f} %")
        for name, value, share in shown
    ]


def drawn(found: Evaluation, columns: Sequence[str]) -> Drawn | None:
    """What the model made: a grid of images, or the rows of a table."""
    samples = found.samples
    if samples is None or not len(samples):
        return None
    if samples.ndim == 2:
        names = tuple(columns) if len(columns) == samples.shape[1] else tuple(f"{i}" for i in range(samples.shape[1]))
        rows = [
            (str(row + 1), *(number(float(value)) for value in values[:12])) for row, values in enumerate(samples[:12])
        ]
        table = Table(caption="Sampled rows", head=("", *names[:12]), rows=rows)
        return Drawn(
            text=f"{count(len(samples), 'new row')}, made by the model itself; none was picked by hand.", table=table
        )
    pictures = [_grid(image, f"Sample {at + 1} drawn from the model") for at, image in enumerate(samples[:MOST_DRAWN])]
    text = "New images that the model made by itself: what it has learned of the data. None was picked by hand."
    return Drawn(text=text, pictures=pictures, nearest=_nearest(found), nearest_text=_nearest_text(found))


MOST_DRAWN = 64


def _grid(image: NDArray[Any], alt: str) -> Picture:
    uri, hard = thumbnail(to_pixels(image), longest=160)
    height, width = image.shape[:2]
    return Picture(caption="", alt=alt, uri=uri, width=width, height=height, hard=hard)


def _nearest(found: Evaluation) -> list[Picture]:
    """The nearest training samples, in the order of the samples."""
    if found.nearest is None or found.nearest_distance is None:
        return []
    pairs = zip(found.nearest[:MOST_DRAWN], found.nearest_distance, strict=False)
    return [
        _grid(image, f"The training image nearest to sample {at + 1}, at a distance of {number(float(distance), 3)}")
        for at, (image, distance) in enumerate(pairs)
    ]


def _nearest_text(found: Evaluation) -> str:
    if found.nearest_distance is None or not len(found.nearest_distance):
        return ""
    low, high = float(found.nearest_distance.min()), float(found.nearest_distance.max())
    text = "The training image nearest to each, in the same order: one that copies shows the same picture twice. "
    text += f"Their distances are {number(low, 3)} to {number(high, 3)}"
    real = found.metrics.get("nearest_training_real")
    return text + (f"; of real images that were held out {number(real.value, 3)} on average." if real else ".")
