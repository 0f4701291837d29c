"""Measures of two sets of samples in one feature space.

torchmetrics has FID, KID and the Inception score too. Its kernel distance of two blocks of features is used. Its FID
sums squares that are not centred and gives back single precision, and its KID and Inception score keep all features in
memory: here moments stream in double precision, and features lie in a file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from urbild.data import Preparation
from urbild.errors import DataError
from urbild.evaluation.generators.shelf import Shelf
from urbild.evaluation.generators.spaces import Space
from urbild.evaluation.metrics import interval, mean, rate
from urbild.evaluation.record import Floats, Interval
from urbild.ops import balls
from urbild.ops.frechet import Moments, frechet_distance
from urbild.ops.wasserstein import PATCH, directions, patch_distance, sliced_wasserstein

PRECISION_K, COVERAGE_K = 3, 5
SUBSETS, SUBSET = 100, 1000  # of KID
SPLITS = 10  # of the Inception score
MOST_IMAGES, PATCHES = 512, 32  # whose patches are compared, and how many of each
BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """Samples as a space sees them; their features lie in a file.

    Attributes:
        features: [N, D].
        moments: of the features.
        log_probs: [N, classes], of a space that tells classes.
        images: the first of them [n, C, H, W], of images.
        distinct: how many of them differ.
    """

    features: Shelf
    moments: Moments
    log_probs: Shelf | None
    images: Tensor | None
    distinct: int

    def __len__(self) -> int:
        return len(self.features)

    def told(self) -> Tensor:
        """The likeliest class of each sample, [N]."""
        assert self.log_probs is not None
        rows = range(0, len(self), BLOCK)
        return torch.cat([self.log_probs[start : start + BLOCK].argmax(1) for start in rows])


def see(samples: Iterable[Tensor], space: Space, preparation: Preparation, place: Path) -> Seen:
    """Looks at samples [N, *sample] that come some at a time, and keeps their features under `place`.

    Raises:
        DataError: a feature is not finite.
    """
    place.mkdir(parents=True)
    features, log_probs = Shelf(place / "features"), Shelf(place / "log_probs")
    moments, images, kept, digests = None, list[Tensor](), 0, set[bytes]()
    for x in samples:
        found = space.of(x)
        if not found.values.isfinite().all():
            msg = "a sample has features that are not finite, so nothing can be compared; was the run trained through?"
            raise DataError(msg)
        features.add(found.values)
        moments = moments or Moments(features.size)
        moments.add(found.values)
        if found.log_probs is not None:
            log_probs.add(found.log_probs)
        if preparation.spec.kind == "image" and kept < MOST_IMAGES:
            images.append(x[: MOST_IMAGES - kept].cpu().float())
            kept += len(images[-1])
        digests |= _digests(x, preparation)
    shown = torch.cat(images) if images else None
    return Seen(features, moments or Moments(0), log_probs if len(log_probs) else None, shown, len(digests))


def _digests(x: Tensor, preparation: Preparation) -> set[bytes]:
    """What tells samples apart: images as they are in 8 bits, others to the last bit."""
    rows = preparation.restore(x) if preparation.spec.kind == "image" else x.cpu().numpy()
    return {blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in rows}


def compare(seen: Seen, real: Seen, *, seed: int = 0) -> dict[str, Interval]:
    """All measures of samples beside as many real ones.

    Source: FID Heusel et al. 2017, https://arxiv.org/abs/1706.08500; KID Binkowski et al. 2018,
    https://arxiv.org/abs/1801.01401; precision and recall Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991;
    density and coverage Naeem et al. 2020, https://arxiv.org/abs/2002.09797; Inception score Salimans et al. 2016,
    https://arxiv.org/abs/1606.03498
    """
    generator = torch.Generator().manual_seed(seed)
    distance = sliced_wasserstein(seen.features, real.features, directions(real.features.size, generator=generator))
    found = {"fid": exactly(frechet_distance(seen.moments, real.moments)), "kid": kernel_distance(seen, real, seed)}
    if seen.log_probs is not None:
        found["inception_score"] = inception_score(seen.log_probs)
    found |= neighbourhoods(seen, real, seed)
    found["sliced_wasserstein"] = exactly(distance)
    if seen.images is not None and real.images is not None and min(seen.images.shape[2:]) >= PATCH:
        found["patch_wasserstein"] = exactly(
            patch_distance(seen.images, real.images, count=PATCHES, generator=generator)
        )
    return found


def exactly(value: float) -> Interval:
    """A number without an interval: both ends are the number."""
    return Interval(value, value, value)


def subset(count: int) -> int:
    """Samples in a subset of KID: a thousand, or half of fewer."""
    return min(SUBSET, max(2, count // 2))


def kernel_distance(seen: Seen, real: Seen, seed: int = 0) -> Interval:
    """KID: the unbiased squared MMD under (x.y / D + 1)^3, the mean over subsets; it may be negative."""
    from torchmetrics.image.kid import poly_mmd

    rng, size = np.random.default_rng(seed), subset(min(len(seen), len(real)))
    values = []
    for _ in range(SUBSETS):
        pair = [each.features.take(rng.choice(len(each), size, replace=False)).double() for each in (seen, real)]
        values.append(float(poly_mmd(*pair)))
    return interval(float(np.mean(values)), np.asarray(values))


def inception_score(log_probs: Shelf, splits: int = SPLITS) -> Interval:
    """The mean over splits of exp E KL(p(y|x) | p(y)): 1 where all look alike, at most the number of classes."""
    size, values = len(log_probs) // splits, []
    for split in range(splits):
        chances = log_probs[split * size : (split + 1) * size].double()
        usual = chances.logsumexp(0) - np.log(size)  # ln p(y)
        values.append(float((chances.exp() * (chances - usual)).sum(1).mean().exp()))
    return interval(float(np.mean(values)), np.asarray(values))


def neighbourhoods(seen: Seen, real: Seen, seed: int = 0) -> dict[str, Interval]:
    """Precision and recall (k = 3), density and coverage (k = 5)."""
    near = balls.neighbour_distances(real.features, COVERAGE_K)
    around = balls.neighbour_distances(seen.features, PRECISION_K)[:, -1]
    precise = balls.held(seen.features, real.features, near[:, PRECISION_K - 1]).balls
    recalled = balls.held(real.features, seen.features, around).balls
    wide = balls.held(seen.features, real.features, near[:, COVERAGE_K - 1])
    density: Floats = wide.balls.double().numpy() / COVERAGE_K
    return {
        "precision": rate((precise > 0).numpy()),
        "recall": rate((recalled > 0).numpy()),
        "density": mean(density, seed=seed),
        "coverage": rate(wide.used.numpy()),
    }
