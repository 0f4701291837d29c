"""WaveNet: an exact likelihood of sound, one sample after the other.

van den Oord et al. 2016, WaveNet: A Generative Model for Raw Audio, https://arxiv.org/abs/1609.03499

    minimise  -ln p(q_t | q_<t)        in nats a sample, q_t the mu-law code of sample t (sections 2.2, 2.3)

with p given by a stack of dilated causal convolutions of two taps (1, 2, 4, ... and again), each with a gate
tanh(filter) sigmoid(gate), a residual and a skip output (equation 2, figure 4). A class h of the whole sample, such as
a digit or a speaker, is added inside filter and gate (section 2.5, equation 3).

Nothing is left out of the loss: before the start of a sample there are zeros, as in the paper's causal padding. A
padded end (exact zeros; a mask in training) counts nowhere: not in the loss, the likelihood, the score or the map.
So `log_prob` is that of the codes of what sounds, given how long it is.

The score is the code surprise, the mean nats of a sample's codes; the map is the bits of each. A conditional model that
is not told the class takes the mixture over the classes, as frequent as in training, which is exact, too.

`complete` clamps what is observed and draws the rest given the past alone: what comes later is not heeded.

Sampling keeps each layer's past inputs in a queue (Le Paine et al. 2016, https://arxiv.org/abs/1611.09482), so that
each activation is computed once.

Departures from the paper: the loss is the mean over samples of their own mean, so that it does not depend on what they
are batched with; of what is longer than 8,000 it sees a random crop, anew at each visit, since activations of minutes
of sound fill any memory; Adam under a warm-up and a cosine.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; an exact likelihood needs no draws

from collections.abc import Callable, Sequence
from math import log

import torch
from torch import Tensor
from torch.nn import functional

from urbild.contract import (
    Anomaly,
    AnyLength,
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
from urbild.errors import OptionError, ShapeError
from urbild.nets.causal import Cached, CausalStack, Naive
from urbild.nets.companded import (
    AT_ONCE,
    CROP,
    checked_classes,
    classes_in,
    counted,
    crop,
    draw,
    generate,
    log_prior,
    mean_of_valid,
    mixed,
    mixture,
)
from urbild.nets.labels import classes_of, labelled
from urbild.nets.threads import one_thread
from urbild.ops.schedules import warm_cosine
from urbild.ops.sound import mu_law_decode, mu_law_encode, sounding

Step = Callable[[CausalStack, int, Tensor | None], Cached | Naive]


class WaveNet(Model, Samples, Completes, Density, Conditional, AnyLength, Scores):
    """An autoregressive model of mu-law codes.

    Args:
        spec: of the data, sound (T, 1).
        stack: that predicts each code from those before it.
        learning_rate: of Adam, at its highest.
    """

    def __init__(self, spec: DataSpec, stack: CausalStack, *, classes: int = 0, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.spec, self.stack = spec, stack
        self.classes, self.learning_rate = classes, learning_rate
        self.labels = spec.classes if classes else ()
        self.counts: Tensor
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.long))  # training samples of each class

    @property
    def seen(self) -> Tensor:
        """Which classes it was trained on: bool [classes]."""
        return self.counts > 0

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="surprise",
            modules=(self.stack,),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        if not self.classes:
            return (Stage(name="wavenet", turns=(turn,)),)
        return (Stage(name="wavenet", turns=(turn,), source=labelled, solve=self._count),)

    def _count(self, source: Source) -> None:
        self.counts = counted(source, self.classes).to(self.counts)

    def loss(self, batch: Batch) -> Losses:
        """Mean cross-entropy of a valid sample of sound, in nats, and the same in bits."""
        batch = crop(batch, CROP)
        classes = classes_in(batch) if self.classes else None
        symbols = self.symbols(batch.x)
        nats = self.nats(symbols, classes)  # [N, T]
        loss = nats.mean() if batch.mask is None else mean_of_valid(nats, batch.mask).mean()
        return {"loss": loss, "bits": loss.detach() / log(2)}

    def symbols(self, x: Tensor) -> Tensor:
        """Codes [N, T] of waves [N, T, 1]."""
        return mu_law_encode(x[..., 0], self.stack.levels)

    def nats(self, symbols: Tensor, classes: Tensor | None = None) -> Tensor:
        """-ln p [N, T] of each code given those before it, and its class [N]."""
        logits = self.stack(symbols, classes)  # [N, T, K]
        return functional.cross_entropy(logits.flatten(0, 1), symbols.flatten(), reduction="none").view(symbols.shape)

    def surprise(self, x: Tensor, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Nats [N, T] of each sample of sound x [N, T, 1] in float64, 0 where it is padding; and where it is not."""
        classes = self._checked(given, len(x))
        valid = sounding(x[..., 0])
        rows = max(1, AT_ONCE // x.shape[1])
        nats = []
        for at in range(0, len(x), rows):
            symbols = self.symbols(x[at : at + rows])
            if self.classes and classes is None:
                nats.append(mixed(self._by_class(symbols)))
            else:
                nats.append(self.nats(symbols, None if classes is None else classes[at : at + rows]).double())
        return torch.cat(nats) * valid, valid

    def _by_class(self, symbols: Tensor) -> Tensor:
        """Table of ln p(class) + ln p(codes up to t | class), [classes, N, T]."""
        each = [self.nats(symbols, symbols.new_full((len(symbols),), k)) for k in range(self.classes)]
        return mixture(torch.stack(each), log_prior(self.counts))

    def log_prob(self, x: Tensor, *, given: Tensor | None = None, draws: int = 1) -> Likelihood:
        nats, _ = self.surprise(x, given)
        return Likelihood(-nats.sum(1).float(), kind="exact")

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        nats, valid = self.surprise(x, given)
        return Anomaly((nats.sum(1) / valid.sum(1)).float(), (nats / log(2)).clamp(min=0).float())

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws [n, T, 1]; `given` [n] are classes, drawn as frequent as in training where they are not given.

        Raises:
            OptionError: a class is unknown or was never seen in training, or the model knows no classes.
        """
        classes = self._checked(given, n)
        if self.classes and classes is None:
            classes = self._draw_classes(log_prior(self.counts).expand(n, -1), generator)
        symbols = self.generate(n, classes, temperature=temperature, generator=generator)
        return self._waves(symbols)

    def complete(
        self, x: Tensor, observed: Tensor, *, given: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        classes, observed = self._checked(given, len(x)), observed.bool()
        symbols = self.symbols(x)
        if self.classes and classes is None:
            # What is observed from the start on tells the class.
            leading = observed.long().cumprod(1).sum(1)  # [N]
            with torch.no_grad():
                so_far = functional.pad(self._by_class(symbols), (1, 0)).permute(1, 2, 0)  # [N, T + 1, classes]
            so_far[:, 0] = log_prior(self.counts)
            classes = self._draw_classes(so_far[torch.arange(len(x), device=x.device), leading], generator)
        made = self.generate(len(x), classes, known=symbols, observed=observed, generator=generator)
        return torch.where(observed[..., None], x, self._waves(made).to(x))

    def generate(
        self,
        n: int,
        classes: Tensor | None = None,
        *,
        known: Tensor | None = None,
        observed: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        step: Step = Cached,
    ) -> Tensor:
        """Codes [n, T], drawn one after the other; where `observed` [n, T] they are `known` [n, T].

        Raises:
            OptionError: the temperature is not positive.
        """
        if temperature <= 0:
            msg = f"temperature={temperature} is out of range; it must be more than 0."
            raise OptionError(msg)
        length, device = self.spec.shape[0], self.stack.newest.weight.device
        uniform = torch.rand(length, n, generator=generator, device=generator.device if generator else device)
        uniform = uniform.to(device)

        def choose(t: int, logits: Tensor) -> Tensor:
            drawn = draw(logits, uniform[t], temperature)
            return drawn if observed is None or known is None else torch.where(observed[:, t], known[:, t], drawn)

        with torch.inference_mode(), one_thread():
            made = generate(step(self.stack, n, classes), length, choose)
        return made.clone()

    def _waves(self, symbols: Tensor) -> Tensor:
        return mu_law_decode(symbols, self.stack.levels)[..., None]  # [N, T, 1]

    def _draw_classes(self, log_weights: Tensor, generator: torch.Generator | None) -> Tensor:
        """Classes [N] with probabilities in proportion to exp(log_weights [N, classes])."""
        n, device = len(log_weights), log_weights.device
        uniform = torch.rand(n, generator=generator, device=generator.device if generator else device).to(device)
        return draw(log_weights, uniform, 1.0)

    def _checked(self, given: Tensor | None, n: int) -> Tensor | None:
        """Classes [n] that the model knows, or None."""
        return checked_classes(given, n, self.counts, self.spec.classes, "wavenet")


def wavenet(
    spec: DataSpec,
    *,
    cycles: int = 2,
    dilations: int = 9,
    residual: int = 64,
    skip: int = 128,
    levels: int = 256,
    conditional: bool = False,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds a WaveNet of sound; it sees cycles (2^dilations - 1) + 2 samples into the past.

    Args:
        spec: of the data, sound of one channel.
        cycles: how often the dilations are gone through.
        dilations: layers of a cycle; the dilations are 1, 2, 4, ...
        residual: channels between the layers, and of filter and gate.
        skip: channels of the sum over the layers.
        levels: codes that mu-law companding gives.
        conditional: whether to condition on the class of a sample.
        learning_rate: of Adam, at its highest.

    Raises:
        ShapeError: the data have several channels.
        OptionError: an option is out of range, or a class is wanted of data without classes.
    """
    if len(spec.shape) != 2 or spec.shape[1] != 1:
        msg = f"wavenet takes sound of one channel, samples of shape (T, 1), not {spec.shape}; mix the channels down."
        raise ShapeError(msg)
    sizes = {"cycles": cycles, "dilations": dilations, "residual": residual, "skip": skip, "levels": levels}
    for name, value in {**sizes, "learning_rate": learning_rate}.items():
        if not value > 0 or (name == "levels" and value < 2):
            msg = f"{name}={value} is out of range; it must be {'2 or more' if name == 'levels' else 'more than 0'}."
            raise OptionError(msg)
    classes = classes_of(spec, conditional=conditional)
    stack = CausalStack([2**at for at in range(dilations)] * cycles, residual, skip, levels, classes)
    return WaveNet(spec, stack, classes=classes, learning_rate=learning_rate)
