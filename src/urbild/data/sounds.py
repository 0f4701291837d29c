"""Sound: files below a folder or waves in memory, decoded as they are, with all their channels and at their own rate.

WAV and FLAC are read by soundfile, from the extra `audio`; without it WAV still is, by SciPy.
"""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from urbild.data.records import Header, Records
from urbild.errors import DataError, ExtraError

if TYPE_CHECKING:
    from typing_extensions import Self

SUFFIXES = frozenset({".wav", ".flac"})


class Tone(NamedTuple):
    """What a sound is, known without its samples where its file says so.

    Attributes:
        rate: samples a second.
        length: samples of a channel.
        channels: 2 for stereo.
    """

    rate: int
    length: int
    channels: int


def decode(file: Path | bytes, name: str) -> tuple[np.ndarray, int]:
    """Samples [T, C] float32, whole numbers scaled to [-1, 1], and the rate.

    Args:
        file: a path, or what a WAV file holds.
        name: for errors.

    Raises:
        DataError: the file is unreadable, empty or not finite.
        ExtraError: it is FLAC, and soundfile is not installed.
    """
    source = BytesIO(file) if isinstance(file, bytes) else file
    if find_spec("soundfile") is not None:
        values, rate = _by_soundfile(source, name)
    elif name.lower().endswith(".wav"):
        values, rate = _by_scipy(source, name)
    else:
        raise ExtraError(_needs_extra(name))
    if not len(values):
        raise DataError(_empty(name))
    if not np.isfinite(values).all():
        msg = f"{name} holds samples that are not finite; replace it, or leave it out with --skip-bad."
        raise DataError(msg)
    return values, rate


def look(path: Path) -> Tone:
    """What a sound file is; decodes it only where soundfile is not installed.

    Raises:
        DataError: the file is unreadable or empty.
        ExtraError: it is FLAC, and soundfile is not installed.
    """
    if find_spec("soundfile") is None:
        values, rate = decode(path, path.name)
        return Tone(rate, *values.shape)
    import soundfile

    try:
        found = soundfile.info(str(path))
    except (RuntimeError, OSError) as error:
        raise DataError(_unreadable(path.name, error)) from error
    if not found.frames:
        raise DataError(_empty(path.name))
    return Tone(int(found.samplerate), int(found.frames), int(found.channels))


def _by_soundfile(source: Path | BytesIO, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        given = source if isinstance(source, BytesIO) else str(source)
        values, rate = soundfile.read(given, dtype="float32", always_2d=True)
    except (RuntimeError, OSError, TypeError) as error:
        raise DataError(_unreadable(name, error)) from error
    return values, int(rate)


def _by_scipy(source: Path | BytesIO, name: str) -> tuple[np.ndarray, int]:
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that hold no sound
            rate, values = wavfile.read(source)
    except (ValueError, OSError, EOFError, IndexError) as error:
        raise DataError(_unreadable(name, error)) from error
    wide = values[:, None] if values.ndim == 1 else values
    if wide.dtype == np.uint8:
        return (wide.astype(np.float32) - 128) / 128, int(rate)
    if wide.dtype.kind == "i":
        return (wide / float(-np.iinfo(wide.dtype).min)).astype(np.float32), int(rate)
    return wide.astype(np.float32), int(rate)


def _unreadable(name: str, error: Exception) -> str:
    reason = str(error).strip().rstrip(".").rpartition(": ")[2] or type(error).__name__
    return f"{name} is no readable sound ({reason}); replace it, or leave it out with --skip-bad."


def _empty(name: str) -> str:
    return f"{name} is empty: it holds no sample of sound; replace it, or leave it out with --skip-bad."


def _needs_extra(name: str) -> str:
    return f"{name} needs soundfile to be read; install it by `pip install urbild[audio]`, or convert it to WAV."


@dataclass(frozen=True, eq=False, kw_only=True)
class Sounds(Records):
    """Sounds of any length, rate and number of channels."""

    kind: Literal["image", "vector", "sequence"] = field(init=False, default="sequence")

    @abstractmethod
    def tone(self, row: int) -> Tone:
        """Rate, length and channels of a sound."""

    def header(self, row: int) -> Header:
        """The sound as if it were an image of one column, a row for each sample."""
        found = self.tone(row)
        return Header(found.length, 1, found.channels, "float32")


@dataclass(frozen=True, eq=False, kw_only=True)
class SoundFiles(Sounds):
    """Sound files below a folder; each is decoded when it is read."""

    root: Path
    _tones: dict[int, Tone] = field(init=False, default_factory=dict, repr=False)

    def path(self, row: int) -> Path:
        """Where the file is."""
        return self.root / self.ids[row]

    def read(self, row: int) -> np.ndarray:
        """Samples [T, C] float32."""
        return decode(self.path(row), self.ids[row])[0]

    def tone(self, row: int) -> Tone:
        """Rate, length and channels; remembered."""
        if row not in self._tones:
            self._tones[row] = look(self.path(row))
        return self._tones[row]

    def select(self, rows: Sequence[int] | np.ndarray) -> "Self":
        """The sounds `rows`, in that order."""
        return replace(self, **_selected(self, rows))

    @cached_property
    def checksum(self) -> str:
        """A digest of names and sizes of the files."""
        digest = blake2b(digest_size=8)
        for row, name in enumerate(self.ids):
            digest.update(f"{name}\0{self.path(row).stat().st_size}\n".encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False, kw_only=True)
class SoundArrays(Sounds):
    """Sounds in memory.

    Attributes:
        waves: [T] or [T, C] each, float32.
        rate: of all of them.
    """

    waves: Sequence[np.ndarray]
    rate: int

    def read(self, row: int) -> np.ndarray:
        """Samples [T, C] float32."""
        wave = self.waves[row]
        return wave[:, None] if wave.ndim == 1 else wave

    def tone(self, row: int) -> Tone:
        """Rate, length and channels."""
        return Tone(self.rate, *self.read(row).shape)

    def select(self, rows: Sequence[int] | np.ndarray) -> "Self":
        """The sounds `rows`, in that order."""
        waves = [self.waves[row] for row in np.asarray(rows, dtype=np.int64).tolist()]
        return replace(self, **_selected(self, rows), waves=waves)

    @cached_property
    def checksum(self) -> str:
        """A digest of the samples."""
        digest = blake2b(f"{self.rate}".encode(), digest_size=8)
        for wave in self.waves:
            digest.update(f"{wave.shape}".encode())
            digest.update(np.ascontiguousarray(wave).data)
        return digest.hexdigest()


def _selected(records: Sounds, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
    index = np.asarray(rows, dtype=np.int64)
    return {
        "ids": [records.ids[row] for row in index.tolist()],
        "labels": None if records.labels is None else records.labels[index],
        "groups": None if records.groups is None else records.groups[index],
    }
