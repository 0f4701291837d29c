"""A trained model at work: raw scores, heat maps at the input's size and contributions of columns, streaming.

Scores are computed in evaluation mode, without gradients, in fp32. Only the index of the samples and one batch are
held, and the maps of one batch where maps are wanted.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from urbild.contract import Anomaly, Model, Scores
from urbild.data import Preparation, Records
from urbild.data.pixels import Pixels
from urbild.detection.heat import Reduction, reduce, smooth
from urbild.detection.tiling import stitch

Floats: TypeAlias = NDArray[np.float64]
HeatMap: TypeAlias = NDArray[np.float32]

_IMAGE_VALUES, _VECTOR_VALUES = 1 << 19, 1 << 20  # values of one batch
_MOST_IMAGES, _MOST_VECTORS = 256, 4096


@dataclass(frozen=True, slots=True)
class Block:
    """Some samples, scored.

    Attributes:
        rows: [n] of the records.
        score: [n] raw, larger is stranger.
        maps: n heat maps [H, W] at the input's size, or None.
        contributions: [n, columns] of a table, not negative, or None.
    """

    rows: NDArray[np.int64]
    score: Floats
    maps: list[HeatMap] | None = None
    contributions: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What is needed to score a sample.

    Attributes:
        model: that scores, placed and in evaluation mode.
        preparation: of samples.
        reduction: from map to score, "auto" resolved.
        overlap: of windows, where images are tiled.
        workers: processes that decode.
    """

    model: Model
    preparation: Preparation
    reduction: Reduction = "model"
    overlap: float = 0.5
    workers: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that contributions are given for."""
        return tuple(dict.fromkeys(self.preparation.spec.columns))

    def scores(self, records: Records) -> Floats:
        """Raw scores [N]."""
        found = [block.score for block in self.blocks(records)]
        return np.concatenate(found) if found else np.zeros(0)

    def blocks(self, records: Records, *, maps: bool = False) -> Iterator[Block]:
        """Scores all samples in order, some at a time.

        Args:
            records: of the kind that the preparation was fitted to.
            maps: whether heat maps are wanted.

        Raises:
            ShapeError: the samples are of another kind, shape or set of columns.
            DataError: one cannot be read.
        """
        self.preparation.check(records)
        patch = patch_of(self.preparation)
        return self._whole(records, maps=maps) if patch is None else self._tiled(records, patch, maps=maps)

    def anomaly(self, x: Tensor) -> Anomaly:
        """The model's anomaly of prepared samples [N, *sample], in fp32, on the model's device."""
        assert isinstance(self.model, Scores)
        with _scoring(device := device_of(self.model)):
            found = self.model.anomaly(x.to(device))
        return Anomaly(found.score.float(), None if found.map is None else found.map.float())

    @property
    def batch(self) -> int:
        """Samples scored at a time: what keeps a batch's activations far below the memory of a small machine."""
        size = self.preparation.spec.size
        if self.preparation.spec.kind == "vector":
            return min(_MOST_VECTORS, max(1, _VECTOR_VALUES // size))
        return min(_MOST_IMAGES, max(1, _IMAGE_VALUES // size))

    def _whole(self, records: Records, *, maps: bool) -> Iterator[Block]:
        source = self.preparation.source(records, workers=self.workers, memory=0)
        image, table = (self.preparation.spec.kind == kind for kind in ("image", "vector"))
        for batch in source.batches(self.batch):
            found = self.anomaly(batch.x)
            rows = batch.index.numpy()
            heat = None if found.map is None else smooth(found.map, self.preparation.spec).cpu()
            yield Block(
                rows,
                _raw(reduce(found.score.cpu(), heat, self.reduction)),
                self._at_input_size(records, rows, heat) if maps and image and heat is not None else None,
                self._by_column(heat) if table and heat is not None else None,
            )

    def _at_input_size(self, records: Records, rows: NDArray[np.int64], heat: Tensor) -> list[HeatMap]:
        sizes = [records.size(int(row)) for row in rows]
        return [_resized(one, size) for one, size in zip(heat, sizes, strict=True)]

    def _by_column(self, heat: Tensor) -> Floats:
        """Contributions [n, columns]: entries [n, D] of one column, such as one-hot ones, are summed."""
        names = self.preparation.spec.columns
        place = {name: at for at, name in enumerate(self.columns)}
        total = np.zeros((len(heat), len(place)))
        values = heat.double().numpy()
        for entry, name in enumerate(names):
            total[:, place[name]] += values[:, entry]
        return total

    def _tiled(self, records: Records, patch: int, *, maps: bool) -> Iterator[Block]:
        for row, image in enumerate(self.preparation.images(records, workers=self.workers)):
            largest, heat = stitch(self.anomaly, image, patch, overlap=self.overlap, batch=self.batch)
            smoothed = smooth(torch.from_numpy(heat)[None], self.preparation.spec)
            score = reduce(torch.tensor([largest], dtype=torch.float64), smoothed, self.reduction)
            resized = [_resized(smoothed[0], records.size(row))] if maps else None
            yield Block(np.array([row]), _raw(score), resized)


def patch_of(preparation: Preparation) -> int | None:
    """Side of the windows that images are scored by, or None."""
    return preparation.how.patch if isinstance(preparation.how, Pixels) else None


def device_of(model: Model) -> torch.device:
    """Where a model's tensors lie."""
    for value in (*model.parameters(), *model.buffers()):
        return value.device
    return torch.device("cpu")


@contextmanager
def _scoring(device: torch.device) -> Iterator[None]:
    """No gradients (but not inference mode, which forbids a latent search), no autocast, and no TF32."""
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False))
        yield


def _raw(score: Tensor) -> Floats:
    """Float64 scores; what is not a number is as strange as can be."""
    values: Floats = score.double().cpu().numpy()
    return np.where(np.isnan(values), np.inf, values)


def _resized(heat: Tensor, size: tuple[int, int]) -> HeatMap:
    """A map [h, w] at an input's size (H, W)."""
    if heat.shape != size:
        heat = functional.interpolate(heat[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    resized: HeatMap = heat.numpy()
    return resized
