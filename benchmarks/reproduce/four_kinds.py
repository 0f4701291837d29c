"""AE, VAE, VQ-VAE and GAN on MNIST in one table: how sharp samples are, how near to real ones, and the error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.reproduce import Budget, Claim, Line
from benchmarks.reproduce.codes_by_class import parts
from urbild.artifacts import write_atomically
from urbild.contract import Decodes, Encodes, Model, Reconstructs, Samples
from urbild.data import Preparation, Reading, Records, as_records
from urbild.evaluation.generators import by_classifier
from urbild.exploration.laws import fitted_law
from urbild.ops.frechet import Moments, frechet_distance
from urbild.report.pictures import sample_grid
from urbild.runs import train_run

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "four_kinds.png"
AUTOENCODER, VAE, CODES, GAN = "autoencoder", "vae", "latent_prior on vqvae", "dcgan"
SHOWN, AT_ONCE = 16, 250
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "data": "mnist",
        "samples": 5000,
        "classifier": {"epochs": 4, "batch": 128},
        AUTOENCODER: {"latent": 32, "seconds": 150.0},
        VAE: {"latent": 32, "seconds": 150.0},
        CODES: {
            "autoencoder": {"codes": 64, "hidden": 32, "code_size": 32, "learning_rate": 1e-3},
            "prior": {"layers": 6, "width": 48},
            "seconds": 720.0,
        },
        GAN: {"seconds": 300.0},
    },
    "full": {
        "data": "mnist",
        "samples": 10_000,
        "classifier": {"epochs": 12, "batch": 128},
        AUTOENCODER: {"latent": 32, "epochs": 50},
        VAE: {"latent": 32, "epochs": 50},
        CODES: {"epochs": 50},
        GAN: {"epochs": 50},
    },
}


def sharpness(x: Tensor) -> float:
    """The variance of the Laplacian of images [N, C, H, W], over all pixels."""
    kernel = x.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    kernel = kernel.expand(x.shape[1], 1, 3, 3)
    return float(functional.conv2d(x, kernel, groups=x.shape[1]).double().var())


@torch.no_grad()
def made(model: Model, n: int, train: Tensor) -> Tensor:
    """Samples [n, *sample]; an autoencoder's come from a Gaussian fitted to its codes of training images."""
    generator, device = torch.Generator().manual_seed(0), next(model.parameters()).device
    draw: Callable[[int], Tensor]
    if isinstance(model, Samples):
        sampler = model

        def draw(count: int) -> Tensor:
            return sampler.sample(count, generator=generator)
    else:
        assert isinstance(model, Encodes)
        assert isinstance(model, Decodes)
        encoder, decoder = model, model
        codes = torch.cat([encoder.encode(x.to(device)).cpu() for x in train.split(AT_ONCE)])
        law = fitted_law(codes)

        def draw(count: int) -> Tensor:
            z = law.draw(count, generator=generator).reshape(count, *codes.shape[1:])
            return decoder.decode(z.to(device))

    parts = [draw(min(AT_ONCE, n - start)).cpu().float() for start in range(0, n, AT_ONCE)]
    return torch.cat(parts).clamp(0, 1)


def error(model: Model, x: Tensor) -> float | None:
    """The mean squared error a pixel of reconstructions of x; None where there are none."""
    if not isinstance(model, Reconstructs):
        return None
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [
            (model.reconstruct(part.to(device)).cpu() - part).square().mean(0) * len(part) for part in x.split(500)
        ]
    return float(torch.stack(parts).sum(0).double().mean() / len(x))


def moments(x: Tensor, features: Callable[[Tensor], Tensor]) -> Moments:
    """Of the features of images."""
    found: Moments | None = None
    for part in x.split(AT_ONCE):
        values = features(part)
        found = found or Moments(values.shape[1])
        found.add(values)
    assert found is not None
    return found


def images(records: Records, preparation: Preparation, count: int, *, skip: int = 0) -> Tensor:
    """`count` prepared images, from number `skip` on."""
    source = preparation.source(records.select(np.arange(skip, min(skip + count, len(records)))))
    return torch.cat([batch.x for batch in source.batches(1000)])


def measure(settings: dict[str, Any], seed: int, picture: Path | None) -> Iterator[Line]:
    """Lines of the four kinds and of real images; with a path, the picture besides."""
    train, test = (as_records(settings["data"], reading=Reading(part=part)) for part in ("train", "test"))
    judge = train_run("classifier", train, {**settings["classifier"], "seed": seed})
    n, rows = settings["samples"], []
    preparation = judge.preparation
    space = by_classifier(judge, preparation, "of this seed")

    def features(x: Tensor) -> Tensor:
        with torch.no_grad():
            return space.of(x).values

    real, known = images(test, preparation, n), images(train, preparation, n)
    of_real = moments(real, features)
    yield Line("training images", "test", "FID", frechet_distance(moments(known, features), of_real), "the floor")
    yield Line("training images", "test", "sharpness", sharpness(known))
    for name in (AUTOENCODER, VAE, CODES, GAN):
        system = "latent_prior" if name == CODES else name
        built = parts(settings[name]) if "prior" in settings[name] else {}
        run = train_run(system, train, {**settings[name], **built, "seed": seed})
        x = made(run.model, n, known)
        how = "codes drawn from a Gaussian fitted to those of training images" if name == AUTOENCODER else ""
        yield Line(name, "test", "FID", frechet_distance(moments(x, features), of_real), how)
        yield Line(name, "test", "sharpness", sharpness(x), how)
        missed = error(getattr(run.model, "autoencoder", run.model), real)
        if missed is not None:
            yield Line(name, "test", "squared error", missed, "a pixel, of test images reconstructed")
        rows.append(x[:SHOWN])
    if picture is not None:
        grid = torch.cat([known[:SHOWN], *rows]).movedim(1, -1).numpy()
        write_atomically(picture, sample_grid(grid, columns=SHOWN))


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of a seed; the first seed of the cpu budget also draws the picture."""
    yield from measure(SETTINGS[budget], seed, PICTURE if (seed, budget) == (0, "cpu") else None)


CLAIM = Claim(
    name="four_kinds",
    title="AE, VAE, VQ-VAE and GAN: samples and errors in one table",
    protocol=(
        "MNIST, the original files, 60,000 training images. Each system is trained for the time named in the settings "
        "(the VQ-VAE shares it with the prior of its codes). FID between samples and as many test images in the "
        "feature space of a classifier trained on the same training images; of as many training images it is the "
        "floor. Sharpness: the variance of the Laplacian over all pixels; real images have the first row's, and more "
        "is noise. Squared error: a pixel, of reconstructed test images; a GAN reconstructs nothing. The autoencoder "
        "has no prior of its own: its codes are drawn from a Gaussian fitted to those of training images. In the "
        "picture: training images, then AE, VAE, VQ-VAE, GAN."
    ),
    run=run,
    seeds=(0,),
    budgets=SETTINGS,
)
