"""Folders of images or sounds, laid out or not, single files, and lists of paths."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from urbild.contract import UNLABELLED
from urbild.data.images import SUFFIXES, decode, decode_mask, header
from urbild.data.records import DEFAULT_MAX_PIXELS, NORMAL_NAMES, Header, Reading, Records, group_ids
from urbild.data.sounds import SUFFIXES as SOUNDS
from urbild.data.sounds import SoundFiles
from urbild.errors import DataError, nearest

if TYPE_CHECKING:
    from typing_extensions import Self

TRUTH = "ground_truth"


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageFiles(Records):
    """Image files below a folder; each is decoded when it is read."""

    root: Path
    max_pixels: int = DEFAULT_MAX_PIXELS
    _headers: dict[int, Header] = field(init=False, default_factory=dict, repr=False)

    def path(self, row: int) -> Path:
        """Where the file is."""
        return self.root / self.ids[row]

    def read(self, row: int) -> np.ndarray:
        """The decoded image, [H, W, C]."""
        return decode(self.path(row), max_pixels=self.max_pixels)

    def header(self, row: int) -> Header:
        """What the image is; remembered."""
        if row not in self._headers:
            self._headers[row] = header(self.path(row), max_pixels=self.max_pixels)
        return self._headers[row]

    def mask(self, row: int) -> np.ndarray | None:
        """The ground truth of the image, bool [H, W]; all False for a good one; None where there is none."""
        truth = _truth(self.path(row), self.root)
        if truth is None:
            return None
        if isinstance(truth, Path):
            return decode_mask(truth, max_pixels=self.max_pixels)
        return np.zeros(self.size(row), dtype=bool)

    def select(self, rows: Sequence[int] | np.ndarray) -> "Self":
        """The images `rows`, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            ids=[self.ids[row] for row in index.tolist()],
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
        )

    @cached_property
    def checksum(self) -> str:
        """A digest of names and sizes of the files."""
        digest = blake2b(digest_size=8)
        for row, name in enumerate(self.ids):
            digest.update(f"{name}\0{self.path(row).stat().st_size}\n".encode())
        return digest.hexdigest()


def _truth(file: Path, root: Path) -> Path | bool | None:
    """The mask of an image; False for a good image of a data set that has masks; None without ground truth.

    Looks below `ground_truth` beside the folder `test` that holds the file, and below `ground_truth` in the root.
    """
    places = [(root / TRUTH, file.relative_to(root))] if file.is_relative_to(root) else []
    parts = file.parts
    if "test" in parts:
        at = len(parts) - 1 - parts[::-1].index("test")
        places.insert(0, (Path(*parts[:at]) / TRUTH, Path(*parts[at + 1 :])))
    for truth, inner in places:
        if len(inner.parts) < 2 or not truth.is_dir():
            continue
        for name in (f"{inner.stem}_mask.png", f"{inner.stem}.png", inner.name, f"{inner.stem}_mask{inner.suffix}"):
            if (truth / inner.parent / name).is_file():
                return truth / inner.parent / name
        if inner.parts[0].lower() in NORMAL_NAMES:
            return False
    return None


def from_folder(root: Path, reading: Reading, *, origin: str) -> ImageFiles | SoundFiles:
    """The images or sounds below `root`, in the order of their paths.

    A folder with `train` or `test` below it is laid out: the class of a file is the folder below those. Else the class
    is the first folder below the root, and a folder without sub-folders is unlabelled. `ground_truth` holds masks.

    Raises:
        DataError: the folder is empty, holds no image or sound, or both, or lacks the wanted part.
    """
    parts = [name for name in ("train", "test") if (root / name).is_dir()]
    if parts and reading.part != "all":
        if reading.part not in parts:
            msg = f"{root} has no folder {reading.part!r}, only {' and '.join(parts)}; make one, or give that folder."
            raise DataError(msg)
        parts = [reading.part]
    images, sounds = (
        sorted(name for top in parts or [""] for name in _files(root, top, suffixes)) for suffixes in (SUFFIXES, SOUNDS)
    )
    if images and sounds:
        msg = f"{root} holds both images ({images[0]}) and sounds ({sounds[0]}); give a folder of one kind."
        raise DataError(msg)
    names = images or sounds
    if not names:
        raise DataError(_nothing(root, parts))
    strip = 1 if parts else 0
    classes = [_class(name, strip) for name in names]
    known = tuple(sorted({name for name in classes if name is not None}))
    label = {name: at for at, name in enumerate(known)}
    labels = np.asarray([UNLABELLED if name is None else label[name] for name in classes], dtype=np.int64)
    common = _common(names, reading, origin, root) | {"labels": labels if known else None, "classes": known}
    return SoundFiles(**common) if sounds else ImageFiles(**common, max_pixels=reading.max_pixels)


def from_files(paths: Sequence[Path], reading: Reading, *, origin: str) -> ImageFiles | SoundFiles:
    """Files given one by one, in the order given and unlabelled; their ids are the paths as they were given.

    Raises:
        DataError: a path does not exist, or is of another kind than the first, or of none by its suffix.
    """
    sound = paths[0].suffix.lower() in SOUNDS
    what, suffixes = ("sound", SOUNDS) if sound else ("image", SUFFIXES)
    for path in paths:
        if not path.is_file():
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            found = nearest(path.name, beside) if beside else "nor does anything beside it."
            msg = f"{path} does not exist; {found}"
            raise DataError(msg)
        if path.suffix.lower() not in suffixes:
            msg = f"{path} is no {what} by its suffix; known suffixes: {' '.join(sorted(suffixes))}."
            raise DataError(msg)
    names = [path.as_posix() for path in paths]
    common = _common(names, reading, origin, Path())
    return SoundFiles(**common) if sound else ImageFiles(**common, max_pixels=reading.max_pixels)


def _common(names: list[str], reading: Reading, origin: str, root: Path) -> dict[str, Any]:
    return {
        "ids": names,
        "groups": None if reading.group_by is None else group_ids(names, reading.group_by),
        "origin": origin,
        "normal": reading.normal,
        "workers": reading.workers,
        "root": root,
    }


def _files(root: Path, top: str, suffixes: frozenset[str]) -> list[str]:
    """Paths, relative to `root`, of the files below `root/top`; hidden files and ground truth are left out."""
    found: list[str] = []
    for folder, below, files in os.walk(root / top):
        below[:] = [name for name in below if not name.startswith(".") and name != TRUTH]
        inner = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found += [
            (inner / name).as_posix()
            for name in files
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in suffixes
        ]
    return found


def _class(name: str, strip: int) -> str | None:
    folders = name.split("/")[strip:-1]
    return folders[0] if folders else None


def _nothing(root: Path, parts: list[str]) -> str:
    where = f"{root}/{parts[0]}" if len(parts) == 1 else str(root)
    others = [name for _, _, files in os.walk(where) for name in files]
    if not others:
        return f"folder {where} is empty; put images (.png, .jpg, .tif, ...) or sounds (.wav, .flac) into it."
    only = "one other file" if len(others) == 1 else f"{len(others)} other files, such as"
    return (
        f"folder {where} holds no image or sound, only {only} {min(others)}; "
        f"known suffixes: {' '.join(sorted(SUFFIXES | SOUNDS))}."
    )
