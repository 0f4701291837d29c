"""VQ-VAE at 128 x 128: how small crops of photographs become, and how well they come back."""

import os
from collections.abc import Iterator
from io import BytesIO
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.priors import all_codes, coded, cost
from urbild.catalogue import build
from urbild.contract import Source
from urbild.data import Preparation, as_records
from urbild.models.autoregressive.code_parts import VqvaeCodes
from urbild.models.autoregressive.code_priors import GatedPrior
from urbild.models.autoregressive.latent_prior import LatentPrior
from urbild.models.variational.vqvae import data_variance
from urbild.ops.complexity import compressed_bits
from urbild.training import Plan, fit

SIDE, TRAINED, SHOWN = 128, 94, 6
TOPS, LEFTS = (28, 156), (44, 172, 300)  # off the grid of 8 that the files' own compression worked on
BYTES = "coded bytes an image"
DATA = "held-out crops"
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {
        "autoencoder": {},
        "plan": {"steps": 4_000, "batch": 8},
        "prior": {"layers": 6, "width": 32},
        "prior_plan": {"steps": 2_500, "batch": 8},
        "crops": 32,
    },
    "full": {
        "autoencoder": {},
        "plan": {"steps": 20_000, "batch": 32},
        "prior": {"layers": 12, "width": 64},
        "prior_plan": {"steps": 5_000, "batch": 32},
        "crops": 128,
    },
}

Pixels = NDArray[np.uint8]


def photographs() -> Pixels:
    """All 118, [N, 320, 480, 3], in the order of their numbers."""
    paths = sorted((data_root() / "crackforest" / "image").glob("*.jpg"))
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def held_out(images: Pixels) -> Pixels:
    """Six crops of each photograph, side by side."""
    crops = [images[:, top : top + SIDE, left : left + SIDE] for top in TOPS for left in LEFTS]
    return np.stack(crops, 1).reshape(-1, SIDE, SIDE, 3)


def learn(source: Source, settings: dict[str, Any], seed: int) -> LatentPrior:
    """The autoencoder and the prior of its codes, trained one after the other."""
    options = {"autoencoder": VqvaeCodes(**settings["autoencoder"]), "prior": GatedPrior(**settings["prior"])}
    model = build("latent_prior", source.spec, options, seed=seed)
    assert isinstance(model, LatentPrior)
    fit(model.autoencoder, source, Plan(seed=seed, **settings["plan"]))
    model.adopt(model.autoencoder)
    fit(model, source, Plan(seed=seed, **settings["prior_plan"]))
    return model.cpu()


def decibels(errors: Tensor) -> float:
    """Mean PSNR of images by their mean squared errors [N] on pixels in [0, 1]."""
    return float((-10 * errors.double().log10()).mean())


def jpeg(crop: Pixels, most: float) -> tuple[int, float] | None:
    """Bytes and mean squared error of the best quality whose scan is no longer than `most` bytes, if there is one.

    Only the scan is counted: headers and tables could be sent once for all images.
    """
    for quality in range(95, 0, -1):
        stream = BytesIO()
        Image.fromarray(crop).save(stream, "JPEG", quality=quality, optimize=True)
        size = len(stream.getvalue()) - stream.getvalue().rindex(b"\xff\xda")
        if size <= most:
            back = np.asarray(Image.open(stream), dtype=np.float64)
            return size, float(((back - crop) ** 2).mean() / 255**2)
    return None


def picture(x: Tensor, rebuilt: Tensor, seed: int) -> None:
    """Writes originals above reconstructions where URBILD_PICTURES says, or in a folder that is not kept in git."""
    folder = Path(os.environ.get("URBILD_PICTURES", Path(__file__).parents[2] / "build" / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    at = torch.linspace(0, len(x) - 1, SHOWN).round().long()
    rows = [torch.cat(list(images[at]), 2) for images in (x, rebuilt)]
    pixels = (255 * torch.cat(rows, 1)).round().to(torch.uint8).movedim(0, -1).numpy()
    Image.fromarray(pixels).save(folder / f"crops_128-seed{seed}.png")


def distortion(model: LatentPrior, source: Source, x: Tensor, seed: int) -> Iterator[Line]:
    """How near reconstructions of crops [N, C, H, W] come, beside the mean image of the training crops."""
    with torch.no_grad():
        rebuilt = torch.cat([model.reconstruct(part) for part in x.split(12)])
    picture(x, rebuilt, seed)
    variance = data_variance(source)
    mean = torch.stack([batch.x.mean(0) for batch in source.batches(188)]).mean(0)
    for name, version in (("latent_prior", rebuilt), ("mean image", mean)):
        errors = (x - version).square().flatten(1).mean(1)
        yield Line(name, DATA, "nmse", float(errors.mean()) / variance, f"data variance {variance:.4f}")
        yield Line(name, DATA, "PSNR", decibels(errors))


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Errors, bits and bytes, and what PNG's filters and JPEG make of the same crops."""
    settings, images = SETTINGS[budget], photographs()
    records = as_records(images[:TRAINED])
    source = Preparation.fit(records, patch=SIDE).source(records, crops=settings["crops"], seed=seed)
    crops = held_out(images[TRAINED:])
    x = torch.from_numpy(crops).movedim(-1, 1).float() / 255
    model = learn(source, settings, seed)
    yield from distortion(model, source, x, seed)
    seen = torch.cat([all_codes(model, batch.x) for batch in source.batches(100)])
    yield from cost(model, DATA, seen, all_codes(model, x), None)
    raw = 8 * crops[0].size
    found = list(coded(model, DATA, x, None, raw_bits=raw))
    yield from found
    symbols = SIDE * SIDE / 16
    yield Line("uniform codes", DATA, "times smaller than raw", raw / (symbols * log2(model.prior.head.levels)))
    own = next(line.value for line in found if line.metric == BYTES and line.system == "latent_prior")
    if seed == 0:
        size = float(compressed_bits(x, 256).double().mean()) / 8
        yield Line("lossless compression", DATA, BYTES, size, "the smallest of several forms, no headers")
        yield Line("lossless compression", DATA, "times smaller than raw", crops[0].size / size)
    versions = [version for crop in crops if (version := jpeg(crop, own)) is not None]
    if versions:
        sizes, errors = (torch.tensor(each) for each in zip(*versions, strict=True))
        note = f"at most as many as the codes; {len(versions)} of {len(crops)} crops reach it"
        yield Line("JPEG", DATA, BYTES, float(sizes.double().mean()), note)
        yield Line("JPEG", DATA, "PSNR", decibels(errors))


CLAIM = Claim(
    name="crops_128",
    title="VQ-VAE on crops of photographs, 128 x 128",
    protocol=(
        "CrackForest, 118 colour photographs of asphalt, 480 x 320 (for research that is not commercial: no picture is "
        "kept with the results; originals above reconstructions are written to the folder that URBILD_PICTURES names, "
        "or to build/pictures). Trained on random crops of photographs 1 to 94, as many of each; measured on six crops "
        "of each of photographs 95 to 118, 144 in all (brighter ones: mean .58, in training .51), cut off the grid of "
        "the files' own JPEG. A VQ-VAE as it is by default: 32 x 32 codes of 512, so that 49,152 bytes become 1,152 at "
        "9 bits a symbol, the paper's 42.67 times fewer; then a gated PixelCNN over the codes, and an arithmetic coder "
        "whose bytes decode to the identical codes. nmse: mean squared error over the variance of all training values. "
        "PSNR: mean over crops, in decibels. Beside: the mean training crop; the bytes of the smallest of several "
        "lossless forms (the filters of PNG, then Deflate, bzip2 or LZMA), without headers, at seed 0; and JPEG at the "
        "best quality whose scan, without headers and tables, is no longer than the mean of the coded bytes."
    ),
    run=run,
    targets=(Target("latent_prior", DATA, "times smaller than raw", 42.67, "gate"),),
    budgets=SETTINGS,
)
