"""Data: raw records of whatever a user gives, what is decided on the training rows, and prepared samples.

Names are imported when they are first used, so that the list of known data sets costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from urbild.data.known import KNOWN, Known

if TYPE_CHECKING:
    from urbild.data.arrays import ArrayRecords
    from urbild.data.checks import verify
    from urbild.data.folders import ImageFiles
    from urbild.data.layout import write_folder
    from urbild.data.preparation import Preparation
    from urbild.data.reading import as_records
    from urbild.data.records import Header, Reading, Records
    from urbild.data.sounds import SoundArrays, SoundFiles
    from urbild.data.splits import Split, split
    from urbild.data.tables import TableRecords

__all__ = [
    "ArrayRecords",
    "Header",
    "ImageFiles",
    "KNOWN",
    "Known",
    "Preparation",
    "Reading",
    "Records",
    "SoundArrays",
    "SoundFiles",
    "Split",
    "TableRecords",
    "as_records",
    "split",
    "verify",
    "write_folder",
]

_HOMES = {
    "ArrayRecords": "arrays",
    "Header": "records",
    "ImageFiles": "folders",
    "Preparation": "preparation",
    "Reading": "records",
    "Records": "records",
    "SoundArrays": "sounds",
    "SoundFiles": "sounds",
    "Split": "splits",
    "TableRecords": "tables",
    "as_records": "reading",
    "split": "splits",
    "verify": "checks",
    "write_folder": "layout",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'urbild.data' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"urbild.data.{_HOMES[name]}"), name)
