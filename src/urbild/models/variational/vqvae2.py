"""VQ-VAE-2: two levels of symbols, a small map for the layout of an image and a larger one for its detail.

Razavi, van den Oord and Vinyals 2019, Generating Diverse High-Fidelity Images with VQ-VAE-2,
https://arxiv.org/abs/1906.00446

    h_bottom = E_bottom(x),  h_top = E_top(h_bottom)
    e_top = quantise(h_top),  e_bottom = quantise( h_bottom, D_top(e_top) ),  x^ = D(e_top, e_bottom)

The bottom codes are conditioned on the top ones, so that they need say only what those do not (algorithm 1). The loss
is that of `vqvae`, with the terms of both codebooks; so are the score, which adds both distances, and the map.

`encode` gives one row of symbols an image, [N, 1, 1, h_top w_top + h_bottom w_bottom], the top map first, each row by
row; `indices` gives the two maps. Without a prior over them the model does not sample.

Departures from the paper: sides are halved once to the bottom map and once more to the top by default, for small
images; residual blocks are narrow (a quarter of the hidden channels); the learning rate falls to 0 over the last tenth
of the updates.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from urbild.contract import (
    Anomaly,
    Batch,
    DataSpec,
    Discrete,
    Losses,
    Model,
    Reconstructs,
    Scores,
    Stage,
    Turn,
    adam,
)
from urbild.models.variational.vqvae import CENTRE, Nats, SquaredError, reading
from urbild.nets import stock, strided
from urbild.nets.layers import Size, Upsample, image_size
from urbild.nets.observations import Observation
from urbild.nets.quantisers import Codebook, Ema, Quantiser
from urbild.ops.distances import site_error
from urbild.ops.precision import full
from urbild.ops.schedules import settling


class Networks(NamedTuple):
    """The parts between the two codebooks."""

    bottom: nn.Module  # E_bottom: [N, C, H, W] -> [N, hidden, *bottom]
    top: nn.Module  # E_top: [N, hidden, *bottom] -> [N, D, *top]
    context: nn.Module  # D_top: [N, D, *top] -> [N, D, *bottom]
    join: nn.Module  # [N, D + hidden, *bottom] -> [N, D, *bottom]
    climb: nn.Module  # [N, D, *top] -> [N, D, *bottom]
    decoder: nn.Module  # [N, 2 D, *bottom] -> what the reader reads


class Vqvae2(Model, Discrete, Reconstructs, Scores):
    """An autoencoder with two codebooks, the lower conditioned on the upper.

    Args:
        spec: of the data.
        networks: between the codebooks.
        books: of the top and of the bottom map.
        reader: squared error or likelihood.
        sizes: of the top and of the bottom map.
        codes: K, code vectors of a book.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        spec: DataSpec,
        networks: Networks,
        books: tuple[Codebook, Codebook],
        reader: SquaredError | Nats,
        *,
        sizes: tuple[Size, Size],
        codes: int,
        learning_rate: float = 3e-4,
    ) -> None:
        super().__init__()
        self.spec, self.sizes, self.learning_rate = spec, sizes, learning_rate
        self.code_spec = DataSpec(shape=(1, 1, sum(prod(size) for size in sizes)), kind="image", levels=codes)
        self.bottom, self.top, self.context, self.join, self.climb, self.decoder = networks
        self.top_book, self.bottom_book = books
        self.reader = reader

    def stages(self) -> Sequence[Stage]:
        modules = (self.bottom, self.top, self.context, self.join, self.climb, self.decoder)
        turn = Turn(
            name="codes",
            modules=(*modules, self.top_book, self.bottom_book, self.reader),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=settling,
        )
        solve = self.reader.solve if isinstance(self.reader, SquaredError) else None
        return (Stage(name="vqvae2", turns=(turn,), solve=solve),)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the bottom [N, hidden, *bottom], and codes of the top [N, D, *top] before quantisation."""
        low = self.bottom(x - CENTRE)
        return low, full(self.top(low))

    def _conditioned(self, low: Tensor, top_q: Tensor) -> Tensor:
        """Codes of the bottom [N, D, *bottom] before quantisation, given those of the top."""
        return full(self.join(torch.cat([self.context(top_q), low], 1)))

    def _decoded(self, top_q: Tensor, bottom_q: Tensor) -> Tensor:
        output: Tensor = self.decoder(torch.cat([self.climb(top_q), bottom_q], 1))
        return output

    def loss(self, batch: Batch) -> Losses:
        """Distortion and the terms of both codebooks: means over the batch and over entries."""
        low, z = self._features(batch.x)
        top = self.top_book(z, batch.progress)
        bottom = self.bottom_book(self._conditioned(low, top.z_q), batch.progress)
        distortion = self.reader.distortion(batch.x, self._decoded(top.z_q, bottom.z_q)).mean()
        loss = distortion + top.loss + bottom.loss + (top.rate + bottom.rate) / self.spec.size
        logs = {f"top {name}": value for name, value in top.logs.items()}
        logs |= {f"bottom {name}": value for name, value in bottom.logs.items()}
        return {"loss": loss, "distortion": distortion.detach(), **logs}

    def indices(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols of images: the maps int64 [N, *top] and [N, *bottom]."""
        low, z = self._features(x)
        top = self.top_book.indices(z)
        return top, self.bottom_book.indices(self._conditioned(low, self.top_book.lookup(top)))

    def decode_indices(self, top: Tensor, bottom: Tensor) -> Tensor:
        """Images [N, C, H, W] of the two maps of symbols."""
        return self.reader.mean(self._decoded(self.top_book.lookup(top), self.bottom_book.lookup(bottom)))

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return torch.cat([one.flatten(1) for one in self.indices(x)], 1)[:, None, None]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        top, bottom = torch.split(z[:, 0, 0], [prod(size) for size in self.sizes], dim=1)
        return self.decode_indices(top.reshape(-1, *self.sizes[0]), bottom.reshape(-1, *self.sizes[1]))

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode_indices(*self.indices(x))

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        low, z = self._features(x)
        top = self.top_book.indices(z)
        top_q = self.top_book.lookup(top)
        below = self._conditioned(low, top_q)
        bottom = self.bottom_book.indices(below)
        output = self._decoded(top_q, self.bottom_book.lookup(bottom))
        pairs = ((self.top_book, z, top), (self.bottom_book, below, bottom))
        distance = torch.stack([book.distance(codes, own).flatten(1).mean(1) for book, codes, own in pairs]).sum(0)
        return Anomaly(self.reader.distortion(x, output) + distance, site_error(x, self.reader.mean(output)))


def vqvae2(
    spec: DataSpec,
    *,
    quantiser: Quantiser | None = None,
    hidden: int = 128,
    residual: int = 2,
    code_size: int = 64,
    down: int = 1,
    likelihood: Observation | None = None,
    learning_rate: float = 3e-4,
) -> Model:
    """Builds a VQ-VAE of two levels for images.

    Args:
        spec: of the data.
        quantiser: of both levels, each with a codebook of its own; by default Ema(), 512 codes.
        hidden: channels of the networks; residual blocks have a quarter of them inside.
        residual: number of residual blocks in each network.
        code_size: D, numbers in a code.
        down: how often the sides are halved to the bottom map; the top map is half of it again (the paper: 2).
        likelihood: p(x | z); by default the squared error over the variance of the data.
        learning_rate: of Adam.

    Raises:
        OptionError: an option is out of range, or the likelihood does not fit the data.
    """
    stock.check_sizes(hidden=hidden, residual=residual, code_size=code_size, down=down, learning_rate=learning_rate)
    part = quantiser or Ema()
    reader, outputs = reading(spec, likelihood)
    image = image_size(spec)
    low, high = strided.sizes_down(image, down + 1)[-2:]
    wide = {"hidden": hidden, "residual": residual}
    networks = Networks(
        bottom=strided.down_path(spec.channels, image, down, **wide),
        top=nn.Sequential(strided.down_path(hidden, low, 1, **wide), nn.Conv2d(hidden, code_size, 1)),
        context=strided.up_path(code_size, code_size, low, 1, **wide),
        join=nn.Conv2d(code_size + hidden, code_size, 1),
        climb=Upsample(code_size, code_size, low, upsampling="transposed"),
        decoder=strided.up_path(2 * code_size, outputs, image, down, **wide),
    )
    books = (part.build(code_size), part.build(code_size))
    return Vqvae2(spec, networks, books, reader, sizes=(high, low), codes=part.codes, learning_rate=learning_rate)
