"""Image files: their headers, their exact pixels, and antialiased resizing.

Pixels are kept as they are stored: 8 bits as uint8, 16 bits as uint16, everything else as float32. Palettes and CMYK
become RGB, transparency is laid over white (what a viewer shows), the EXIF orientation is applied, colour profiles are
ignored, and of a file with several pages the first is read.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from urbild.data.deep import is_deep, is_grey, read_deep
from urbild.data.records import DEFAULT_MAX_PIXELS, Header
from urbild.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm"}
    | {".pfm", ".gif", ".jp2", ".tga"}
)
REMEDY = "; replace it, or leave it out with --skip-bad."
_ORIENTATION = 0x0112
# What Pillow's readers raise on files that are not what they claim to be.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_LIMIT = Lock()


def header(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Header:
    """Reads size, channels and depth of an image file without decoding it.

    Raises:
        DataError: the file is unreadable, or has more than `max_pixels` pixels.
    """
    with _reading(path), _open(path) as image:
        _refuse_large(image, path, max_pixels)
        channels, dtype = _form(image)
        turned = _orientation(image, path) >= 5
        if turned and image.format == "TIFF":
            # Releases of Pillow differ in whether a TIFF's size is given before or after turning.
            height, width, *_ = _pixels(image, path).shape
            return Header(height, width, channels, dtype)
        width, height = image.size
        return Header(width, height, channels, dtype) if turned else Header(height, width, channels, dtype)


def decode(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Reads the pixels of an image file, [H, W, C] with C = 1 or 3, uint8, uint16 or float32.

    Raises:
        DataError: the file is unreadable, or has more than `max_pixels` pixels, or holds NaN or infinity.
    """
    with _reading(path), _open(path) as image:
        _refuse_large(image, path, max_pixels)
        # Some readers look at Pillow's own limit once more while they decode.
        with _unlimited() if _is_large(image) else nullcontext():
            pixels = _pixels(image, path)
    if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
        row, column, _ = np.argwhere(~np.isfinite(pixels))[0].tolist()
        msg = f"{path} holds {pixels[row, column, 0]} in row {row}, column {column} (counted from 0); correct it."
        raise DataError(msg)
    return pixels


def decode_mask(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """Reads a ground truth, bool [H, W]: True from half of the full scale on; of index images, True above 0.

    Raises:
        DataError: the file is unreadable, or has more than `max_pixels` pixels.
    """
    pixels = decode(path, max_pixels=max_pixels).max(axis=2)
    if pixels.dtype == np.float32:
        return np.asarray(pixels > 0)
    # A mask of 0 and 1 is as common as one of 0 and 255; one that was scaled has values between.
    return np.asarray(pixels >= max(1.0, float(pixels.max()) / 2))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes [H, W, C] to `size` (h, w), keeping the dtype: bicubic, widened by the factor of shrinking (antialiased).

    8-bit images are rounded to 8 bits; others are computed in 32-bit floats, and 16-bit ones are rounded to 16 bits.
    What the filter overshoots is cut at the ends of the dtype, never inside its range.
    """
    height, width = size
    if image.shape[:2] == size:
        return image
    channels = image.shape[2]
    if image.dtype == np.uint8 and channels in (1, 3):
        plane = Image.fromarray(np.ascontiguousarray(image if channels == 3 else image[:, :, 0]))
        scaled = np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC))
        return scaled.reshape(height, width, channels)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[:, :, c], dtype=np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for c in range(channels)
    ]
    scaled = np.stack(planes, axis=2)
    if image.dtype == np.float32:
        return scaled
    limits = np.iinfo(image.dtype)
    return np.asarray(np.rint(scaled).clip(limits.min, limits.max), dtype=image.dtype)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Names the file in the error, whatever its reader raises."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        msg = f"{path} cannot be read ({error.strerror})."
        raise DataError(msg) from error
    except _UNREADABLE as error:
        if path.stat().st_size == 0:
            msg = f"{path} is empty (zero bytes){REMEDY}"
        else:
            reason = str(error).splitlines()[0].replace(f" {str(path)!r}", "") if str(error) else type(error).__name__
            msg = f"{path} is corrupt, truncated or no image ({reason}){REMEDY}"
        raise DataError(msg) from error


@contextmanager
def _unlimited() -> Iterator[None]:
    """Lifts Pillow's limit of pixels, which is global and warns, where ours was checked; for one thread at a time."""
    with _LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(path: Path) -> Image.Image:
    with _unlimited():
        return Image.open(path)


def _is_large(image: Image.Image) -> bool:
    limit = Image.MAX_IMAGE_PIXELS
    return limit is not None and image.width * image.height > limit


def _refuse_large(image: Image.Image, path: Path, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        msg = (
            f"{path} has {width} x {height} pixels, more than the limit of {max_pixels:,}; "
            "if you trust the file, raise the limit with --max-pixels."
        )
        raise DataError(msg)


def _form(image: Image.Image) -> tuple[int, str]:
    """Channels and dtype that `_pixels` gives, from the header alone."""
    mode = image.mode
    if mode.startswith("I;16"):
        return 1, "uint16"
    if mode == "I":
        return 1, "float32" if image.format == "TIFF" else "uint16"
    if mode == "F":
        return 1, "float32"
    if is_deep(image):
        return 1 if is_grey(image) else 3, "uint16"
    return (1 if mode in ("1", "L", "LA", "La") else 3), "uint8"


def _pixels(image: Image.Image, path: Path) -> np.ndarray:
    """The pixels of an image that was opened and not yet decoded."""
    channels, dtype = _form(image)
    if is_deep(image):
        values = read_deep(lambda: Image.open(path))
        turn = 1 if image.format == "TIFF" else _orientation(image, path)
    else:
        image.load()
        # Of a TIFF, Pillow has turned the pixels by now, and taken the note out.
        turn = _orientation(image, None)
        if image.mode[:1] in ("I", "F"):
            values = np.asarray(image).astype(dtype)
        else:
            values = np.asarray(_opaque(image, "L" if channels == 1 else "RGB"))
    values = values.reshape(*values.shape[:2], channels)
    return np.ascontiguousarray(_upright(values, turn))


def _opaque(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB, laid over white where it is transparent."""
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, clear).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors [H, W, C] as the eight values of the EXIF orientation say."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _orientation(image: Image.Image, unread: Path | None) -> int:
    """The EXIF orientation, 1 where there is none; `unread` names the file of an image that was not decoded yet."""
    # The method of PNG decodes the whole file to look for data behind the pixels: so that is looked up here.
    late = _late_exif(unread) if unread is not None and image.format == "PNG" and "exif" not in image.info else None
    try:
        if late is not None:
            exif = Image.Exif()
            exif.load(late)
        else:
            exif = Image.Image.getexif(image)
        found = exif.get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        # Viewers, too, show an image whose notes are damaged.
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _late_exif(path: Path) -> bytes | None:
    """The eXIf chunk of a PNG file wherever it stands, passing over everything else."""
    with path.open("rb") as file:
        file.seek(8)
        while len(start := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", start)
            if name == b"eXIf":
                return b"Exif\x00\x00" + file.read(length)
            if name == b"IEND":
                return None
            file.seek(length + 4, 1)
    return None
