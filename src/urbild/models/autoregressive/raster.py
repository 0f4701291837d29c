"""What models of p(x) = prod p(x_i | x_<i) over the sites of an image in raster order share: a network, and a head."""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import (
    Anomaly,
    Batch,
    Completes,
    Conditional,
    DataSpec,
    Density,
    Likelihood,
    Losses,
    Model,
    Samples,
    Scores,
    Source,
    Stage,
    Turn,
    adam,
    in_turn,
    known_classes,
)
from urbild.errors import OptionError
from urbild.models.autoregressive.raster_drawing import Clamp, draw, noise_for
from urbild.models.autoregressive.raster_network import Condition, RasterNetwork
from urbild.nets.labels import check_seen, labelled, seen_in
from urbild.nets.symbols import SymbolHead
from urbild.ops.complexity import compressed_bits, mutate
from urbild.ops.schedules import warm_cosine

MUTATED = 0.1  # share of entries that the background network sees mutated; Ren et al. take .1 to .3

Correction: TypeAlias = Literal["none", "compressor", "background"]


class Raster(Model, Samples, Completes, Conditional, Density, Scores):
    """An exact likelihood of images.

    The score is the surprise of an image in bits per dimension; the map has the bits of each site. A likelihood ranks
    simple images of another kind as more normal than its training data (Nalisnick et al. 2018,
    https://arxiv.org/abs/1810.09136); two corrections subtract what any image of such complexity would cost:

    - "compressor": the bits under a lossless compressor (Serra et al. 2019, https://arxiv.org/abs/1909.11480);
    - "background": the bits under the same network trained on mutated images; the map has what a site costs more than
      that, if it does (Ren et al. 2019, https://arxiv.org/abs/1906.02845).

    Args:
        spec: of the data.
        network: causal.
        head: that reads it.
        classes: number of classes that it is conditioned on, or 0.
        compressor: whether the score is corrected by a compressor.
        background: a second network by which the score is corrected, or None.
        learning_rate: of Adam, at its highest.
    """

    def __init__(
        self,
        spec: DataSpec,
        network: RasterNetwork,
        head: SymbolHead,
        *,
        classes: int = 0,
        compressor: bool = False,
        background: RasterNetwork | None = None,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec, self.classes, self.learning_rate = spec, classes, learning_rate
        self.network, self.head = network, head
        self.compressor, self.background = compressor, background
        self.labels = spec.classes if classes else ()
        if classes:
            self.seen: Tensor
            self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))  # in training

    def stages(self) -> Sequence[Stage]:
        turns = [self._turn("likelihood", self.network, self.loss)]
        if self.background is not None:
            turns.append(self._turn("background", self.background, self.background_loss))
        stage = Stage(name="pixels", turns=turns, monitor=lambda batch: self.nats(batch.x, None)[0])
        return (replace(stage, source=labelled, solve=self._look) if self.classes else stage,)

    def _look(self, source: Source) -> None:
        self.seen.copy_(seen_in(source, self.classes))

    def _turn(self, name: str, network: nn.Module, loss: Callable[[Batch], Losses]) -> Turn:
        return Turn(name=name, modules=(network,), loss=loss, optimiser=adam(self.learning_rate), rate=warm_cosine)

    def loss(self, batch: Batch) -> Losses:
        """The negative log-likelihood of a sample in nats."""
        symbols = self.head.symbols(batch.x, training=True)
        return self._losses(self.network, symbols, batch)

    def background_loss(self, batch: Batch) -> Losses:
        """That of mutated samples under the background network."""
        assert self.background is not None
        symbols = self.head.symbols(batch.x, training=True)
        return self._losses(self.background, mutate(symbols, self.head.levels, MUTATED), batch)

    def _losses(self, network: RasterNetwork, symbols: Tensor, batch: Batch) -> Losses:
        if batch.step == 0:
            check_memory(symbols, self.head.groups * self.head.outputs)
        given = batch.given if batch.given is not None else batch.y
        nats = self.surprise(symbols, given, network).flatten(1).sum(1).mean()
        return {"loss": nats, "bits_per_dim": nats.detach() / (self.spec.size * log(2))}

    def surprise(self, symbols: Tensor, given: Tensor | None = None, network: RasterNetwork | None = None) -> Tensor:
        """Nats of each entry [N, C or 1, H, W] of symbols [N, C, H, W], under another network if one is given."""
        output = (network or self.network)(symbols, self.condition(given, len(symbols)))
        return self.head.surprise(output, symbols)

    def condition(self, given: Tensor | None, n: int) -> Condition:
        """What the network is told of classes `given` [N]; without them all known classes in turn.

        Raises:
            OptionError: a class is given that the model does not have, or that had no sample in training.
        """
        if not self.classes:
            return Condition()
        given = in_turn(self, n) if given is None else given
        assert given is not None  # there are classes
        given = given.to(self.seen.device)
        check_seen(given, self.seen, self.labels)
        return Condition(vector=functional.one_hot(given, self.classes).to(torch.get_default_dtype()))

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self._drawn(n, self.condition(given, n), temperature, generator)

    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        clamp = (self.head.symbols(x), observed.bool())
        drawn = self._drawn(len(x), self.condition(given, len(x)), 1.0, generator, clamp)
        return torch.where(observed[:, None], x, drawn)

    def _drawn(
        self,
        n: int,
        condition: Condition,
        temperature: float,
        generator: torch.Generator | None,
        clamp: Clamp | None = None,
    ) -> Tensor:
        noise = noise_for(self.head, n, (self.spec.shape[1], self.spec.shape[2]), generator)
        channels = self.spec.channels
        symbols = draw(
            self.network, self.head, noise, condition, channels=channels, temperature=temperature, clamp=clamp
        )
        return self.head.values(symbols)

    def log_prob(self, x: Tensor, *, given: Tensor | None = None, draws: int = 1) -> Likelihood:
        return Likelihood(-self.nats(x, given)[0], kind="exact")

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        nats, sites = self.nats(x, given)
        score = nats / log(2)
        if self.compressor:
            score = score - compressed_bits(self.head.values(self.head.symbols(x)), self.head.levels)
        if self.background is not None:
            usual, usual_sites = self.nats(x, given, self.background)
            score, sites = score - usual / log(2), (sites - usual_sites).clamp(min=0)
        return Anomaly(score / self.spec.size, sites / log(2))

    def nats(self, x: Tensor, given: Tensor | None, network: RasterNetwork | None = None) -> tuple[Tensor, Tensor]:
        """Surprise of images [N] and of their sites [N, H, W].

        Without their classes it is that of the mixture of all known classes, with the sites of the likeliest class.
        """
        symbols = self.head.symbols(x)
        if given is not None or not self.classes:
            sites = self.surprise(symbols, given, network).sum(1)
            return sites.flatten(1).sum(1), sites
        each = torch.stack([self.surprise(symbols, label, network).sum(1) for label in self._labels(len(x))])
        nats = each.flatten(2).sum(2)  # [K, N]
        likeliest = nats.argmin(0)
        return log(len(each)) - torch.logsumexp(-nats, dim=0), each[likeliest, torch.arange(len(x))]

    def _labels(self, n: int) -> list[Tensor]:
        return [torch.full((n,), label, dtype=torch.long) for label in known_classes(self).tolist()]


def corrected(
    spec: DataSpec,
    network: Callable[[], RasterNetwork],
    head: SymbolHead,
    correction: Correction,
    *,
    classes: int = 0,
    learning_rate: float,
) -> Raster:
    """A model whose score is corrected, its networks made in turn: its own, and one for the background if need be."""
    return Raster(
        spec,
        network(),
        head,
        classes=classes,
        compressor=correction == "compressor",
        background=network() if correction == "background" else None,
        learning_rate=learning_rate,
    )


def check_memory(symbols: Tensor, outputs: int) -> None:
    """Refuses a batch whose outputs alone would not fit in memory, before anything is computed.

    Raises:
        OptionError: the numbers for all sites, their probabilities and their gradients need more than there is.
    """
    n, _, height, width = symbols.shape
    needed = 3 * 4 * n * height * width * outputs
    if symbols.is_cuda:
        present = torch.cuda.get_device_properties(symbols.device).total_memory
    else:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > present:
        msg = f"{outputs} numbers for each of {height} x {width} sites of {n} samples take {needed / 1e9:.0f} GB to "
        msg += f"train, and there are {present / 1e9:.0f}; make the batch or the images smaller, or the levels fewer."
        raise OptionError(msg)
