"""Class-conditional samples of VQ-VAE with a prior, before a judge that was trained on real images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import urbild
from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.classifier import told
from benchmarks.reproduce.priors import all_codes, coded, cost
from urbild.catalogue import build
from urbild.data import Preparation, Reading, as_records
from urbild.models.autoregressive.code_parts import VqvaeCodes
from urbild.models.autoregressive.code_priors import GatedPrior
from urbild.models.autoregressive.latent_prior import LatentPrior
from urbild.nets.quantisers import Ema
from urbild.training import Plan, fit

SAMPLES = {"cpu": 2000, "full": 10_000}
JUDGE = {"cpu": 3, "full": 10}
AGREEMENT, LESS = "agreement with the judge", "agreement less that of real images"


def distinct(samples: Tensor, real: Tensor) -> tuple[float, float]:
    """Mean distance to the nearest other image of the same set, samples and as many real images."""
    found = []
    for images in (samples, real[: len(samples)]):
        distances = torch.cdist(images.flatten(1), images.flatten(1))
        distances.fill_diagonal_(float("inf"))
        found.append(float(distances.min(1).values.mean()))
    return found[0], found[1]


def samples(model: LatentPrior, wanted: Tensor, *, seed: int, temperature: float) -> Tensor:
    """Images [N, 1, 28, 28] of the classes `wanted` [N]."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        drawn = [
            model.sample(len(part), given=part, temperature=temperature, generator=generator)
            for part in wanted.split(200)
        ]
    return torch.cat(drawn)


def parts(settings: dict[str, Any]) -> dict[str, Any]:
    """A code autoencoder and its prior, of their settings."""
    codes = dict(settings["autoencoder"])
    codes["quantiser"] = Ema(codes=codes.pop("codes"))
    return {"autoencoder": VqvaeCodes(**codes), "prior": GatedPrior(**settings["prior"])}


def measure(
    data: str, settings: dict[str, Any], seed: int, budget: Budget, *, cooler: tuple[float, ...] = ()
) -> Iterator[Line]:
    """Lines of the model on a data set, and of the rows that bound them.

    Args:
        data: a data set of 28 x 28 pixels and 10 classes.
        settings: of the model and its training.
        seed: of everything.
        budget: of the judge and of the number of samples.
        cooler: temperatures below 1 at which the prior is also drawn from.
    """
    options = {**parts(settings), "conditional": True}
    train, test = (as_records(data, reading=Reading(part=part)) for part in ("train", "test"))
    source = Preparation.fit(train).source(train)
    fresh = torch.cat([batch.x for batch in Preparation.fit(train).source(test).batches(1000)])
    assert test.labels is not None
    judge = urbild.train("classifier", train, seed=seed + 100, epochs=JUDGE[budget], batch=128)
    real = float((told(judge, fresh) == test.labels).mean())
    yield Line("real test images", data, AGREEMENT, real)
    shuffled = np.random.default_rng(seed).permutation(test.labels)
    yield Line("shuffled labels", data, AGREEMENT, float((told(judge, fresh) == shuffled).mean()))
    model = build("latent_prior", source.spec, options, seed=seed)
    assert isinstance(model, LatentPrior)
    fit(model.autoencoder, source, Plan(seed=seed, **settings["plan"]))
    model.autoencoder.cpu()
    with torch.no_grad():
        rebuilt = torch.cat([model.reconstruct(part) for part in fresh.split(250)])
    yield Line("reconstructions", data, AGREEMENT, float((told(judge, rebuilt) == test.labels).mean()))
    model.adopt(model.autoencoder)
    fit(model, source, Plan(seed=seed, **settings["prior_plan"]))
    model.cpu()
    wanted = torch.arange(SAMPLES[budget]) % 10
    for temperature in (1.0, *cooler):
        row = "latent_prior" if temperature == 1 else f"latent_prior, temperature {temperature:g}"
        drawn = samples(model, wanted, seed=seed, temperature=temperature)
        share = float((told(judge, drawn) == wanted.numpy()).mean())
        yield Line(row, data, AGREEMENT, share)
        yield Line(row, data, LESS, share - real)
        own, of_real = distinct(drawn, fresh)
        yield Line(row, data, "share of distinct samples", len(drawn.unique(dim=0)) / len(drawn))
        yield Line(row, data, "distance to the nearest other", own)
    yield Line("real test images", data, "distance to the nearest other", of_real)
    labels = torch.from_numpy(test.labels.astype(np.int64))
    seen = all_codes(model, torch.cat([batch.x for batch in source.batches(1000)]))
    yield from cost(model, data, seen, all_codes(model, fresh), labels)
    yield from coded(model, data, fresh[:256], labels[:256], raw_bits=8 * 784)


def claim(
    name: str,
    data: str,
    title: str,
    budgets: dict[str, dict[str, Any]],
    *,
    cooler: tuple[float, ...] = (),
    note: str = "",
) -> Claim:
    """The claim of one data set."""

    def run(seed: int, budget: Budget) -> Iterator[Line]:
        yield from measure(data, budgets[budget], seed, budget, cooler=cooler)

    own = budgets["cpu"]
    return Claim(
        name=name,
        title=f"Class-conditional samples of a VQ-VAE with a prior: {title}",
        protocol=(
            f"{title}, original files, standard split. A VQ-VAE (at 7 x 7 places {own['autoencoder'].get('groups', 1)} "
            f"of {own['autoencoder']['codes']} codes) and a "
            f"gated PixelCNN over its codes, conditioned on the class; at budget cpu {own['plan']['steps']:,} updates "
            f"of {own['plan']['batch']} images and {own['prior_plan']['steps']:,} of {own['prior_plan']['batch']}, "
            "last weights. Judge: a `classifier` trained on the real training images with another seed; its agreement "
            "with the true labels of test images stands beside (the bar: as often, less 5 points). Distinct: share of "
            "samples that are no exact copy of another, and mean Euclidean distance to the nearest other sample, "
            "beside that of as many real test images. Bits a symbol of test codes given the class, and bytes of an "
            f"arithmetic coder for 256 test images, decoded to the same codes; raw are 784 bytes an image.{note}"
        ),
        run=run,
        targets=(Target("latent_prior", data, LESS, -0.05, "gate"),),
        budgets={key: {**value, "judge": JUDGE[key], "samples": SAMPLES[key]} for key, value in budgets.items()},
    )
