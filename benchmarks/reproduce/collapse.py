"""A PixelCNN as decoder on binary MNIST: a Gaussian latent that it ignores, one that it needs, and symbols in use."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import urbild
from benchmarks.reproduce import Budget, Claim, Line, Target
from urbild.artifacts import write_atomically
from urbild.contract import Model, Reconstructs
from urbild.data import Preparation, Reading, Records, as_records
from urbild.evaluation.latents import gaussian_use, symbol_use
from urbild.models.variational.kl_weights import Rising
from urbild.models.variational.pixelcnn_vae import PixelcnnVae
from urbild.models.variational.pixelcnn_vqvae import PixelcnnVqvae
from urbild.nets.quantisers import Ema
from urbild.nets.symbols import Binary
from urbild.report.pictures import sample_grid

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "collapse.png"
SHOWN = 12
COMMON: dict[str, Any] = {"batch": 64, "clip": 1.0, "learning_rate": 2e-3}
FULL, SMALL, SYMBOLS = "pixelcnn_vae, full window", "pixelcnn_vae, small window", "pixelcnn_vqvae, full window"
# a first kernel of 35 reaches 17 sites, and five of 5 another 10: all of an image of 28
WIDE: dict[str, Any] = {"layers": 6, "width": 16, "kernel": 5, "first_kernel": 35}
NARROW: dict[str, Any] = {"layers": 3, "width": 32, "kernel": 3, "first_kernel": 7}
PAPER: dict[str, Any] = {"layers": 13, "width": 32, "kernel": 5, "first_kernel": 7}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "measured": 2000,
        FULL: {**WIDE, "steps": 1800},
        SMALL: {**NARROW, "steps": 3000},
        SYMBOLS: {**WIDE, "steps": 1800, "codes": 32},
    },
    "full": {
        "measured": 10_000,
        FULL: {**PAPER, "steps": 10_000},
        SMALL: {**NARROW, "steps": 10_000},
        SYMBOLS: {**PAPER, "steps": 10_000, "codes": 32},
    },
}


def fitted(name: str, settings: dict[str, Any], train: Records, seed: int) -> Model:
    """A trained model of one of the three kinds."""
    settings = {**COMMON, **settings, "likelihood": Binary(grey="dynamic")}
    if name == SYMBOLS:
        return urbild.train("pixelcnn_vqvae", train, seed=seed, quantiser=Ema(codes=settings.pop("codes")), **settings)
    weight = Rising(warm_up=0.0 if name == FULL else 0.1)
    return urbild.train("pixelcnn_vae", train, seed=seed, kl=weight, **settings)


def lines(name: str, model: Model, x: Tensor) -> Iterator[Line]:
    """What is said of a trained model by binary images."""
    if isinstance(model, PixelcnnVae):
        latents = gaussian_use(model, x)
        yield Line(name, "test", "nats, bound", -latents.elbo)
        yield Line(name, "test", "KL", latents.kl)
        yield Line(name, "test", "active units", latents.active, f"of {model.latent}")
        yield Line(name, "test", "nats lost, prior", latents.prior)
    else:
        assert isinstance(model, PixelcnnVqvae)
        latents = symbol_use(model, x)
        bound = "of the images given their codes, and of the codes under a uniform prior"
        yield Line(name, "test", "nats, bound", latents.nats + latents.uniform, bound)
        yield Line(name, "test", "nats given codes", latents.nats)
        yield Line(name, "test", "perplexity", latents.perplexity, f"of {model.code_spec.levels}")
    yield Line(name, "test", "information", latents.information, "nats; at most ln of the number of images")
    yield Line(name, "test", "nats lost, shuffled", latents.shuffled)


def binary(records: Records, preparation: Preparation, count: int) -> Tensor:
    """`count` images [N, 1, 28, 28] evenly from all, black or white by one draw."""
    rows = torch.linspace(0, len(records) - 1, min(count, len(records))).round().long().tolist()
    source = preparation.source(records.select(rows))
    grey = torch.cat([batch.x for batch in source.batches(1000)])
    return (torch.rand(grey.shape, generator=torch.Generator().manual_seed(0)) < grey).float()


def write_picture(models: Sequence[Model], x: Tensor, path: Path = PICTURE) -> None:
    """Writes a row of images and below it a row of each model's reconstructions."""
    rows = [x]
    for model in models:
        assert isinstance(model, Reconstructs)
        with torch.no_grad():
            rows.append(model.reconstruct(x.to(next(model.parameters()).device)).cpu())
    grid = torch.cat(rows).squeeze(1).numpy()
    write_atomically(path, sample_grid(grid, columns=len(x)))


def measure(settings: dict[str, Any], seed: int, picture: Path | None) -> Iterator[Line]:
    """Lines of the three models; with a path, the picture besides."""
    train, test = (as_records("mnist", reading=Reading(part=part)) for part in ("train", "test"))
    x = binary(test, Preparation.fit(train), settings["measured"])
    models = []
    for name in (FULL, SMALL, SYMBOLS):
        model = fitted(name, settings[name], train, seed)
        x = x.to(next(model.parameters()).device)
        yield from lines(name, model, x)
        models.append(model)
    if picture is not None:
        write_picture(models, x[:SHOWN].cpu(), picture)


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of a seed; the first seed of the cpu budget also draws the picture of the documentation."""
    yield from measure(SETTINGS[budget], seed, PICTURE if (seed, budget) == (0, "cpu") else None)


CLAIM = Claim(
    name="collapse",
    title="A PixelCNN as decoder: posterior collapse, and codes that stay in use",
    protocol=(
        "MNIST, the original files: trained on 60,000 images, each drawn black or white anew at each visit; measured "
        "on test images by one draw (generator seed 0): 2,000 evenly from all at the cpu budget. PixelVAE of 16 "
        "latents whose decoder sees all earlier pixels (plain training, no warm-up of the KL) or 5 sites (the weight "
        "of the KL rises over the first tenth); VQ-VAE of 7 x 7 positions and 32 codes whose decoder sees all earlier "
        "pixels. Nats an image, one draw of the latent. Information: mean of ln q(z|x) - ln mean q(z|x'). Nats lost: "
        "by decoding each image from the latent of another one, or from a draw of the prior. Aims of the literature "
        "on collapse: a KL below 1 nat, and above 5."
    ),
    run=run,
    seeds=(0,),
    targets=(
        Target(FULL, "test", "KL", 1.0, "aim", most=True),
        Target(SMALL, "test", "KL", 5.0, "aim"),
        Target(SYMBOLS, "test", "nats lost, shuffled", 5.0, "aim"),
    ),
    budgets=SETTINGS,
)
