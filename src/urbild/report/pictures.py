"""The report's pictures: arrays to PNG or JPEG bytes, heat maps laid over images, grids of samples."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from urbild.artifacts import write_atomically
from urbild.ops.sheets import Pixels, enlarged, labelled, sheet

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601

_SEEN = 2_000_000  # values that a colour scale is chosen from: bounded, however many maps there are
_SMALL = 96
"""Longest side up to which a picture is kept exactly (PNG) and shown with hard pixel edges."""
LEGIBLE = 64  # longest side, at most, of the small images that a grid enlarges


def to_pixels(image: NDArray[Any]) -> Pixels:
    """An image as 8-bit RGB.

    Args:
        image: [H, W] or [H, W, C]; uint8, bool, or float in [0, 1]; 16-bit values and other floats are stretched from
            their smallest to their largest. One channel is grey; of more than three the first three are shown, of two
            the first.

    Returns:
        [H, W, 3].
    """
    if image.ndim == 2:
        image = image[..., None]
    image = image[..., :3] if image.shape[-1] >= 3 else image[..., :1]
    if image.dtype != np.uint8:
        values = np.nan_to_num(image.astype(np.float32))
        low, high = float(values.min()), float(values.max())
        is_unit = low >= 0 and high <= 1
        image = _eight_bit(values if is_unit else (values - low) / max(high - low, 1e-12))
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


@cache
def _palette() -> NDArray[np.float32]:
    """Colours [256, 3] of a heat map from cold to hot: of even lightness steps, and safe for every colour vision."""
    from matplotlib import colormaps

    return np.asarray(colormaps["inferno"](np.linspace(0.15, 0.97, 256)), dtype=np.float32)[:, :3]


def palette_css(stops: int = 9) -> str:
    """The heat map's colours as stops of a CSS gradient."""
    rows = _palette()[np.linspace(0, 255, stops).round().astype(int)]
    return ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in row) for row in rows)


def overlay(image: NDArray[Any], heat: NDArray[Any], scale: tuple[float, float]) -> Pixels:
    """A heat map over the image in grey: clear where nothing is strange, solid colour where it is.

    Args:
        image: [H, W] or [H, W, C].
        heat: [h, w] map, resized to the image where its size differs.
        scale: map values that are drawn coldest and hottest; one scale for all pictures that are to be compared.

    Returns:
        [H, W, 3].
    """
    base = to_pixels(image).astype(np.float32) / 255
    height, width = base.shape[:2]
    if heat.shape != (height, width):
        resized = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        heat = np.asarray(resized)
    low, high = scale
    heat = np.clip((np.nan_to_num(heat.astype(np.float32)) - low) / max(high - low, 1e-12), 0, 1)
    grey = (base @ _GREY)[..., None] * 0.75 + 0.1
    opacity = np.minimum(1.6 * heat, 0.92)[..., None]
    return _eight_bit((1 - opacity) * grey + opacity * _palette()[(heat * 255).astype(int)])


def outline(image: NDArray[Any], mask: NDArray[Any]) -> Pixels:
    """The true mask [H, W] over the image [H, W] or [H, W, C] in grey, in a blue that no heat map has."""
    base = to_pixels(image).astype(np.float32) / 255
    grey = (base @ _GREY)[..., None] * 0.75 + 0.1
    inside = mask.astype(bool)[..., None]
    blue = np.array([0.34, 0.71, 0.91], dtype=np.float32)
    return _eight_bit(np.where(inside, 0.2 * grey + 0.8 * blue, grey))


def _eight_bit(values: NDArray[Any]) -> Pixels:
    """Values in [0, 1], or a little outside of it, as bytes."""
    rounded: Pixels = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def heat_scale(maps: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Ends of the colour scale that all `maps` share: their upper quartile, and nearly their largest value.

    The hot end is at least four times the cold one, so that where nothing is strange nothing looks hot.
    """
    if not maps:
        return 0.0, 1.0
    most = max(100, _SEEN // len(maps))
    values = np.concatenate([heat.ravel()[:: max(1, heat.size // most)] for heat in maps])
    values = values[np.isfinite(values)]
    low, high = (float(v) for v in np.quantile(values, [0.75, 0.998])) if len(values) else (0.0, 1.0)
    high = max(high, 4 * low)
    return (low, high) if high > low else (low, low + 1.0)


def encode(pixels: Pixels, *, exact: bool = True) -> bytes:
    """PNG bytes; where `exact` is not asked for, JPEG, which is a tenth of a photograph's size."""
    stream = BytesIO()
    picture = Image.fromarray(pixels)
    if exact:
        picture.save(stream, "PNG", optimize=True)
    else:
        picture.save(stream, "JPEG", quality=86, optimize=True)
    return stream.getvalue()


def thumbnail(pixels: Pixels, longest: int = 240) -> tuple[str, bool]:
    """A picture as data URI for a page.

    Returns:
        The URI, and whether the picture is so small that a page should show its pixels with hard edges.
    """
    side = max(pixels.shape[:2])
    if side <= _SMALL:
        return _uri(encode(pixels), "png"), True
    if side > longest:
        size = tuple(max(1, round(length * longest / side)) for length in pixels.shape[1::-1])
        pixels = np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.LANCZOS))
    return _uri(encode(pixels, exact=False), "jpeg"), False


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"


def save_heatmap(path: Path, image: NDArray[Any], heat: NDArray[Any], scale: tuple[float, float]) -> None:
    """Writes a PNG of the image beside its heat map.

    Args:
        path: of the file; its folder exists.
        image: [H, W] or [H, W, C].
        heat: [h, w] map.
        scale: as in `overlay`; the same for all images of a run.

    Raises:
        OutputError: the file cannot be written.
    """
    pixels = to_pixels(image)
    gap = np.full((pixels.shape[0], max(2, pixels.shape[1] // 32), 3), 255, np.uint8)
    write_atomically(path, encode(np.concatenate([pixels, gap, overlay(image, heat, scale)], axis=1)))


def sample_grid(images: NDArray[Any], *, columns: int | None = None, gap: int = 2, words: str = "") -> bytes:
    """Images in rows, as PNG bytes.

    Args:
        images: [N, H, W] or [N, H, W, C], N at least 1; values as in `to_pixels`. Small ones are enlarged.
        columns: images a row; chosen for a nearly square grid when None.
        gap: white pixels between images.
        words: a line above them.
    """
    grid = sheet([enlarged(to_pixels(image), LEGIBLE) for image in images], columns=columns, gap=gap)
    return encode(labelled(grid, words) if words else grid)
