"""The door of the detector: what a user gives becomes records, and is remembered as scikit-learn wants it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

from urbild.data import Reading, Records, as_records
from urbild.data.records import number_groups
from urbild.errors import OptionError, ShapeError

if TYPE_CHECKING:
    import pandas as pd


class InputError(ShapeError, ValueError):
    """Samples that cannot be used; a ValueError too, as scikit-learn's callers expect."""


class UnknownOptionError(OptionError, ValueError):
    """An option that neither the detector nor its system has; a ValueError too, as scikit-learn's callers expect."""


def open_door(
    estimator: BaseEstimator, X: Any, *, groups: Any = None, reading: Reading, fitting: bool = False
) -> Records:
    """Records of anything that a detector takes.

    Args:
        estimator: whose `n_features_in_` and `feature_names_in_` are set (fitting) or compared.
        X: records, a path, a list of paths, images [N, H, W] or [N, H, W, C], or a table [N, D] as array, tensor,
            nested list or DataFrame.
        groups: [N] which samples belong together.
        reading: how files are read.
        fitting: whether this is the training data.

    Raises:
        DataError: the samples are missing, too few, not finite or not readable.
        ShapeError: their number of columns, or the columns' names, differ from the training data's.
    """
    if isinstance(X, Records | str | Path) or _lists_paths(X) or _holds_images(X):
        records = as_records(X, reading=reading)
        if fitting and records.kind == "vector":
            estimator.n_features_in_ = len(records.columns)
            estimator.feature_names_in_ = np.asarray(records.columns, dtype=object)
    else:
        table = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
        records = as_records(_table(estimator, table, fitting=fitting), reading=reading)
    return records if groups is None else replace(records, groups=number_groups(groups, len(records)))


def _lists_paths(X: Any) -> bool:
    return isinstance(X, Sequence) and len(X) > 0 and all(isinstance(entry, str | Path) for entry in X)


def _holds_images(X: Any) -> bool:
    if isinstance(X, np.ndarray | Tensor):
        return X.ndim > 2
    return isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], np.ndarray | Tensor) and X[0].ndim > 1


def _table(estimator: BaseEstimator, X: Any, *, fitting: bool) -> "np.ndarray | pd.DataFrame":
    """A table as scikit-learn checks it; words in a DataFrame's columns are left to the preparation."""
    import pandas as pd

    least = 2 if fitting else 1
    words = isinstance(X, pd.DataFrame) and not all(pd.api.types.is_numeric_dtype(kind) for kind in X.dtypes)
    try:
        if words:
            validate_data(estimator, X, reset=fitting, skip_check_array=True)
            frame: pd.DataFrame = X
            return frame
        table: np.ndarray = validate_data(
            estimator, X, reset=fitting, ensure_min_samples=least, dtype="numeric", ensure_all_finite=False
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    _refuse_what_is_not_finite(table)
    return pd.DataFrame(table, columns=X.columns) if isinstance(X, pd.DataFrame) else table


def _refuse_what_is_not_finite(table: np.ndarray) -> None:
    if table.dtype.kind != "f":
        return
    good = np.isfinite(table)
    if not good.all():
        row, column = np.argwhere(~good)[0].tolist()
        what = "NaN" if np.isnan(table[row, column]) else "inf"
        msg = f"X contains {what} in row {row}, column {column} (counted from 0); fill it in, or leave the row out."
        raise InputError(msg)
