"""Colour images of 16 bits, which Pillow reads as 8: the file is unpacked twice, for its high and for its low bytes."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFile

# For each packing that Pillow unpacks to the high bytes, the one that takes the same bytes for low ones.
_LOW = {f"{mode};16{order}": f"{mode};16{other}" for mode in ("RGB", "RGBA", "RGBX") for order, other in ("BL", "LB")}
_LOW |= {f"{mode};16N": f"{mode};16{'B' if sys.byteorder == 'little' else 'L'}" for mode in ("RGB", "RGBA", "RGBX")}
_GREY = "LA;16B"


def is_deep(image: Image.Image) -> bool:
    """Whether an image that was opened, and not yet decoded, is one of 16-bit colour, or grey with transparency."""
    packing = _packing(image)
    return packing in _LOW or packing == _GREY


def is_grey(image: Image.Image) -> bool:
    """Whether such an image is grey."""
    return _packing(image) == _GREY


def read_deep(reopen: Callable[[], Image.Image]) -> np.ndarray:
    """Pixels [H, W, C] uint16 of such an image, C = 1 or 3, laid over white where it is transparent."""
    with reopen() as image:
        packing = _packing(image)
        assert packing is not None
        if packing == _GREY:
            # The four bytes of a pixel, unpacked as if they were four channels.
            _repack(image, "RGBA")
            bytes_ = np.asarray(image).astype(np.uint16)
            values = bytes_[:, :, 0::2] * 256 + bytes_[:, :, 1::2]
        else:
            high = np.asarray(image).astype(np.uint16)
            with reopen() as again:
                _repack(again, _LOW[packing])
                values = high * 256 + np.asarray(again)
    if packing.startswith("RGBX"):
        return values[:, :, :3]
    return _over_white(values) if values.shape[2] in (2, 4) else values


def _over_white(values: np.ndarray) -> np.ndarray:
    opacity = values[:, :, -1:] / 65535.0
    mixed = values[:, :, :-1] * opacity + 65535.0 * (1 - opacity)
    return np.asarray(np.rint(mixed), dtype=np.uint16)


def _packing(image: Image.Image) -> str | None:
    """Pillow's name of how the pixels lie in the file, where all parts of the file agree on it."""
    names = {args if isinstance(args, str) else args[0] for *_, args in _tiles(image) if args}
    return names.pop() if len(names) == 1 else None


def _repack(image: Image.Image, packing: str) -> None:
    assert isinstance(image, ImageFile.ImageFile)
    image.tile = [
        ImageFile._Tile(codec, extents, offset, packing if isinstance(args, str) else (packing, *args[1:]))
        for codec, extents, offset, args in _tiles(image)
    ]


def _tiles(image: Image.Image) -> list[Any]:
    return list(image.tile) if isinstance(image, ImageFile.ImageFile) else []
