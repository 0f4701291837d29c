"""One door for everything that a user may give as data."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from urbild.data.arrays import from_array, from_array_file
from urbild.data.folders import from_files, from_folder
from urbild.data.images import SUFFIXES
from urbild.data.known import read_known
from urbild.data.records import Reading, Records, name_labels, number_groups
from urbild.data.sounds import SUFFIXES as SOUNDS
from urbild.data.tables import from_frame, from_table_file
from urbild.errors import DataError

TABLES = frozenset({".csv", ".tsv", ".parquet"})
ARRAYS = frozenset({".npy", ".npz"})


def as_records(data: Any, *, y: Any = None, groups: Any = None, reading: Reading | None = None) -> Records:
    """Raw samples of whatever a user gives.

    Taken are: a folder of images or sounds, one such file, a .npy, .npz, .csv, .tsv or .parquet file, the name of a
    known data set (a path of that name goes first), an array or tensor [N, D], [N, H, W], [N, H, W, C] or [N, C, H, W],
    a DataFrame, a list of paths, nested lists of numbers, and records themselves. Nothing is decoded but headers.

    Args:
        data: the samples.
        y: [N] labels, where the data do not carry them.
        groups: [N] which samples belong together.
        reading: how to read.

    Raises:
        DataError: there is nothing such, or it is empty, damaged or not finite.
    """
    import pandas as pd

    reading = reading or Reading()
    if isinstance(data, Records):
        return data
    if isinstance(data, (str, os.PathLike)):
        return _from_path(os.fspath(data), y, groups, reading)
    if isinstance(data, pd.DataFrame):
        return from_frame(data, y=y, groups=groups, reading=reading)
    if isinstance(data, torch.Tensor):
        values = data.detach().cpu().numpy()
        return from_array(values, y=y, groups=groups, reading=reading, origin="tensor", torch_order=True)
    if isinstance(data, Sequence) and data and all(isinstance(entry, (str, os.PathLike)) for entry in data):
        files = from_files([Path(entry) for entry in data], reading, origin=f"{len(data)} paths")
        return _with(files, y, groups)
    try:
        values = np.asarray(data)
    except ValueError as error:
        msg = "the samples given differ in length; give an array in which every sample has the same shape."
        raise DataError(msg) from error
    if values.dtype.kind in "OSU" and values.ndim == 2:
        return from_frame(pd.DataFrame(values).infer_objects(), y=y, groups=groups, reading=reading, origin="array")
    return from_array(values, y=y, groups=groups, reading=reading)


def _from_path(name: str, y: Any, groups: Any, reading: Reading) -> Records:
    path = Path(name)
    if path.is_dir():
        return _with(from_folder(path, reading, origin=name), y, groups)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in ARRAYS:
            return from_array_file(path, y=y, groups=groups, reading=reading, origin=name)
        if suffix in TABLES:
            return from_table_file(path, y=y, groups=groups, reading=reading, origin=name)
        if suffix in SUFFIXES | SOUNDS:
            return _with(from_files([path], reading, origin=name), y, groups)
        known = " ".join(sorted(TABLES | ARRAYS | SUFFIXES | SOUNDS))
        msg = f"{name} is of no known type; known suffixes: {known}."
        raise DataError(msg)
    return _with(read_known(name, reading), y, groups)


def _with(records: Records, y: Any, groups: Any) -> Records:
    """The records with the labels and groups that were given beside them."""
    if y is not None:
        labels, classes = name_labels(y, len(records), "y")
        records = replace(records, labels=labels, classes=classes)
    return records if groups is None else replace(records, groups=number_groups(groups, len(records)))
