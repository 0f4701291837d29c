"""Data: raw records of whatever a user gives, what is decided on the training rows, and prepared samples."""

from urbild.data.arrays import ArrayRecords
from urbild.data.checks import verify
from urbild.data.folders import ImageFiles
from urbild.data.preparation import Preparation
from urbild.data.reading import as_records
from urbild.data.records import Header, Reading, Records
from urbild.data.splits import Split, split
from urbild.data.tables import TableRecords

__all__ = [
    "ArrayRecords",
    "Header",
    "ImageFiles",
    "Preparation",
    "Reading",
    "Records",
    "Split",
    "TableRecords",
    "as_records",
    "split",
    "verify",
]
