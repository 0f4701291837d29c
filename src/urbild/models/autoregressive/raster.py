"""What the models of p(x) = prod p(x_i | x_<i) over the sites of an image in raster order share: a network, and a head.

A network maps symbols to numbers for every site at once, of which those of site i depend on earlier sites alone. It is
also able to do so site by site, keeping what it has computed: sampling then costs about one pass over the image instead
of one for every site (Ramachandran et al. 2017, Fast generation for convolutional autoregressive models,
https://arxiv.org/abs/1704.06001). `draw_plainly` is the slow way; both draw the same symbols from the same noise.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import Literal, NamedTuple, TypeAlias

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
)
from urbild.errors import DataError, OptionError
from urbild.nets.masked import Left, groups_of
from urbild.nets.symbols import SymbolHead
from urbild.ops.complexity import compressed_bits, mutate
from urbild.ops.schedules import warm_cosine


class Condition(NamedTuple):
    """What all sites are told.

    Attributes:
        vector: [N, E], told to every site alike, or None.
        maps: [N, M, H, W], told to each site its own, or None.
    """

    vector: Tensor | None = None
    maps: Tensor | None = None


class Inputs(nn.Module):
    """Symbols as a network's input: numbers between -1 and 1, or learned vectors.

    Args:
        channels: C.
        levels: K.
        embedding: size of the learned vector of a symbol, or None for numbers.
    """

    def __init__(self, channels: int, levels: int, embedding: int | None) -> None:
        super().__init__()
        self.levels, self.size = levels, embedding or 1
        self.groups = groups_of(channels * self.size, channels)
        self.vectors = nn.ModuleList(nn.Embedding(levels, embedding) for _ in range(channels) if embedding)

    def forward(self, symbols: Tensor) -> Tensor:
        """[N, C * size, H, W] of symbols [N, C, H, W]."""
        if not self.vectors:
            return symbols.to(torch.get_default_dtype()) * (2 / (self.levels - 1)) - 1
        found = [vectors(symbols[:, c]) for c, vectors in enumerate(self.vectors)]  # each [N, H, W, size]
        return torch.cat(found, dim=-1).movedim(-1, 1)

    def site(self, symbols: Tensor, channel: int) -> Tensor:
        """[N, size] of a site's symbols [N] in one channel."""
        if not self.vectors:
            return symbols[:, None] * (2 / (self.levels - 1)) - 1
        found: Tensor = self.vectors[channel](symbols)
        return found

    def write(self, place: Tensor, group: int, symbols: Tensor) -> None:
        """Writes a group's symbols [N, channels of the group] of a site into the site's input [N, C * size]."""
        for at in range(symbols.shape[1]):
            channel = group * symbols.shape[1] + at
            place[:, channel * self.size : (channel + 1) * self.size] = self.site(symbols[:, at], channel)


class Cache(ABC):
    """A batch of images that is being drawn."""

    @abstractmethod
    def row(self, i: int) -> None:
        """Begins row i: all rows above are drawn."""

    @abstractmethod
    def output(self, j: int, group: int) -> Tensor:
        """The numbers [N, outputs] for a group of channels at column j: earlier groups are drawn."""

    @abstractmethod
    def put(self, j: int, group: int, symbols: Tensor) -> None:
        """Takes the symbols [N, channels of the group] that were drawn at column j."""


class Wave(ABC):
    """A batch of images that is being drawn, many rows at once.

    A network whose sites see no further right in the rows above than `slope` - 1 sites can draw site (i, j) of all rows
    with the same t = j + slope i together: fewer and larger steps, the same symbols.

    Attributes:
        slope: sites by which a row lags behind the one above.
    """

    slope: int

    @abstractmethod
    def output(self, rows: slice, t: int, group: int) -> Tensor:
        """The numbers [rows * N, outputs] for a group of channels at the sites of front t."""

    @abstractmethod
    def put(self, rows: slice, t: int, group: int, symbols: Tensor) -> None:
        """Takes the symbols [rows * N, channels of the group] that were drawn there."""


class RasterNetwork(nn.Module, ABC):
    """Maps symbols [N, C, H, W] to a head's numbers [N, groups * outputs, H, W]."""

    @abstractmethod
    def forward(self, symbols: Tensor, condition: Condition) -> Tensor: ...

    @abstractmethod
    def cache(self, n: int, size: tuple[int, int], condition: Condition) -> Cache | Wave:
        """A new batch of n images of H x W to draw; called in inference mode."""


MUTATED = 0.1  # share of entries that the background network sees mutated; Ren et al. take .1 to .3

Correction: TypeAlias = Literal["none", "compressor", "background"]

Clamp: TypeAlias = tuple[Tensor, Tensor]
"""Symbols [N, C, H, W], and which of their sites [N, H, W] are kept."""


Place: TypeAlias = int | Tensor


def noise_for(head: SymbolHead, n: int, sites: tuple[int, int], generator: torch.Generator | None) -> Tensor:
    """Uniform numbers [H, W, groups, N, draws] in float64, in the order in which sites are drawn."""
    device = generator.device if generator is not None else None
    shape = (*sites, head.groups, n, head.draws)
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device)


def _settled(drawn: Tensor, clamp: Clamp | None, i: Place, j: Place, channels: slice) -> Tensor:
    """What was drawn [N, c] or [rows, N, c], or what is kept."""
    if clamp is None:
        return drawn
    symbols, kept = clamp
    here = symbols[:, channels, i, j]
    if drawn.dim() == 3:
        return torch.where(kept[:, i, j].T[:, :, None], here.permute(2, 0, 1), drawn)
    return torch.where(kept[:, i, j, None], here, drawn)


def draw(
    network: RasterNetwork,
    head: SymbolHead,
    noise: Tensor,
    condition: Condition,
    *,
    channels: int,
    temperature: float = 1.0,
    clamp: Clamp | None = None,
) -> Tensor:
    """Symbols [N, C, H, W], drawn site by site from `noise` (see `noise_for`); every activation is computed once."""
    height, width, _, n, _ = noise.shape
    weights = next(network.parameters())
    noise = noise.to(weights)
    symbols = torch.zeros(n, channels, height, width, dtype=torch.long, device=weights.device)
    with torch.inference_mode():
        cache = network.cache(n, (height, width), condition)
        if isinstance(cache, Wave):
            _fronts(cache, head, noise, symbols, temperature=temperature, clamp=clamp)
        else:
            _sites(cache, head, noise, symbols, temperature=temperature, clamp=clamp)
    return symbols


def _sites(
    cache: Cache, head: SymbolHead, noise: Tensor, symbols: Tensor, *, temperature: float, clamp: Clamp | None
) -> None:
    """Draws into `symbols`, a site at a time."""
    height, width, groups = noise.shape[:3]
    each = symbols.shape[1] // groups
    for i in range(height):
        cache.row(i)
        for j in range(width):
            for group in range(groups):
                own = slice(group * each, (group + 1) * each)
                drawn = head.draw(cache.output(j, group), noise[i, j, group], temperature)
                drawn = _settled(drawn, clamp, i, j, own)
                cache.put(j, group, drawn)
                symbols[:, own, i, j] = drawn


def _fronts(
    wave: Wave, head: SymbolHead, noise: Tensor, symbols: Tensor, *, temperature: float, clamp: Clamp | None
) -> None:
    """Draws into `symbols`, a front of sites at a time."""
    height, width, groups, n, _ = noise.shape
    each = symbols.shape[1] // groups
    for t in range(width + wave.slope * (height - 1)):
        rows = slice(max(0, -((width - 1 - t) // wave.slope)), min(height - 1, t // wave.slope) + 1)
        i = torch.arange(rows.start, rows.stop, device=symbols.device)
        j = t - wave.slope * i
        if not len(i):
            continue
        for group in range(groups):
            own = slice(group * each, (group + 1) * each)
            drawn = head.draw(wave.output(rows, t, group), noise[i, j, group].flatten(0, 1), temperature)
            drawn = _settled(drawn.view(len(i), n, each), clamp, i, j, own)  # [rows, N, channels]
            wave.put(rows, t, group, drawn.flatten(0, 1))
            symbols[:, own, i, j] = drawn.permute(1, 2, 0)


def draw_plainly(
    network: RasterNetwork,
    head: SymbolHead,
    noise: Tensor,
    condition: Condition,
    *,
    channels: int,
    temperature: float = 1.0,
    clamp: Clamp | None = None,
) -> Tensor:
    """The same symbols as `draw`, by a pass over the whole image for each site and group."""
    height, width, groups, n, _ = noise.shape
    weights = next(network.parameters())
    noise = noise.to(weights)
    each = channels // groups
    symbols = torch.zeros(n, channels, height, width, dtype=torch.long, device=weights.device)
    with torch.inference_mode():
        for i in range(height):
            for j in range(width):
                for group in range(groups):
                    own = slice(group * each, (group + 1) * each)
                    output = network(symbols, condition)[:, group * head.outputs : (group + 1) * head.outputs, i, j]
                    drawn = head.draw(output, noise[i, j, group], temperature)
                    symbols[:, own, i, j] = _settled(drawn, clamp, i, j, own)
    return symbols


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

    def stages(self) -> Sequence[Stage]:
        turns = [self._turn("likelihood", self.network, self.loss)]
        if self.background is not None:
            turns.append(self._turn("background", self.background, self.background_loss))
        source = partial(labelled, classes=self.classes) if self.classes else None
        return (Stage(name="pixels", turns=turns, source=source, monitor=lambda batch: self.nats(batch.x, None)[0]),)

    def _turn(self, name: str, network: nn.Module, loss: Callable[[Batch], Losses]) -> Turn:
        return Turn(name=name, modules=(network,), loss=loss, optimiser=adam(self.learning_rate), rate=warm_cosine)

    def loss(self, batch: Batch) -> Losses:
        """The negative log-likelihood of a sample in nats."""
        symbols = self.head.symbols(batch.x, training=True)
        return self._losses(self.network, symbols, batch)

    def background_loss(self, batch: Batch) -> Losses:
        """That of mutated samples under the background network."""
        assert self.background is not None
        mutated = mutate(batch.x, self.head.levels, MUTATED)
        return self._losses(self.background, self.head.symbols(mutated, training=True), batch)

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
        """What the network is told of classes `given` [N]; without them all classes in turn.

        Raises:
            OptionError: a class is given that the model does not have.
        """
        if not self.classes:
            return Condition()
        device = next(self.parameters()).device
        given = torch.arange(n, device=device) % self.classes if given is None else given.to(device)
        if bool(((given < 0) | (given >= self.classes)).any()):
            msg = f"a class is not one of the {self.classes} that the model was trained on."
            raise OptionError(msg)
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

        Without their classes it is that of the mixture of all classes, with the sites of the likeliest class.
        """
        symbols = self.head.symbols(x)
        if given is not None or not self.classes:
            sites = self.surprise(symbols, given, network).sum(1)
            return sites.flatten(1).sum(1), sites
        each = torch.stack([self.surprise(symbols, label, network).sum(1) for label in self._labels(len(x))])
        nats = each.flatten(2).sum(2)  # [K, N]
        likeliest = nats.argmin(0)
        return log(self.classes) - torch.logsumexp(-nats, dim=0), each[likeliest, torch.arange(len(x))]

    def _labels(self, n: int) -> list[Tensor]:
        return [torch.full((n,), label, dtype=torch.long) for label in range(self.classes)]


def labelled(source: Source, *, classes: int) -> Source:
    """The source, all of whose samples have a class.

    Raises:
        DataError: some have none.
    """
    if source.labels is None or bool((source.labels < 0).any()) or bool((source.labels >= classes).any()):
        msg = "a model of classes needs the class of every training sample, and some have none; give labels, or train "
        msg += "without --conditional."
        raise DataError(msg)
    return source


def classes_of(spec: DataSpec, *, conditional: bool) -> int:
    """The number of classes to be conditioned on, 0 for none.

    Raises:
        OptionError: classes are wanted and the data have no names of any.
    """
    if conditional and not spec.classes:
        msg = "conditional=True needs labelled data, and these have no classes; give a label column, or folders."
        raise OptionError(msg)
    return len(spec.classes) if conditional else 0


def leaving(layer: Left, features: slice) -> Tensor:
    """The matrix of a 1 x 1 convolution with its bias as last row, for some of its outputs."""
    assert layer.bias is not None
    return torch.cat([layer.taps(features), layer.bias[None, features]])


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


def check_kernel(kernel: int) -> None:
    """Refuses kernels that have no middle.

    Raises:
        OptionError: it is even, or sees nothing but the site itself.
    """
    if kernel < 3 or kernel % 2 == 0:
        msg = f"kernel must be odd and at least 3, and is {kernel}."
        raise OptionError(msg)
