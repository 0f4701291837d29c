"""Metrics of heat maps against masks, in one pass and bounded memory.

- "pixel_auroc": area under the ROC curve over all pixels of all images;
- "pro": per-region overlap. Each connected region of a mask (8 neighbours) counts alike: the mean over regions of the
  share of their pixels above a threshold, integrated over false-alarm rates (of pixels outside the masks) from 0 to
  0.3 and divided by 0.3. Source: Bergmann et al. 2020, Uninformed students, section 4.

Pixels are counted in a histogram over the leading 20 bits of their float32 value (sign, exponent and 11 bits of the
fraction): values count as tied where they agree to 1/2048 of their size, at any scale and without knowing the range
beforehand. Intervals resample whole images (pixels of one image are not independent), images with and without
abnormal pixels apart; they use 16 bits, and are moved to the value that 20 bits give.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from urbild.errors import DataError, ShapeError
from urbild.evaluation.record import Array, Floats, Interval

LIMIT = 0.3
LEVEL = 0.95
_FINE, _COARSE = 20, 16
_PER = 1 << (_FINE - _COARSE)  # fine bins in a coarse one
_BLOCK = 64  # resamples at a time


@dataclass(frozen=True, slots=True)
class _Image:
    """The coarse histogram of one image: its occupied bins, and in each the three counts below."""

    bins: NDArray[np.int64]
    counts: Floats  # [3, bins]: pixels outside the mask, pixels inside, shares of regions
    regions: int


class Pixels:
    """Counts the pixels of heat maps, image by image."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._fine = np.zeros((3, 1 << _FINE))
        self._images: list[_Image] = []

    def add(self, heat: Array, mask: Array) -> None:
        """Counts an image.

        Args:
            heat: [H, W] heat map, larger is stranger.
            mask: [H, W] bool, all False for a normal image.

        Raises:
            ShapeError: the two differ in size.
        """
        truth = np.asarray(mask, dtype=bool)
        if heat.shape != truth.shape:
            msg = (
                f"a heat map of {heat.shape} does not fit its mask of {truth.shape}; give masks of their image's size."
            )
            raise ShapeError(msg)
        place, regions = ndimage.label(truth, structure=np.ones((3, 3)))
        share = 1 / np.maximum(np.bincount(place.ravel()), 1)[place[truth]]
        keys = _keys(heat).astype(np.int64)
        # only the bins between the smallest and the largest value are touched, from a coarse bin's border on
        first = int(keys.min()) // _PER * _PER
        width = (int(keys.max()) - first) // _PER * _PER + _PER
        normal, abnormal = keys[~truth] - first, keys[truth] - first
        counts = (
            np.bincount(normal, minlength=width),
            np.bincount(abnormal, minlength=width),
            np.bincount(abnormal, weights=share, minlength=width),
        )
        for total, count in zip(self._fine, counts, strict=True):
            total[first : first + width] += count
        coarse = np.stack([count.reshape(-1, _PER).sum(1) for count in counts])
        bins = np.flatnonzero(coarse[:2].any(0))
        self._images.append(_Image(bins + first // _PER, coarse[:, bins], regions))

    @property
    def images(self) -> int:
        """Number of images counted."""
        return len(self._images)

    def metrics(self, *, seed: int = 0, resamples: int = 1000) -> dict[str, Interval]:
        """Both metrics with 95 % intervals.

        Raises:
            DataError: no pixel, or every pixel, is marked abnormal.
        """
        normal, abnormal = self._fine[:2].sum(1)
        if not normal or not abnormal:
            msg = f"pixel metrics need both kinds of pixels; {int(abnormal)} of {int(normal + abnormal)} are abnormal."
            raise DataError(msg)
        regions = np.array([float(sum(image.regions for image in self._images))])
        value = _measure(self._fine[None], regions)
        centre = _measure(self._fine.reshape(1, 3, 1 << _COARSE, -1).sum(3), regions)
        drawn = [_measure(counts, number) for counts, number in self._resample(seed, resamples)]
        found = {}
        for name, exact in value.items():
            spread = np.concatenate([d[name] for d in drawn]) - centre[name] if drawn else np.zeros(1)
            low, high = np.quantile(spread, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
            point = float(exact[0])
            found[name] = Interval(
                point, max(0.0, point + min(0.0, float(low))), min(1.0, point + max(0.0, float(high)))
            )
        return found

    def _resample(self, seed: int, resamples: int) -> Iterator[tuple[Floats, Floats]]:
        """Coarse counts [B, 3, bins] and numbers of regions [B] of resampled images."""
        rng = np.random.default_rng(seed)
        used, place = np.unique(np.concatenate([image.bins for image in self._images]), return_inverse=True)
        row = np.repeat(np.arange(len(self._images)), [len(image.bins) for image in self._images])
        counts = np.concatenate([image.counts for image in self._images], axis=1)
        shape = (len(self._images), len(used))
        tables = [sparse.csr_array((line, (row, place)), shape=shape) for line in counts]
        regions = np.array([image.regions for image in self._images])
        strata = [members for members in (np.flatnonzero(regions > 0), np.flatnonzero(regions == 0)) if len(members)]
        for first in range(0, resamples, _BLOCK):
            weight = np.zeros((min(_BLOCK, resamples - first), len(regions)))
            for members in strata:
                share = np.full(len(members), 1 / len(members))
                weight[:, members] = rng.multinomial(len(members), share, size=len(weight))
            yield np.stack([weight @ table for table in tables], axis=1), weight @ regions


def _keys(heat: Array) -> NDArray[np.uint32]:
    """[H, W] numbers below 2 ** 20 in the order of the values; what is not a number counts as infinite."""
    values = np.asarray(heat, dtype=np.float32) + np.float32(0)  # -0 becomes 0
    bits = np.where(np.isnan(values), np.float32(np.inf), values).view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> (32 - _FINE)).astype(np.uint32)


def _measure(counts: Floats, regions: Floats) -> dict[str, Floats]:
    """Both metrics [B] of histograms [B, 3, bins] that rise with strangeness."""
    occupied = counts[:, :2].any(axis=(0, 1))
    total = np.cumsum(counts[:, :, occupied][:, :, ::-1], axis=2)  # [B, 3, bins], from the strangest down
    total = np.concatenate([np.zeros((*total.shape[:2], 1)), total], axis=2)
    false, found = total[:, 0] / total[:, 0, -1:], total[:, 1] / total[:, 1, -1:]
    overlap = total[:, 2] / regions[:, None]
    return {
        "pixel_auroc": (np.diff(false, axis=1) * (found[:, 1:] + found[:, :-1]) / 2).sum(1),
        "pro": _area_to(LIMIT, false, overlap) / LIMIT,
    }


def _area_to(limit: float, x: Floats, y: Floats) -> Floats:
    """The area [B] below piecewise linear curves [B, P], from x = 0 to `limit`."""
    width = np.diff(x, axis=1)
    kept = np.clip(limit - x[:, :-1], 0, width)
    slope = np.divide(np.diff(y, axis=1), width, out=np.zeros_like(width), where=width > 0)
    area: Floats = (kept * (y[:, :-1] + slope * kept / 2)).sum(1)
    return area
