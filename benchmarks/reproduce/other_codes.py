"""VQ-VAE, VQ-VAE-2 and the relaxed choice of a discrete VAE on CIFAR-10, beside PCA of as many bits."""

from collections.abc import Iterator
from math import log2
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import data_root
from benchmarks.reproduce import Budget, Claim, Line
from benchmarks.reproduce.priors import unigram_bits
from benchmarks.reproduce.vqvae_cifar import perplexity
from urbild.catalogue import build
from urbild.contract import Model, Source
from urbild.data import Preparation, Reading, as_records
from urbild.models.autoencoders.pca import Pca
from urbild.models.variational.vqvae import Vqvae, data_variance
from urbild.models.variational.vqvae2 import Vqvae2
from urbild.nets.quantisers import Ema, Gumbel
from urbild.training import Plan, fit

CODES, LEVELS, REACH = 512, 256, 4.0
ROWS = {
    "vqvae": ("vqvae", Ema(codes=CODES)),
    "vqvae, Gumbel": ("vqvae", Gumbel(codes=CODES, weight=0.1)),
    "vqvae2": ("vqvae2", Ema(codes=CODES)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"networks": {"hidden": 64, "code_size": 32, "learning_rate": 1e-3}, "plan": {"steps": 5_000, "batch": 32}},
    "full": {"networks": {}, "plan": {"steps": 20_000, "batch": 128}},
}


def maps(model: Model, x: Tensor) -> list[Tensor]:
    """Symbols of images, each map that has a codebook of its own: int64 [N, 1, h, w]."""
    with torch.no_grad():
        if isinstance(model, Vqvae2):
            return [one[:, None] for one in model.indices(x)]
        assert isinstance(model, Vqvae)
        return [model.encode(x)]


def read(model: Model, source: Source) -> list[Tensor]:
    """Those of all images."""
    device = next(model.parameters()).device
    parts = [[one.cpu() for one in maps(model, batch.x.to(device))] for batch in source.batches(250)]
    return [torch.cat(each) for each in zip(*parts, strict=True)]


def error(model: Model, source: Source) -> float:
    """Mean squared error of reconstructions."""
    assert isinstance(model, Vqvae | Vqvae2)
    device, found = next(model.parameters()).device, []
    with torch.no_grad():
        for batch in source.batches(250):
            x = batch.x.to(device)
            found.append((model.reconstruct(x) - x).square().flatten(1).mean(1).cpu())
    return float(torch.cat(found).double().mean())


def rounded_error(model: Pca, components: int, source: Source) -> float:
    """That of PCA whose coefficients have 8 bits each: equal steps within four standard deviations."""
    scale, found = model.variances[:components].sqrt() * REACH, []
    for batch in source.batches(1000):
        z = model.encode(batch.x)[:, :components] / scale
        steps = ((z.clamp(-1, 1) + 1) / 2 * (LEVELS - 1)).round()
        flat = (steps / (LEVELS - 1) * 2 - 1) * scale @ model.directions[:components] + model.mean
        found.append((flat.clamp(0, 1) - batch.x.flatten(1)).square().mean(1))
    return float(torch.cat(found).double().mean())


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Error, bits and use of the codes of each system, and the error of PCA at as many bits."""
    data_root()
    settings = SETTINGS[budget]
    train, test = (as_records("cifar10", reading=Reading(part=part)) for part in ("train", "test"))
    preparation = Preparation.fit(train)
    source, fresh = preparation.source(train), preparation.source(test)
    variance, wanted = data_variance(source), {}
    for name, (system, quantiser) in ROWS.items():
        model = build(system, source.spec, {"quantiser": quantiser, **settings["networks"]}, seed=seed)
        fit(model, source, Plan(seed=seed, **settings["plan"]))
        yield Line(name, "test", "nmse", error(model, fresh) / variance, f"data variance {variance:.4f}")
        pairs = list(zip(read(model, source), read(model, fresh), strict=True))
        bits = sum(unigram_bits(seen, new, CODES) * new[0].numel() for seen, new in pairs)
        wanted[name] = round(bits / log2(LEVELS))
        yield Line(name, "test", "bits an image", bits, "each codebook's symbols by how often they were seen")
        for (_, new), level in zip(pairs, ("", " of the bottom") if len(pairs) > 1 else ("",), strict=True):
            yield Line(name, "test", f"perplexity{level}", perplexity(new.numpy(), CODES))
    floor = build("pca", source.spec, {"components": max(wanted.values())})
    assert isinstance(floor, Pca)
    fit(floor, source, Plan())
    floor.cpu()
    for name, components in wanted.items():
        value = rounded_error(floor, components, fresh) / variance
        yield Line(f"PCA at the bits of {name}", "test", "nmse", value, f"{components} components of 8 bits")
    yield Line("mean image", "test", "nmse", rounded_error(floor, 0, fresh) / variance)


CLAIM = Claim(
    name="other_codes",
    title="One level, two levels and relaxed codes on CIFAR-10",
    protocol=(
        "CIFAR-10: trained on the first 20,000 training images, measured on all 10,000 test images, last weights. Each "
        "system has codebooks of 512, networks of the same widths, and as many updates of as many images: `vqvae` with "
        "8 x 8 codes by moving averages, the same with Gumbel-softmax (KL weighed .1, for the error is no likelihood), "
        "and `vqvae2` with 8 x 8 codes above 16 x 16. nmse: mean squared error over the variance of all training "
        "values. Bits: of the test images' symbols by how often each codebook's were seen in training. Perplexity: of "
        "all test symbols of a map, of the top one where there are two. Two levels have five times the symbols: each "
        "system stands beside PCA of as many bits, at 8 bits a coefficient (equal steps within four standard "
        'deviations), and beside the mean image. The row of `pixelcnn_pp` is that of "Gated PixelCNN and PixelCNN++ on '
        'CIFAR-10".'
    ),
    run=run,
    budgets=SETTINGS,
)
