"""What the claims on codes share: what codes cost under three priors, and as bytes that decode to the same codes."""

from collections.abc import Iterator
from math import log, log2

import torch
from torch import Tensor

from benchmarks.reproduce import Line
from urbild.models.autoregressive.coding import bits_of, compress, decompress
from urbild.models.autoregressive.latent_prior import LatentPrior

ROWS = 100


def all_codes(model: LatentPrior, x: Tensor) -> Tensor:
    """Symbols int64 [N, G, h, w]."""
    device = next(model.parameters()).device
    with torch.no_grad():
        return torch.cat([model.encode(part.to(device)).cpu() for part in x.split(ROWS)])


def unigram_bits(seen: Tensor, fresh: Tensor, levels: int) -> float:
    """Bits a symbol of fresh codes [N, G, ...] by how often each codebook's symbols were seen, one for each added."""
    found = []
    for own, new in zip(seen.unbind(1), fresh.unbind(1), strict=True):
        share = torch.bincount(own.flatten(), minlength=levels) + 1.0
        found.append(-float((share / share.sum()).log2()[new].mean()))
    return sum(found) / len(found)


def prior_bits(model: LatentPrior, fresh: Tensor, given: Tensor | None = None) -> float:
    """Bits a symbol of fresh codes [N, G, h, w] under the prior."""
    device = next(model.parameters()).device
    values = fresh.float() / (model.prior.head.levels - 1)
    labels = [None] * len(values.split(ROWS)) if given is None else given.to(device).split(ROWS)
    with torch.no_grad():
        nats = [
            -model.prior.log_prob(x.to(device), given=y).value.cpu()
            for x, y in zip(values.split(ROWS), labels, strict=True)
        ]
    return float(torch.cat(nats).double().mean()) / log(2) / fresh[0].numel()


def cost(model: LatentPrior, data: str, seen: Tensor, fresh: Tensor, given: Tensor | None) -> Iterator[Line]:
    """Bits a symbol of fresh codes: uniform, by how often symbols were seen in training, and under the prior."""
    levels = model.prior.head.levels
    yield Line("uniform codes", data, "bits a symbol", log2(levels))
    yield Line("unigram codes", data, "bits a symbol", unigram_bits(seen, fresh, levels))
    yield Line("latent_prior", data, "bits a symbol", prior_bits(model, fresh, given))


def coded(model: LatentPrior, data: str, x: Tensor, given: Tensor | None, raw_bits: int) -> Iterator[Line]:
    """Bytes of an arithmetic coder for the codes of images, which are decoded and compared, beside the model's bits."""
    symbols = all_codes(model, x)
    messages = compress(model.prior, symbols, given)
    same = torch.equal(decompress(model.prior, messages, given).cpu(), symbols)
    assert same, "the codes came back changed"
    said = prior_bits(model, symbols, given) * symbols[0].numel()
    found = float(bits_of(messages).mean())
    note = f"{len(x)} images, all decoded to the identical codes"
    yield Line("latent_prior", data, "coded bytes an image", found / 8, note)
    yield Line("latent_prior", data, "bits by the model / 8", said / 8)
    yield Line("uniform codes", data, "coded bytes an image", symbols[0].numel() * log2(model.prior.head.levels) / 8)
    yield Line("latent_prior", data, "times smaller than raw", raw_bits / found)
