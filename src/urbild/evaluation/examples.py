"""The samples that a report shows: the strangest and the least strange, with what the model made of them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from urbild.contract import DataSpec, Model, Reconstructs, Samples, in_turn
from urbild.data import Preparation, Records
from urbild.evaluation.record import Array, Floats
from urbild.ops.sound import sounding

LONGEST = 512  # px a side of what is kept
COLUMNS = 6


def strangest_and_least(score: Floats | None, count: int, total: int) -> NDArray[np.int64]:
    """Rows of the `count` samples to show, the strangest first; the first ones where nothing is scored."""
    if score is None or count >= total:
        rows = np.arange(min(count, total))
        return rows if score is None else rows[np.argsort(-score, kind="stable")]
    order = np.argsort(-score, kind="stable")
    return np.concatenate([order[: count - count // 2], order[total - count // 2 :]])


def shown(raw: Array) -> Array:
    """A raw image [H, W, C] as [h, w, 1 or 3] uint8, at most `LONGEST` px a side; of other channel counts the mean."""
    image = raw if raw.shape[2] in (1, 3) else raw.mean(2, keepdims=True, dtype=np.float64)
    if raw.dtype == np.uint8:
        values = image.astype(np.float32)
    else:
        low, high = (0.0, 65535.0) if raw.dtype == np.uint16 else (float(image.min()), float(image.max()))
        values = (image.astype(np.float32) - low) * (255 / (high - low if high > low else 1.0))
    tensor = torch.from_numpy(values).movedim(2, 0)
    scaled = fitted(tensor, display_size(raw.shape[:2]))
    return scaled.movedim(0, 2).round().clamp(0, 255).numpy().astype(np.uint8)


def display_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(H, W) brought down to `LONGEST` px a side."""
    shrink = min(1.0, LONGEST / max(size))
    return max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))


def fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    """[C, H, W] averaged down, or interpolated up, to `size`."""
    if image.shape[1:] == size:
        return image
    if image.shape[1] >= size[0] and image.shape[2] >= size[1]:
        return functional.interpolate(image[None], size=size, mode="area")[0]
    return functional.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]


def shown_map(heat: Array, size: tuple[int, int]) -> Array:
    """A heat map [H, W] float32 at the size of its shown input."""
    scaled: Array = fitted(torch.from_numpy(np.ascontiguousarray(heat))[None], size)[0].numpy()
    return scaled


def shown_mask(mask: Array, size: tuple[int, int]) -> Array:
    """A mask [H, W] bool at the size of its shown input; a pixel is marked where any of those it stands for is."""
    scaled = fitted(torch.from_numpy(np.ascontiguousarray(mask)).float()[None], size)[0]
    marked: Array = (scaled > 0).numpy()
    return marked


def reconstructions(model: Model, preparation: Preparation, records: Records) -> list[Array] | None:
    """The model's version of each image, [h, w, 1 or 3] uint8, or None where it makes none of whole images."""
    if not isinstance(model, Reconstructs) or preparation.spec.kind != "image" or works_on_windows(preparation):
        return None
    versions = []
    for x in prepared(model, preparation, records):
        with torch.no_grad():
            images = np.asarray(preparation.restore(model.reconstruct(x).clamp(0, 1).cpu()))
        versions += [shown(image) for image in images]
    return versions


def entries(x: Tensor, spec: DataSpec) -> Floats:
    """Dimensions [N] that samples x have: all entries, but of sound only what is not padding."""
    if spec.rate is None:
        return np.full(len(x), float(spec.size))
    count: Floats = sounding(x[..., 0]).sum(1).double().cpu().numpy()
    return count


def table_values(preparation: Preparation, records: Records) -> list[dict[str, str]]:
    """The original values of each row of a table, by column, as words."""
    values: list[dict[str, str]] = []
    for batch in preparation.source(records, memory=0).batches():
        for row in preparation.restore(batch.x).to_dict("records"):  # type: ignore[union-attr]
            values.append(
                {str(name): f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in row.items()}
            )
    return values


def largest(columns: tuple[str, ...], shares: Floats, values: dict[str, str]) -> tuple[tuple[str, str, float], ...]:
    """The columns [C] that contributed most to one sample, with their values."""
    order = np.argsort(-shares, kind="stable")[:COLUMNS]
    return tuple((columns[at], values.get(columns[at], ""), float(shares[at])) for at in order)


def new_samples(model: Model, preparation: Preparation, count: int, seed: int) -> Array | None:
    """[count, H, W, 1 or 3] uint8 of a model that samples images, or None."""
    x = drawn(model, preparation, count, seed)
    return None if x is None else pictures(x, preparation)


def drawn(model: Model, preparation: Preparation, count: int, seed: int) -> Tensor | None:
    """[count, C, H, W] of a model that samples images, of all classes in turn, or None."""
    if not isinstance(model, Samples) or preparation.spec.kind != "image":
        return None
    generator = torch.Generator(device=device_of(model)).manual_seed(seed)
    with torch.no_grad():
        given = in_turn(model, count)
        given = None if given is None else given.to(generator.device)
        return model.sample(count, given=given, generator=generator).cpu()


def pictures(x: Tensor, preparation: Preparation) -> Array:
    """Prepared images [N, C, H, W] as [N, h, w, 1 or 3] uint8."""
    return np.stack([shown(image) for image in np.asarray(preparation.restore(x))])


def prepared(model: Model, preparation: Preparation, records: Records, size: int = 64) -> Iterator[Tensor]:
    """Prepared samples on the model's device, some at a time."""
    device = device_of(model)
    for batch in preparation.source(records, memory=0).batches(size):
        yield batch.x.to(device)


def device_of(model: Model) -> torch.device:
    """Where a model's tensors lie."""
    for value in (*model.parameters(), *model.buffers()):
        return value.device
    return torch.device("cpu")


def works_on_windows(preparation: Preparation) -> bool:
    """Whether the model sees windows of images rather than images."""
    from urbild.data.pixels import Pixels

    return isinstance(preparation.how, Pixels) and preparation.how.patch is not None
