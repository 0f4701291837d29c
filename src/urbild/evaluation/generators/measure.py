"""How good the samples of a run are: drawn anew, and put beside real ones in a named feature space.

Real samples are split in two sets of n. The run's n samples are compared with the first set, and so is the second set:
what real samples score at this n is the floor of a distance and the ceiling of a share. Measures at different n do not
compare.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urbild.contract import Samples, in_turn, labels_of
from urbild.data import Records
from urbild.data.keys import shuffled
from urbild.data.mixtures import MIXTURES
from urbild.errors import DataError, OptionError
from urbild.evaluation import examples
from urbild.evaluation.generators.measures import MOST_IMAGES, PATCHES, SPLITS, Seen, compare, exactly, see, subset
from urbild.evaluation.generators.memory import nearest_of
from urbild.evaluation.generators.spaces import STACKED, Space, described
from urbild.evaluation.judgement import known_labels
from urbild.evaluation.metrics import mean, rate
from urbild.evaluation.modes import Modes, mixture_modes, stacked_modes
from urbild.evaluation.record import Evaluation, Interval
from urbild.runs import Run

MOST = 10_000  # samples, where their number is not given
BATCH = 128
LOOKED_AT = 256  # samples whose nearest training sample is sought
REAL = "_real"  # ends the name of what real samples score
INTERVALS = (
    "precision, recall, coverage and shares of classes: exact, the balls held fixed; density and distances to training "
    "samples: bootstrap; KID: percentiles over its subsets; Inception score: over its splits; others: none"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What is to be measured of samples.

    Attributes:
        space: where they are compared.
        samples: n; without it 10,000, or half of the real ones where they are fewer.
        training: what the run was trained on, for the nearest training sample of each; None where it is not known.
    """

    space: Space
    samples: int | None = None
    training: Records | None = None


def measure(
    found: Evaluation,
    run: Run,
    records: Records,
    asked: Generation,
    *,
    rows: NDArray[np.int64],
    shown: Tensor | None = None,
    seed: int = 0,
) -> None:
    """Adds the measures of samples to an evaluation.

    Args:
        found: where they are added.
        run: of a model that samples.
        records: real samples, which the model was not trained on.
        asked: space and number.
        rows: of the real samples that count, the normal ones.
        shown: samples [m, *sample] of which the nearest training sample is to be shown too, of a model of images.
        seed: of the samples, and of all that is drawn to measure them.

    Raises:
        OptionError: the model does not sample whole samples.
        DataError: there are fewer samples than the measures need.
    """
    n = enough(run, records, asked, rows=rows)
    chosen = rows[shuffled(len(rows), seed)[: 2 * n]]
    with TemporaryDirectory(prefix="urbild-") as directory:
        place, space = Path(directory), asked.space
        real, other = (
            see(_real(run, records.select(half)), space, run.preparation, place / name)
            for name, half in (("real", chosen[:n]), ("other", chosen[n:]))
        )
        made = see(_made(run, n, seed), space, run.preparation, place / "made")
        floor = compare(other, real, seed=seed)
        for name, interval in compare(made, real, seed=seed).items():
            found.metrics |= {name: interval, name + REAL: floor[name]}
        found.metrics |= _classes(made, real, run, space, known_labels(records, space.classes)[chosen[:n]])
        found.metrics["distinct"] = exactly(made.distinct / n)
        found.metrics |= _modes(run, made, space, origin=records.origin, seed=seed)
    found.protocol |= {
        "samples_measured": n,
        "feature_space": described(space, made.features.size, run.preparation.spec),
        "kid": f"mean of 100 subsets of {subset(n):,}",
        "patches": f"{PATCHES} of each of at most {MOST_IMAGES} images",
        "intervals_of_samples": INTERVALS,
    }
    if asked.training is None:
        found.notes += ("what the run was trained on is not at hand (--training), so copies of it were not sought",)
        return
    held_out = records.select(chosen[: min(n, LOOKED_AT)])
    _memory(found, run, asked.training, held_out, shown=shown, seed=seed)


def enough(run: Run, records: Records, asked: Generation, *, rows: NDArray[np.int64]) -> int:
    """The number of samples that will be measured; finds out beforehand whether they can be.

    Raises:
        OptionError: the model does not sample whole samples.
        DataError: there are fewer samples than the measures need: the covariance of FID has as many rows as a sample
            has features, and n must be larger.
    """
    _check_able(run)
    n = _count(asked, rows, records)
    size = asked.space.of(next(_real(run, records.select(rows[:2])))).values.shape[1]
    if n <= size:
        most = len(rows) // 2
        more = f"--samples {size + 1} or more" if most > size else "more data (--part all)"
        msg = (
            f"FID in a space of {size:,} values needs more than {size:,} samples a side; of {records.origin} these are "
        )
        msg += f"{n:,} of at most {most:,}; give {more}, or a smaller space (--features, a classifier of few features)."
        raise DataError(msg)
    return n


def _check_able(run: Run) -> None:
    without = "leave --features and --samples out"
    if not isinstance(run.model, Samples):
        msg = f"{run.name or type(run.model).__name__} does not sample, so there are no samples to measure; {without}."
        raise OptionError(msg)
    if examples.works_on_windows(run.preparation):
        msg = f"the model works on windows of images, so it draws no whole ones; {without}, or train without --patch."
        raise OptionError(msg)


def _count(asked: Generation, rows: NDArray[np.int64], records: Records) -> int:
    most = len(rows) // 2
    if asked.samples is not None and asked.samples > most:
        msg = (
            f"--samples {asked.samples:,} needs twice as many real samples, as half of them tell what real ones score, "
            f"and {records.origin} has {len(rows):,}; give --samples {most} or less, or more data (--part all)."
        )
        raise DataError(msg)
    n = min(MOST, most) if asked.samples is None else asked.samples
    if n <= SPLITS:
        msg = f"{n} samples a side are too few to measure; give more than {SPLITS} (--samples, or --part all)."
        raise DataError(msg)
    return n


def _real(run: Run, records: Records, size: int = BATCH) -> Iterator[Tensor]:
    for batch in run.preparation.source(records, memory=0).batches(size):
        yield batch.x


def _made(run: Run, n: int, seed: int) -> Iterator[Tensor]:
    """Samples [<= BATCH, *sample], of a conditional model of all classes in turn."""
    assert isinstance(run.model, Samples)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, BATCH):
        count = min(BATCH, n - start)
        given = in_turn(run.model, count, start)
        given = None if given is None else given.to(examples.device_of(run.model))
        with torch.no_grad():
            x = run.model.sample(count, given=given, generator=generator).cpu().float()
        yield x.clamp(0, 1) if run.preparation.spec.kind == "image" else x


def _classes(made: Seen, real: Seen, run: Run, space: Space, truth: NDArray[np.int64]) -> dict[str, Interval]:
    """How often the judge reads the wanted class in a sample, and the true one in a real image."""
    wanted = in_turn(run.model, len(made))
    if wanted is None or not space.classes:
        return {}
    labels = labels_of(run.model)
    numbers = np.asarray([space.classes.index(name) if name in space.classes else -1 for name in labels])
    found = {"wanted_class": rate(made.told().numpy() == numbers[wanted.numpy()])}
    known = truth >= 0
    if known.any():
        found["wanted_class" + REAL] = rate(real.told().numpy()[known] == truth[known])
    return found


def _modes(run: Run, made: Seen, space: Space, *, origin: str, seed: int) -> dict[str, Interval]:
    """Modes covered, on the data sets of which the modes are known."""
    if origin.startswith(STACKED) and space.classes:
        return mode_metrics(stacked_modes(made.told(), len(space.classes)))
    if origin not in MIXTURES:
        return {}
    points = np.concatenate([np.asarray(run.preparation.restore(x)) for x in _made(run, len(made), seed)])
    return mode_metrics(mixture_modes(points, MIXTURES[origin]))


def mode_metrics(modes: Modes) -> dict[str, Interval]:
    """The measures of a mode suite by name."""
    named = {"modes": modes.covered, "modes_held": modes.held, "good_samples": modes.quality, "kl_of_modes": modes.kl}
    return {name: exactly(float(value)) for name, value in named.items() if value is not None}


def _memory(found: Evaluation, run: Run, training: Records, real: Records, *, shown: Tensor | None, seed: int) -> None:
    """Distances to the nearest training samples, and these samples themselves beside those that are shown."""
    looked = [torch.cat([*batches]) for batches in (_made(run, len(real), seed), _real(run, real))]
    first = looked[0][:0] if shown is None else shown.clamp(0, 1)
    nearest = nearest_of(torch.cat([first, *looked]), _real(run, training, 8 * BATCH))
    distance = nearest.distance.numpy()
    of_made, of_real = distance[len(first) : -len(real)], distance[-len(real) :]
    found.metrics["nearest_training"] = mean(of_made, seed=seed)
    found.metrics["nearest_training" + REAL] = mean(of_real, seed=seed)
    if shown is not None:
        found.nearest = examples.pictures(nearest.x[: len(first)], run.preparation)
        found.nearest_distance = distance[: len(first)]
