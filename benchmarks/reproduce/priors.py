"""What the claims on codes share: what codes cost under three priors, and as bytes that decode to the same codes."""

from collections.abc import Iterator
from math import log, log2

import torch
from torch import Tensor

from benchmarks.reproduce import Line
from urbild.models.autoregressive.coding import bits_of, compress, decompress
from urbild.models.autoregressive.latent_prior import LatentPrior


def all_codes(model: LatentPrior, x: Tensor) -> Tensor:
    """Symbols int64 [N, G, h, w]."""
    with torch.no_grad():
        return torch.cat([model.encode(part) for part in x.split(250)])


def cost(model: LatentPrior, data: str, seen: Tensor, fresh: Tensor, given: Tensor | None) -> Iterator[Line]:
    """Bits a symbol of fresh codes: uniform, by how often symbols were seen in training, and under the prior."""
    levels = model.prior.head.levels
    share = torch.bincount(seen.flatten(), minlength=levels) + 1.0
    with torch.no_grad():
        values = fresh.float() / (levels - 1)
        labels = [None] * len(values.split(250)) if given is None else given.split(250)
        nats = [-model.prior.log_prob(x, given=y).value for x, y in zip(values.split(250), labels, strict=True)]
    yield Line("uniform codes", data, "bits a symbol", log2(levels))
    yield Line("unigram codes", data, "bits a symbol", -float((share / share.sum()).log2()[fresh].mean()))
    yield Line("latent_prior", data, "bits a symbol", float(torch.cat(nats).mean()) / log(2) / fresh[0].numel())


def coded(model: LatentPrior, data: str, x: Tensor, given: Tensor | None, raw_bits: int) -> Iterator[Line]:
    """Bytes of an arithmetic coder for the codes of images, which are decoded and compared, beside the model's bits."""
    symbols = all_codes(model, x)
    messages = compress(model.prior, symbols, given)
    same = torch.equal(decompress(model.prior, messages, given), symbols)
    assert same, "the codes came back changed"
    with torch.no_grad():
        values = symbols.float() / (model.prior.head.levels - 1)
        said = -float(model.prior.log_prob(values, given=given).value.mean()) / log(2)
    found = float(bits_of(messages).mean())
    note = f"{len(x)} images, all decoded to the identical codes"
    yield Line("latent_prior", data, "coded bytes an image", found / 8, note)
    yield Line("latent_prior", data, "bits by the model / 8", said / 8)
    yield Line("uniform codes", data, "coded bytes an image", symbols[0].numel() * log2(model.prior.head.levels) / 8)
    yield Line("latent_prior", data, "times smaller than raw", raw_bits / found)
