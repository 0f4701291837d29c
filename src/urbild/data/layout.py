"""Known data sets written as a folder, laid out as a user's would be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from urbild.data.embedded import surfaces
from urbild.data.known import read_known
from urbild.data.records import Reading, Records
from urbild.errors import DataError, OutputError

ABNORMAL_DIGIT = "4"


def write_folder(
    name: str,
    directory: Path | str,
    *,
    seed: int = 0,
    normal: Sequence[str] | None = None,
    abnormal: Sequence[str] | None = None,
    most: int | None = None,
) -> Path:
    """Writes a known data set of images as `train/good`, `test/good`, `test/<class>` and `ground_truth/<class>`.

    Args:
        name: of the data set.
        directory: to be made, or empty.
        seed: of the drawn surfaces.
        normal: classes that count as good.
        abnormal: classes that do not; of `digits`, 4 by default.
        most: images of each part and class that are written, the first ones; None for all.

    Raises:
        DataError: the data set is no set of images, or its classes do not tell what is normal.
        OutputError: the directory holds files already, or cannot be written.
    """
    if name == "digits" and normal is None and abnormal is None:
        abnormal = (ABNORMAL_DIGIT,)
    root = Path(directory)
    parts = {part: _read(name, part, seed) for part in ("train", "test")}
    plan = [entry for part, records in parts.items() for entry in _plan(part, records, normal, abnormal, most)]
    if root.is_dir() and any(root.iterdir()):
        msg = f"{root} is not empty; give a new directory."
        raise OutputError(msg)
    try:
        _write_all(root, parts, plan)
    except OSError as error:
        msg = f"{root} cannot be written ({error.strerror})."
        raise OutputError(msg) from error
    return root


def _write_all(root: Path, parts: Mapping[str, Records], plan: Sequence[tuple[str, int, str]]) -> None:
    """Writes beside the place and then moves there, so that nothing half-written is left behind."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as draft:
        whole = Path(draft, "whole")
        whole.mkdir()
        for part, row, folder in plan:
            _write(whole, parts[part], part, row, folder)
        whole.replace(root)


def _read(name: str, part: str, seed: int) -> Records:
    reading = Reading(part="train" if part == "train" else "test")
    records = surfaces(name, reading, seed=seed) if name == "surfaces" else read_known(name, reading)
    if records.kind != "image":
        what = "a table" if records.kind == "vector" else "sound"
        msg = f"{name} is {what}, not a set of images; it has no folder to be laid out."
        raise DataError(msg)
    return records


def _plan(
    part: str, records: Records, normal: Sequence[str] | None, abnormal: Sequence[str] | None, most: int | None
) -> list[tuple[str, int, str]]:
    """Part, row and folder of each image that is written."""
    if abnormal is not None:
        normal = [name for name in records.classes if name not in abnormal]
    strange = records.abnormal(normal)
    assert strange is not None
    assert records.labels is not None
    folders = [
        "good" if not odd else _folder(records.classes[at]) for odd, at in zip(strange, records.labels, strict=True)
    ]
    plan = []
    count: dict[str, int] = {}
    for row, folder in enumerate(folders):
        if (part == "train" and folder != "good") or count.get(folder, 0) == most:
            continue
        count[folder] = count.get(folder, 0) + 1
        plan.append((part, row, folder))
    return plan


def _write(root: Path, records: Records, part: str, row: int, folder: str) -> None:
    stem = records.ids[row].rpartition("/")[2].removeprefix("row ").zfill(4)
    image = records.read(row)
    _save(root / part / folder / f"{stem}.png", image if image.shape[2] == 3 else image[:, :, 0])
    mask = records.mask(row)
    if mask is not None and folder != "good":
        _save(root / "ground_truth" / folder / f"{stem}_mask.png", np.where(mask, 255, 0).astype(np.uint8))


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def _folder(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
