"""VQ-VAE on CIFAR-10 in the setting of the authors' example: reconstruction error and use of the codebook."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.reproduce import Budget, Claim, Line, Target
from benchmarks.reproduce.priors import all_codes, coded, cost
from urbild.catalogue import build
from urbild.data import Preparation, Reading, as_records
from urbild.models.autoregressive.latent_prior import GatedPrior, LatentPrior
from urbild.models.autoregressive.raster import Raster
from urbild.models.variational.vqvae import Vqvae, data_variance
from urbild.training import Plan, fit

SETTINGS: dict[str, dict[str, Any]] = {
    "cpu": {"steps": 10_000, "batch": 32, "precision": "32", "prior": {"layers": 8, "width": 64}, "prior_steps": 2000}
}
SETTINGS["full"] = SETTINGS["cpu"]
GROUP = 32  # images over which the example counts its codes
TEST_BATCHES = 256


def perplexity(symbols: np.ndarray, codes: int) -> float:
    """The exponential of the entropy of symbols."""
    share = np.bincount(symbols.ravel(), minlength=codes) / symbols.size
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def run(seed: int, budget: Budget) -> Iterator[Line]:
    """Lines of one model."""
    train = as_records("cifar10", reading=Reading(part="train"))
    test = as_records("cifar10", reading=Reading(part="test"))
    preparation = Preparation.fit(train)
    source = preparation.source(train)
    model = build("vqvae", source.spec, {}, seed=seed)
    assert isinstance(model, Vqvae)
    settings = SETTINGS[budget]
    fit(
        model,
        source,
        Plan(seed=seed, steps=settings["steps"], batch=settings["batch"], precision=settings["precision"]),
    )
    variance, error, count, found = data_variance(source), 0.0, 0, []
    device = next(model.parameters()).device
    with torch.no_grad():
        for batch in preparation.source(test).batches(TEST_BATCHES):
            x = batch.x.to(device)
            symbols = model.encode(x)
            error += float((model.decode(symbols) - x).square().mean(dim=(1, 2, 3)).sum())
            count += len(x)
            found.append(symbols.cpu().numpy())
    symbols, codes = np.concatenate(found), model.code_spec.levels
    assert codes is not None
    error /= count
    groups = [perplexity(symbols[at : at + GROUP], codes) for at in range(0, count - GROUP + 1, GROUP)]
    yield Line("vqvae", "test", "nmse", error / variance, f"data variance {variance:.4f}")
    yield Line("vqvae", "test", f"perplexity of {GROUP} images", float(np.mean(groups)))
    yield Line("vqvae", "test", "perplexity", perplexity(symbols, codes), "of all test images")
    yield Line("vqvae", "test", "codes in use", float(len(np.unique(symbols))))
    mean = source.fetch(range(len(source))).x.mean(0, keepdim=True)
    floor = float(np.mean([float((b.x - mean).square().mean()) for b in preparation.source(test).batches(1000)]))
    yield Line("mean image", "test", "nmse", floor / variance)
    prior = GatedPrior(**settings["prior"]).build(model.code_spec, conditional=False)
    assert isinstance(prior, Raster)
    latent = LatentPrior(source.spec, model, prior)
    latent.adopt(model)
    fit(latent, source, Plan(seed=seed, steps=settings["prior_steps"], batch=64))
    images = torch.cat([batch.x for batch in preparation.source(test).batches(1000)])
    seen = all_codes(latent, torch.cat([batch.x for batch in source.batches(1000)]))
    yield from cost(latent, "test", seen, all_codes(latent, images), None)
    yield from coded(latent, "test, first 256", images[:256], None, raw_bits=8 * 3072)


CLAIM = Claim(
    name="vqvae_cifar",
    title="VQ-VAE on CIFAR-10",
    protocol=(
        "CIFAR-10: trained on the first 20,000 training images (the authors' example: 40,000), measured on all 10,000 "
        "test images, last weights. The setting of the example: 128 channels, two residual blocks of 32, 512 codes of "
        "64 numbers at 8 x 8 positions, commitment .25, moving averages of decay .99, Adam at 3e-4, batch 32, 10,000 "
        "updates, all in single precision; besides, a codebook that starts by k-means and revives idle codes, and a "
        "rate that falls to 0 over the last tenth. nmse: mean squared error over the variance of all training values. "
        f"Perplexity: of the symbols of {GROUP} images, mean over the test set, as the example counts it (about 326 of "
        "its training batches), and of the whole test set. Then a gated PixelCNN over the codes (8 layers of 64, 2,000 "
        "updates of 64): bits a symbol beside uniform and unigram codes, and bytes of an arithmetic coder; raw are "
        "3,072 bytes an image."
    ),
    run=run,
    targets=(
        Target("vqvae", "test", "nmse", 0.056, "gate", most=True),
        Target("vqvae", "test", f"perplexity of {GROUP} images", 300, "gate"),
    ),
    budgets=SETTINGS,
)
