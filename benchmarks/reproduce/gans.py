"""What claims of samples share: a judge that took no part, samples a batch at a time, and a trivial generator."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from benchmarks.reproduce import Budget, Claim, Line
from urbild import runs
from urbild.catalogue import build
from urbild.contract import Model, Samples, Source
from urbild.data import Preparation, Reading, Records, as_records
from urbild.evaluation.generators import Seen, Space, by_classifier, neighbourhoods, see
from urbild.nets.adversaries import Pyramid
from urbild.nets.games import Habits
from urbild.nets.moves import Adam, Steady
from urbild.ops.frechet import frechet_distance
from urbild.runs import Run
from urbild.training import Plan, fit

ROWS = 250
AVERAGED = Habits(average=0.99)
QUICK: dict[str, Any] = {"optimiser": Adam(5e-4, 5e-4, momentum=0.0, memory=0.9), "rhythm": Steady(2)}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "width": 16,
        "batch": 64,
        "steps": {"vae": 10_000, "dcgan": 5000, "wgan_gp": 3200, "progressive_gan": 2000},
        "judge": 3,
    },
    "full": {
        "width": 64,
        "batch": 64,
        "steps": {"vae": 50_000, "dcgan": 50_000, "wgan_gp": 100_000, "progressive_gan": 60_000},
        "judge": 12,
    },
}


def judged(records: Records, *, seed: int, epochs: int) -> Run:
    """A classifier trained on the real training images with a seed that no generator has."""
    return runs.train_run("classifier", records, {"seed": seed + 100, "epochs": epochs, "batch": 128})


def trained(system: str, source: Source, options: dict[str, Any], **plan: Any) -> Model:
    """The system, trained; the plan's seed is also that of its weights."""
    model = build(system, source.spec, options, seed=plan["seed"])
    fit(model, source, Plan(**plan))
    return model


def drawn(
    model: Model, n: int, *, seed: int, given: Tensor | None = None, temperature: float = 1.0
) -> Iterator[Tensor]:
    """Samples [<= ROWS, C, H, W] in [0, 1], n in all, of classes [n] where they are given."""
    assert isinstance(model, Samples)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, ROWS):
        wanted = None if given is None else given[start : start + ROWS]
        with torch.no_grad():
            x = model.sample(min(ROWS, n - start), given=wanted, temperature=temperature, generator=generator)
        yield x.cpu().float().clamp(0, 1)


def images(preparation: Preparation, records: Records) -> Tensor:
    """All images [N, C, H, W] of the records."""
    return torch.cat([batch.x for batch in preparation.source(records).batches(1000)])


def gaussian(x: Tensor, n: int, *, seed: int) -> Iterator[Tensor]:
    """A generator that learns nothing but moments: n draws from the normal law of images x [N, C, H, W], clipped."""
    generator = torch.Generator().manual_seed(seed)
    rows = x.flatten(1)
    variances, axes = torch.linalg.eigh(torch.cov(rows.T).double())
    root = (axes * variances.clamp(min=0).sqrt()).float()
    for start in range(0, n, ROWS):
        noise = torch.randn(min(ROWS, n - start), rows.shape[1], generator=generator)
        yield (rows.mean(0) + noise @ root.T).clamp(0, 1).reshape(-1, *x.shape[1:])


def options_of(system: str, width: int) -> dict[str, Any]:
    """A system's own settings, at this width."""
    match system:
        case "dcgan":
            return {"generator": Pyramid(width=width), "critic": Pyramid(width=width), "habits": AVERAGED}
        case "wgan_gp":
            critic = Pyramid(width=width, normalisation="none")
            pair = {"generator": Pyramid(width=width), "critic": critic, "habits": AVERAGED}
            return {**pair, **QUICK} if width < 64 else pair
        case "progressive_gan":
            return {"width": width, "habits": AVERAGED}
    return {}


def lines(system: str, data: str, seen: Seen, real: Seen) -> Iterator[Line]:
    """Measures of samples beside as many real ones."""
    yield Line(system, data, "FID", frechet_distance(seen.moments, real.moments))
    for name, interval in neighbourhoods(seen, real).items():
        yield Line(system, data, name, interval.value)
    yield Line(system, data, "share of distinct samples", seen.distinct / len(seen))


def measure(
    data: str, seed: int, settings: dict[str, Any], options_of: Callable[[str, int], dict[str, Any]]
) -> Iterator[Line]:
    """Lines of the settings' systems on a data set, and of the rows that bound them.

    Args:
        data: a known data set in two parts.
        seed: of all that is drawn.
        settings: "width", "batch", "steps" by system, and the epochs of the "judge".
        options_of: a system at a width.
    """
    train, test = (as_records(data, reading=Reading(part=part)) for part in ("train", "test"))
    preparation = Preparation.fit(train)
    source, held = preparation.source(train), images(preparation, test)
    held = held[torch.randperm(len(held), generator=torch.Generator().manual_seed(seed))]
    halves, n = held.split(len(held) // 2), len(held) // 2
    judge = judged(train, seed=seed, epochs=settings["judge"])
    space: Space = by_classifier(judge, preparation, "of the data set")
    assert test.labels is not None
    told = torch.cat([judge_of(space, part) for part in images(preparation, test).split(ROWS)])
    yield Line("judge", data, "accuracy", float((told.numpy() == test.labels).mean()))
    with TemporaryDirectory(prefix="urbild-") as directory:
        place = Path(directory)
        real, other = (
            see(half.split(ROWS), space, preparation, place / name)
            for name, half in zip(("real", "other"), halves, strict=True)
        )
        yield from lines("other real images", data, other, real)
        moments = gaussian(images(preparation, train), n, seed=seed)
        yield from lines("normal law of the pixels", data, see(moments, space, preparation, place / "normal"), real)
        for system, steps in settings["steps"].items():
            options = options_of(system, settings["width"])
            model = trained(system, source, options, seed=seed, steps=steps, batch=settings["batch"])
            made = see(drawn(model, n, seed=seed), space, preparation, place / system)
            yield from lines(system, data, made, real)


def judge_of(space: Space, x: Tensor) -> Tensor:
    """The class [N] that the judge reads in each of the images [N, C, H, W]."""
    found = space.of(x).log_probs
    assert found is not None
    return found.argmax(1)


def claim(name: str, data: str, title: str) -> Claim:
    """The claim of one data set."""

    def run(seed: int, budget: Budget) -> Iterator[Line]:
        yield from measure(data, seed, SETTINGS[budget], options_of)

    return Claim(
        name=name,
        title=f"Samples of adversarial networks: {title}",
        protocol=(
            f"{title} (original files): generators are trained on all 60,000 training images without labels for a "
            "fixed number of steps; the adversarial ones draw with a moving average of their weights, of decay .99. "
            "At budget cpu the networks are narrow (width 16) and the three adversarial systems get about as much "
            "processor time each, not as many steps: batches of 64; DCGAN 5,000 moves of each player; WGAN-GP 3,200 "
            "of the critic and 1,600 of the generator, at 5e-4, since its five moves to one at 1e-4 come nowhere in "
            "that time (FID 1,314 on MNIST); progressive GAN 2,000 over all its sizes; the VAE 10,000, which takes it "
            "less time. At full: width 64; DCGAN 50,000, WGAN-GP 100,000 and 20,000, progressive 60,000. FID, "
            "precision and recall (k = 3), density and coverage (k = 5) in the 128 features of a `classifier` trained "
            "on the real training images with another seed, whose accuracy on test images stands beside; 5,000 "
            "samples against 5,000 test images. The other 5,000 test images are the bound of what can be told; draws "
            "from the normal law with the mean and covariance of the training images, clipped to [0, 1], are what "
            "learns nothing. Features of this judge compare with those of no other: published figures of FID are of "
            "Inception features."
        ),
        run=run,
        budgets=SETTINGS,
    )
