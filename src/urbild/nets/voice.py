"""Decoders that say vectors as sound: told a vector for every `hop` samples, and perhaps a class of the whole.

Which one is a value that is passed to a builder, such as `Gru(units=256)`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.errors import OptionError
from urbild.nets import stock
from urbild.nets.causal import CausalStack
from urbild.nets.companded import draw, generate, mixture
from urbild.nets.hearing import Context
from urbild.nets.recurrent import Recurrent
from urbild.nets.threads import one_thread
from urbild.ops.precision import full
from urbild.ops.sound import mu_law_decode, mu_law_encode

LEVELS = 256


class Speech(ABC):
    """A choice of decoder: a frozen dataclass that has, among its fields, the `temperature`."""

    temperature: float

    def build(self, width: int, *, classes: int, hop: int) -> "Voice":
        """The decoder of vectors of `width` numbers that hold for `hop` samples each, and of so many classes.

        Raises:
            OptionError: a field is out of range.
        """
        if not self.temperature >= 0:
            msg = f"temperature of {type(self).__name__} must not be below 0, and is {self.temperature}."
            raise OptionError(msg)
        network = self.network(width, classes=classes, hop=hop)
        return Voice(Context(width, width, width, residual=1), network, self.temperature)

    @abstractmethod
    def network(self, width: int, *, classes: int, hop: int) -> "CausalStack | Recurrent":
        """Predicts each mu-law code from those before it, a class, and `width` numbers for each `hop` of them."""


@dataclass(frozen=True)
class Dilated(Speech):
    """A WaveNet: it sees cycles (2^dilations - 1) + 2 samples of the past.

    Attributes:
        cycles: how often the dilations are gone through.
        dilations: layers of a cycle; the dilations are 1, 2, 4, ...
        temperature: of the samples that are chosen: below 1 the more probable ones, at 0 the most probable.
    """

    cycles: int = 2
    dilations: int = 8
    temperature: float = 1.0

    def network(self, width: int, *, classes: int, hop: int) -> CausalStack:
        """A stack of dilated causal convolutions."""
        stock.check_sizes(cycles=self.cycles, dilations=self.dilations)
        dilations = [2**at for at in range(self.dilations)] * self.cycles
        stack = CausalStack(dilations, width, 2 * width, LEVELS, classes, local=width, hop=hop)
        # Told much, a head of small weights learns the symbols' frequencies first, and may die of it.
        nn.init.kaiming_normal_(stack.hidden.weight, nonlinearity="relu")
        return stack


@dataclass(frozen=True)
class Gru(Speech):
    """A gated recurrent unit.

    Attributes:
        units: numbers of its state.
        temperature: of the samples that are chosen: below 1 the more probable ones, at 0 the most probable.
    """

    units: int = 256
    temperature: float = 1.0

    def network(self, width: int, *, classes: int, hop: int) -> Recurrent:
        """A recurrent network."""
        stock.check_sizes(units=self.units)
        return Recurrent(width, self.units, LEVELS, classes, local=width, hop=hop)


class Voice(nn.Module):
    """Mu-law codes of sound, one after the other, given the vectors around them.

    Args:
        context: maps vectors [N, D, T'] to what the network is told [N, C, T'].
        network: predicts each code from those before it and what it is told.
        temperature: of what `say` chooses; 0 takes the most probable.
    """

    def __init__(self, context: Context, network: CausalStack | Recurrent, temperature: float) -> None:
        super().__init__()
        self.context, self.network, self.temperature = context, network, temperature

    def symbols(self, x: Tensor) -> Tensor:
        """Mu-law codes [N, T] of waves [N, T, 1]."""
        return mu_law_encode(x[..., 0], self.network.levels)

    def told(self, z_q: Tensor, live: Tensor) -> Tensor:
        """What the network is told at each site [N, T', C], of vectors [N, D, T'] that are 0 where not `live`."""
        return full(self.context(z_q, live)).movedim(1, 2)

    def nats(self, symbols: Tensor, local: Tensor, classes: Tensor | None = None) -> Tensor:
        """Surprise -ln p [N, T] of each mu-law code given those before it, the sites [N, T', C] and its class [N]."""
        logits = self.network(symbols, classes, local)  # [N, T, levels]
        return functional.cross_entropy(logits.flatten(0, 1), symbols.flatten(), reduction="none").view(symbols.shape)

    def by_class(self, symbols: Tensor, local: Tensor, prior: Tensor) -> Tensor:
        """Table of ln p(class, mu-law codes up to t | sites), [classes, N, T], by a prior ln p [classes]."""
        each = [self.nats(symbols, local, symbols.new_full((len(symbols),), k)) for k in range(len(prior))]
        return mixture(torch.stack(each), prior)

    def say(self, local: Tensor, live: Tensor, classes: Tensor | None, length: int) -> Tensor:
        """Waves [N, length, 1], exact zeros where the sites [N, T'] are not `live`.

        Nothing is drawn: the distribution of each sample is inverted at numbers that are the same for every row.
        """
        n = len(live)
        until = min(length, self.network.hop * int(live.sum(1).max())) if n else 0
        waves = local.new_zeros(n, length)
        if not until:
            return waves[..., None]
        uniform = torch.rand(until, generator=torch.Generator().manual_seed(0)).to(local.device)

        def choose(t: int, logits: Tensor) -> Tensor:
            return draw(logits, uniform[t].expand(n), self.temperature) if self.temperature else logits.argmax(1)

        with torch.inference_mode(), one_thread():
            symbols = generate(self.network.cached(n, classes, local), until, choose)
        sounds = live.repeat_interleave(self.network.hop, 1)[:, :until]
        waves[:, :until] = mu_law_decode(symbols, self.network.levels, dtype=waves.dtype) * sounds
        return waves[..., None]
