"""What can be found out only by reading every sample: unreadable images, and samples that are all the same."""

from dataclasses import replace
from functools import partial
from hashlib import blake2b

import numpy as np

from urbild.data.images import REMEDY
from urbild.data.records import Records
from urbild.data.tables import TableRecords
from urbild.data.workers import choose_workers, in_order
from urbild.errors import DataError

_NAMED = 3
_CHUNK = 16


def verify(records: Records, *, skip_bad: bool = False, training: bool = True) -> Records:
    """Reads every file once, in worker processes, and gives back the records that can be used.

    Unreadable images stop it, all of them counted and the first named; with `skip_bad` they are left out and listed in
    `skipped`. Samples that are to be trained on must be two at least, and not all alike.

    Raises:
        DataError: images are unreadable, none is left, or the samples cannot be trained on.
    """
    if records.shape is None:
        records, alike = _readable(records, skip_bad=skip_bad)
    else:
        alike = training and _all_alike(records)
    if training and len(records) < 2:
        msg = f"{records.origin} has {len(records)} sample, but at least two normal ones are needed to train."
        raise DataError(msg)
    if training and alike:
        msg = f"all {len(records)} samples of {records.origin} are identical, so there is nothing to learn from them."
        raise DataError(msg)
    return records


def _readable(records: Records, *, skip_bad: bool) -> tuple[Records, bool]:
    """The readable images, and whether they are all alike."""
    chunks = [range(start, min(start + _CHUNK, len(records))) for start in range(0, len(records), _CHUNK)]
    faults: dict[int, str] = {}
    digests: set[bytes] = set()
    for found in in_order(partial(_read, records), chunks, choose_workers(records.workers, len(records))):
        for row, (digest, fault) in found.items():
            if fault:
                faults[row] = fault
            elif len(digests) < 2:
                digests.add(digest)
    if not faults:
        return records, len(digests) < 2
    if not skip_bad or len(faults) == len(records):
        raise DataError(_bad(records, faults, skip_bad=skip_bad))
    good = np.asarray([row for row in range(len(records)) if row not in faults], dtype=np.int64)
    skipped = (*records.skipped, *(records.ids[row] for row in faults))
    return replace(records.select(good), skipped=skipped), len(digests) < 2


def _read(records: Records, rows: range) -> dict[int, tuple[bytes, str]]:
    """A digest of each sample, or why it cannot be read."""
    found: dict[int, tuple[bytes, str]] = {}
    for row in rows:
        try:
            image = records.read(row)
        except DataError as error:
            found[row] = b"", str(error)
        else:
            digest = blake2b(f"{image.dtype} {image.shape}".encode(), digest_size=16)
            digest.update(np.ascontiguousarray(image).data)
            found[row] = digest.digest(), ""
    return found


def _bad(records: Records, faults: dict[int, str], *, skip_bad: bool) -> str:
    first = next(iter(faults.values())).removesuffix(REMEDY).rstrip(".")
    if len(records) == 1:
        return f"{first}."
    remedy = "check the files" if skip_bad else "replace or remove what is bad, or leave it out with --skip-bad"
    if len(faults) == 1:
        return f"{first}; {remedy}."
    names = [records.ids[row] for row in faults]
    others = ", ".join(names[1:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    what = "images" if records.kind == "image" else "files"
    return (
        f"{len(faults)} of {len(records)} {what} of {records.origin} cannot be used: {first}; also {others}; {remedy}."
    )


def _all_alike(records: Records) -> bool:
    if isinstance(records, TableRecords):
        return bool((records.frame == records.frame.iloc[0]).all(axis=None))
    first = records.read(0)
    return all(np.array_equal(records.read(row), first) for row in range(1, len(records)))
