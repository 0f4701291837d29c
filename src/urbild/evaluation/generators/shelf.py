"""Features kept in a file, and read some at a time."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Shelf:
    """Vectors [N, D] float32 in a file. Each reading maps it anew, so that no page of it stays in memory.

    Args:
        path: of the file, which is made.

    Attributes:
        size: D, 0 while there are no vectors.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count, self.size = path, 0, 0
        path.write_bytes(b"")

    def add(self, x: Tensor) -> None:
        """Appends vectors [N, D]."""
        values = np.ascontiguousarray(x.detach().cpu().float().numpy())
        with self._path.open("ab") as file:
            file.write(values.data)
        self._count, self.size = self._count + len(values), values.shape[1]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self._read(rows)

    def take(self, rows: NDArray[np.int64]) -> Tensor:
        """The vectors `rows`, in the order of the file."""
        return self._read(np.sort(rows))

    def _read(self, rows: slice | NDArray[np.int64]) -> Tensor:
        mapped = np.memmap(self._path, np.float32, mode="r", shape=(self._count, self.size))
        return torch.from_numpy(np.array(mapped[rows]))
