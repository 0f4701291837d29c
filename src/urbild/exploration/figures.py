"""Pictures of a latent space: scatters of codes, animations, and a line of words below a picture."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_NAMED = 20  # classes that a legend names
_LINE, _MARGIN = 18, 4  # px


def animation(pictures: Sequence[bytes], *, milliseconds: int = 120) -> bytes:
    """PNG pictures of one size as a GIF that goes there and back, for ever.

    Args:
        pictures: at least one.
        milliseconds: that each is shown.
    """
    frames = []
    for picture in pictures:
        with Image.open(BytesIO(picture)) as opened:
            frames.append(opened.convert("RGB").quantize(256, dither=Image.Dither.NONE))
    frames += frames[-2:0:-1]
    stream = BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    return stream.getvalue()


def captioned(picture: bytes, words: str) -> bytes:
    """A PNG picture with a line of words below, widened where they need it."""
    font = ImageFont.load_default()
    with Image.open(BytesIO(picture)) as opened:
        shown = opened.convert("RGB")
    width = max(shown.width, round(ImageDraw.Draw(shown).textlength(words, font=font)) + 2 * _MARGIN)
    sheet = Image.new("RGB", (width, shown.height + _LINE), "white")
    sheet.paste(shown)
    ImageDraw.Draw(sheet).text((_MARGIN, shown.height + _MARGIN // 2), words, fill="black", font=font)
    stream = BytesIO()
    sheet.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def scatter(
    points: NDArray[np.float64],
    labels: NDArray[np.int64] | None,
    classes: Sequence[str],
    *,
    title: str,
    size: tuple[int, int] = (900, 700),
) -> bytes:
    """Points in the plane, a colour for each class, as PNG bytes.

    Args:
        points: [N, 2].
        labels: [N] of `classes`, -1 unlabelled, or None.
        classes: their names; the first 20 that occur are named in the legend.
        title: above the picture.
        size: width and height in px.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    given = np.full(len(points), -1) if labels is None else labels
    present = sorted({int(label) for label in given})
    colours = colormaps["tab10" if len(present) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    for place, label in enumerate(present):
        rows = given == label
        name = classes[label] if label >= 0 else "unlabelled"
        colour = colours[place % len(colours)] if label >= 0 else "#7a8194"
        shown = name if place < _NAMED else f"_{name}"  # matplotlib leaves out names that begin so
        axes.scatter(points[rows, 0], points[rows, 1], s=12, color=colour, label=shown, linewidths=0, alpha=0.75)
    if labels is not None:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=2)
    axes.set_title(title, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
