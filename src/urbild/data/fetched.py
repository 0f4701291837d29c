"""Known data sets that lie in files: under URBILD_DATA, or fetched once from their official places."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from urbild.data.arrays import ArrayRecords, from_array_file
from urbild.data.embedded import part_of
from urbild.data.images import decode
from urbild.data.records import Reading, Records
from urbild.data.sums import ADBENCH, CIFAR10, FASHION_MNIST, KDDCUP99, MNIST, Remote
from urbild.errors import DataError, nearest

_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_PHOTOS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CONNECTION = """
duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot num_failed_logins logged_in
num_compromised root_shell su_attempted num_root num_file_creations num_shells num_access_files num_outbound_cmds
is_host_login is_guest_login count srv_count serror_rate srv_serror_rate rerror_rate srv_rerror_rate same_srv_rate
diff_srv_rate srv_diff_host_rate dst_host_count dst_host_srv_count dst_host_same_srv_rate dst_host_diff_srv_rate
dst_host_same_src_port_rate dst_host_srv_diff_host_rate dst_host_serror_rate dst_host_srv_serror_rate
dst_host_rerror_rate dst_host_srv_rerror_rate label
"""
_SHEETS = {"train": 50, "test": 10}


def idx(name: str, reading: Reading) -> ArrayRecords:
    """MNIST or Fashion-MNIST, [N, 28, 28, 1] uint8, in the official split and order."""
    remotes, classes = (MNIST, tuple("0123456789")) if name == "mnist" else (FASHION_MNIST, _CLOTHES)
    parts = [{"train": "train", "test": "t10k"}[part] for part in _parts(reading)]
    images = [_idx(_find(name, f"{part}-images-idx3-ubyte.gz", remotes), 16).reshape(-1, 28, 28, 1) for part in parts]
    labels = [_idx(_find(name, f"{part}-labels-idx1-ubyte.gz", remotes), 8) for part in parts]
    values = np.concatenate(images)
    return part_of(name, reading, values, np.concatenate(labels), classes)


def cifar10(name: str, reading: Reading) -> ArrayRecords:
    """CIFAR-10, [N, 32, 32, 3] uint8, in the official split and order: sheets of a copy, or the binary version."""
    folder = _local(name)
    if folder is not None and (folder / "test_00.webp").is_file():
        origin = f"{name} (first 20,000 training images)" if reading.part != "test" else name
        read = [_sheets(folder, part) for part in _parts(reading)]
    else:
        origin = name
        read = _batches(_find(name, "cifar-10-binary.tar.gz", CIFAR10), _parts(reading))
    values, labels = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
    return part_of(origin, reading, values, labels, _PHOTOS)


def kddcup99(name: str, reading: Reading) -> Records:
    """The 10 % file of KDD Cup 1999: 38 columns of numbers, 3 of words; one part; `normal` is the rarer class."""
    import pandas as pd

    from urbild.data.tables import from_frame

    path = _find(name, "kddcup.data_10_percent.gz", KDDCUP99)
    frame = pd.read_csv(path, header=None, names=_CONNECTION.split(), compression="gzip")
    frame["label"] = frame["label"].str.rstrip(".")
    return from_frame(frame, reading=reading, origin=name)


def adbench(name: str, reading: Reading) -> Records:
    """A table of ADBench; label 1 is abnormal; one part."""
    table = name.removeprefix("adbench/")
    folder = _local("adbench")
    local = None if folder is None else folder / f"{table}.npz"
    if local is None or not local.is_file():
        if f"{table}.npz" not in ADBENCH:
            known = {file.removesuffix(".npz") for file in ADBENCH}
            msg = f"adbench has no table {table!r}; {nearest(table, known)}"
            raise DataError(msg)
        local = _find("adbench", f"{table}.npz", ADBENCH)
    return from_array_file(local, y=None, groups=None, reading=reading, origin=name)


def _parts(reading: Reading) -> Sequence[str]:
    return ("train", "test") if reading.part == "all" else (reading.part,)


def _local(name: str) -> Path | None:
    """The folder of a data set under URBILD_DATA, if there is one."""
    root = os.environ.get("URBILD_DATA")
    folder = Path(root, name) if root else None
    return folder if folder is not None and folder.is_dir() else None


def _find(name: str, file: str, remotes: dict[str, Remote]) -> Path:
    """A file of a data set: the user's copy, or one that is fetched once and checked.

    Raises:
        DataError: there is no copy, and it cannot be fetched.
    """
    folder = _local(name)
    if folder is not None and (folder / file).is_file():
        return folder / file
    import pooch

    remote = remotes[file]
    store = Path(pooch.os_cache("urbild")) / name
    reason: Exception | None = None
    for url, known in remote:
        try:
            return Path(pooch.retrieve(url, known_hash=known, fname=Path(file).name, path=store, progressbar=False))
        except (OSError, ValueError) as error:
            reason = error
    msg = (
        f"{name} needs the file {file}, which could not be fetched ({type(reason).__name__}); "
        f"put it into a folder {name} below the one that the environment variable URBILD_DATA names."
    )
    raise DataError(msg) from reason


def _idx(path: Path, offset: int) -> np.ndarray:
    try:
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=offset)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        msg = f"{path} is corrupt or truncated ({error})."
        raise DataError(msg) from error


def _sheets(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one part: sheets of 25 x 40 tiles, [1000, 32, 32, 3] each."""
    paths = [path for at in range(_SHEETS[part]) if (path := folder / f"{part}_{at:02d}.webp").is_file()]
    tiles = [decode(path).reshape(25, 32, 40, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3) for path in paths]
    values = np.concatenate(tiles)
    return values, np.load(folder / f"{part}_labels.npy", allow_pickle=False)[: len(values)]


def _batches(archive: Path, parts: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of the parts of the binary version: a byte of label, then red, green and blue planes."""
    names = {"train": [f"data_batch_{at}.bin" for at in range(1, 6)], "test": ["test_batch.bin"]}
    read = []
    with tarfile.open(archive) as tar:
        for part in parts:
            files = [tar.extractfile(f"cifar-10-batches-bin/{name}") for name in names[part]]
            raw = np.frombuffer(b"".join(file.read() for file in files if file is not None), np.uint8).reshape(-1, 3073)
            read.append((np.ascontiguousarray(raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), raw[:, 0]))
    return read
