"""Image files made by hand, which Pillow cannot write."""

import struct
import zlib
from pathlib import Path

import numpy as np


def png_bytes(rows: bytes, width: int, height: int, *, depth: int, colour: int, extra: bytes = b"", late: bytes = b""):
    """A PNG file made by hand, from rows that begin with their filter byte."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + (chunk(b"eXIf", late) if late else b"") + chunk(b"IEND", b"")


def write_deep_png(path: Path, pixels: np.ndarray, *, filtered: bool) -> None:
    """A 16-bit PNG of [H, W, C] uint16, C = 1 to 4; `filtered` takes differences to the pixel on the left."""
    height, width, channels = pixels.shape
    raw = pixels.astype(">u2").view(np.uint8).reshape(height, width, 2 * channels)
    if filtered:
        raw = np.concatenate([raw[:, :1], raw[:, 1:] - raw[:, :-1]], axis=1)
    rows = b"".join(bytes([int(filtered)]) + row.tobytes() for row in raw)
    path.write_bytes(png_bytes(rows, width, height, depth=16, colour={1: 0, 2: 4, 3: 2, 4: 6}[channels]))


def tiff_bytes(x, order):
    """An uncompressed 16-bit RGB TIFF made by hand."""
    height, width, channels = x.shape
    pixels = x.astype(f"{order}u2").tobytes()
    start = 8 + len(pixels)
    bits = start + 2 + 12 * 9 + 4
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(pixels))]
    packed = b""
    for tag, kind, count, value in entries:
        field = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        packed += struct.pack(f"{order}HHI", tag, kind, count) + field
    directory = struct.pack(f"{order}H", len(entries)) + packed + struct.pack(f"{order}I", 0)
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HI", 42, start) + pixels + directory + struct.pack(f"{order}HHH", 16, 16, 16)
