"""Samples laid out as one picture, and pictures as an animation: arrays of bytes, without a drawing library."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels: TypeAlias = NDArray[np.uint8]
"""[H, W, 3]."""
Rgb: TypeAlias = tuple[int, int, int]

CAPTION, MARGIN = 16, 2  # px
INK: Rgb = (29, 34, 48)


def sheet(tiles: Sequence[Pixels], *, columns: int | None = None, gap: int = 2) -> Pixels:
    """Pictures [H, W, 3] of one size in rows, on white; as many a row as make it nearly square, unless said."""
    height, width = tiles[0].shape[:2]
    columns = min(columns or ceil(sqrt(len(tiles) * height / width)), len(tiles))
    rows = -(-len(tiles) // columns)
    laid = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        laid[top : top + height, left : left + width] = tile
    return laid


def enlarged(picture: Pixels, side: int) -> Pixels:
    """A small picture by the largest whole factor that keeps it within `side`: its pixels can be told apart."""
    factor = max(1, side // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def scatter(groups: Sequence[tuple[NDArray[np.float32], Rgb]], low: float, high: float, *, side: int = 320) -> Pixels:
    """Points as dots of 2 px in a square, the later groups above the earlier ones.

    Args:
        groups: points [N, 2] and their colour; those outside of the square are left out.
        low: end of both axes.
        high: other end.
        side: of the picture, px.
    """
    picture = np.full((side, side, 3), 255, np.uint8)
    for points, colour in groups:
        inside = points[np.isfinite(points).all(1)]
        at = np.floor((inside - low) / max(high - low, 1e-12) * (side - 1))
        at = at[((at >= 0) & (at < side - 1)).all(1)].astype(np.int64)
        for right in (0, 1):
            for down in (0, 1):
                picture[side - 2 - at[:, 1] + down, at[:, 0] + right] = colour
    return picture


def captioned(picture: Pixels, text: str) -> Pixels:
    """A picture with a line of text above it."""
    strip = Image.new("RGB", (picture.shape[1], CAPTION), "white")
    ImageDraw.Draw(strip).text((MARGIN, MARGIN), text, fill=INK)
    return np.concatenate([np.asarray(strip), picture])


def labelled(picture: Pixels, words: str) -> Pixels:
    """A picture below a line of words, widened where they need it."""
    missing = ceil(ImageFont.load_default().getlength(words)) + 2 * MARGIN - picture.shape[1]
    wide = np.pad(picture, ((0, 0), (0, max(0, missing)), (0, 0)), constant_values=255)
    return captioned(wide, words)


def animation(frames: Sequence[Pixels], *, milliseconds: int = 350, last: int = 2000, colours: int = 64) -> bytes:
    """Pictures of one size as a GIF that repeats, with few colours common to all of them.

    Args:
        frames: at least one.
        milliseconds: that each is shown.
        last: that the last is shown.
        colours: in all.
    """
    palette = Image.fromarray(np.concatenate(frames)).quantize(colours)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    shown = [milliseconds] * (len(pictures) - 1) + [last]
    stream = BytesIO()
    pictures[0].save(
        stream, "GIF", save_all=True, append_images=pictures[1:], duration=shown, loop=0, optimize=True, disposal=1
    )
    return stream.getvalue()
