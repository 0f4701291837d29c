"""The Free Spoken Digit Dataset: 3,000 recordings of ten digits by six speakers, mono, at 8 kHz."""

import os
import re
import zipfile
from pathlib import Path

import numpy as np

from urbild.data.records import Reading, group_ids
from urbild.data.sounds import SoundArrays, decode
from urbild.errors import DataError

FILE = "fsdd_recordings.zip"
_NAME = re.compile(r"recordings/((\d)_([a-z]+)_(\d+)\.wav)")
_TESTED = 5  # the first so many takes of a digit and speaker are the test part


def fsdd(name: str, reading: Reading) -> SoundArrays:
    """The recordings, labelled by digit, or (`fsdd/speakers`) by speaker; takes 0 to 4 are the test part.

    Ids are `<digit>_<speaker>_<take>.wav`, so that the group rule `_([a-z]+)_` keeps a speaker's together.

    Raises:
        DataError: the file is not at hand, or damaged.
    """
    found = {}
    try:
        with zipfile.ZipFile(_archive()) as archive:
            for inner in sorted(archive.namelist()):
                match = _NAME.fullmatch(inner)
                if match is None:
                    continue
                own, digit, speaker, take = match.groups()
                if reading.part == "all" or (reading.part == "test") == (int(take) < _TESTED):
                    found[own] = (*decode(archive.read(inner), own), speaker if name == "fsdd/speakers" else digit)
    except (OSError, zipfile.BadZipFile) as error:
        msg = f"{FILE} of fsdd is damaged ({error}); put a whole one in its place."
        raise DataError(msg) from error
    if not found:
        msg = f"{FILE} of fsdd holds no recordings/<digit>_<speaker>_<take>.wav; put the original in its place."
        raise DataError(msg)
    ids = list(found)
    waves, rates, words = zip(*found.values(), strict=True)
    classes = tuple(sorted(set(words)))
    return SoundArrays(
        ids=ids,
        labels=np.asarray([classes.index(word) for word in words], dtype=np.int64),
        classes=classes,
        groups=None if reading.group_by is None else group_ids(ids, reading.group_by),
        origin=name,
        normal=reading.normal,
        workers=0,
        waves=waves,
        rate=int(rates[0]),
    )


def _archive() -> Path:
    """The user's copy: the recordings have no official place as one file."""
    root = os.environ.get("URBILD_DATA")
    path = Path(root, "fsdd", FILE) if root else None
    if path is None or not path.is_file():
        msg = (
            f"fsdd needs the file {FILE}, the folder `recordings` of the Free Spoken Digit Dataset as a zip; "
            "put it into a folder fsdd below the one that the environment variable URBILD_DATA names."
        )
        raise DataError(msg)
    return path
