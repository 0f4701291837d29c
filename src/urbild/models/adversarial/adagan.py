"""AdaGAN: a mixture of generators, each trained on what those before it miss.

Tolstikhin, Gelly, Bousquet, Simon-Gabriel and Scholkopf 2017, AdaGAN: Boosting Generative Models,
https://arxiv.org/abs/1701.02386

    mixture      G <- (1 - b_t) G + b_t G_t,   b_t = 1/t                                       (algorithm 1)
    judge        D tells data from the mixture so far;   r(x) = (1 - D(x)) / D(x)
    weights      w_i = max(0, level - (1 - b_t) r(x_i)) / (N b_t), which sum to 1              (equation 13)

Each component is a game of its own on data drawn by these weights: the first on all, the next on what the first does
not make. A component is any system of `components.Component`. `reweighting=Lowest()` takes the worst covered share of
the data instead, the heuristic of the authors' code. Samples come from a component drawn by its share of the mixture.

The budget of steps is shared by all: T components and T - 1 judges, each with a `judging` part of a component's steps.
The weights of the N training samples are a buffer of N numbers.

Departures from the paper: samples are drawn by weight, where the authors weigh the losses, so that any game will do; by
default the components are GANs of dense networks or DCGANs, not unrolled ones; Adam instead of SGD.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Losses, Model, Samples, Source, Stage, Turn, adam
from urbild.errors import OptionError
from urbild.models.adversarial.components import Component, component_for
from urbild.models.adversarial.weighted import Weighted
from urbild.nets import play
from urbild.nets.adversaries import LEAKY, Architecture, Critic, Pyramid
from urbild.nets.stock import check_sizes
from urbild.ops.adversarial import logistic_critic
from urbild.ops.precision import full
from urbild.ops.reweighting import lowest_weights, mixture_shares, star_weights

LARGEST_LOGIT = 30.0  # of a judge: beyond it a ratio is as good as 0, or covers as good as all
PLAIN = Pyramid(normalisation="none")  # batch statistics of the mixture would not be those of the data


class Reweighting(ABC):
    """How samples are weighed for the next component."""

    @abstractmethod
    def weights(self, ratio: Tensor, beta: float) -> Tensor:
        """Weights [N], which sum to 1, from r [N] and the share of the new component.

        Raises:
            OptionError: a field is out of range.
        """


@dataclass(frozen=True, slots=True)
class Star(Reweighting):
    """The best weights, in closed form."""

    def weights(self, ratio: Tensor, beta: float) -> Tensor:
        return star_weights(ratio, beta)


@dataclass(frozen=True, slots=True)
class Lowest(Reweighting):
    """Those samples that are covered worst, all alike.

    Attributes:
        share: of all samples.
    """

    share: float = 0.5

    def weights(self, ratio: Tensor, beta: float) -> Tensor:
        if not 0 < self.share <= 1:
            msg = f"share must be above 0 and at most 1, and is {self.share}."
            raise OptionError(msg)
        return lowest_weights(ratio, self.share)


STAR = Star()


class Adagan(Model, Samples):
    """A mixture of generators.

    Args:
        spec: of the data.
        components: T games, which are `Samples`.
        judges: T - 1 critics, each of the components before its own against the data.
        reweighting: how samples are weighed.
        beta: share of a new component, or None for 1/t.
        judging: steps of a judge for each of a component's.
        learning_rate: of Adam, for the judges.

    Attributes:
        weights: [N] of the training samples, for the component that was trained last; empty before there are any.
    """

    weights: Tensor

    def __init__(
        self,
        spec: DataSpec,
        components: Sequence[Model],
        judges: Sequence[Critic],
        *,
        reweighting: Reweighting,
        beta: float | None = None,
        judging: float = 1 / 3,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.components, self.judges = nn.ModuleList(components), nn.ModuleList(judges)
        self.reweighting, self.beta = reweighting, beta
        self.judging, self.learning_rate = judging, learning_rate
        self.register_buffer("weights", torch.zeros(0))

    def stages(self) -> Sequence[Stage]:
        found: list[Stage] = []
        for number, component in enumerate(self.components):
            assert isinstance(component, Model)
            own = component.stages()
            if number:
                steps = sum(stage.share for stage in own if stage.turns)
                found += [self._judge_stage(number, self.judging * steps), self._weights_stage(number)]
            found += [self._own_stage(stage, number) for stage in own]
        return found

    def _judge_stage(self, number: int, share: float) -> Stage:
        turn = Turn(
            name="judge",
            modules=(self.judges[number - 1],),
            loss=partial(self.judge_loss, number),
            optimiser=adam(self.learning_rate),
        )
        return Stage(name=f"judge {number + 1}", turns=(turn,), share=share)

    def _weights_stage(self, number: int) -> Stage:
        return Stage(name=f"weights {number + 1}", solve=partial(self.reweigh, number))

    def _own_stage(self, stage: Stage, number: int) -> Stage:
        """A component's stage under a name of its own, on data as they are weighed by then."""
        turns = [replace(turn, continues=_numbered(turn.continues, number)) for turn in stage.turns]
        source = self._weighed(stage.source) if number else stage.source
        return replace(stage, name=f"{stage.name} {number + 1}", turns=turns, source=source)

    def _weighed(self, own: Callable[[Source], Source] | None) -> Callable[[Source], Source]:
        def taken(source: Source) -> Source:
            drawn = Weighted(source, self.weights)
            return drawn if own is None else own(drawn)

        return taken

    def judge_loss(self, number: int, batch: Batch) -> Losses:
        """Cross-entropy in nats of the data against the mixture of the first `number` components."""
        judge = self.judges[number - 1]
        with torch.no_grad():
            made = play.worked(self.spec, self.mixed(number, len(batch)))
        real, fake = full(judge(play.worked(self.spec, batch.x))), full(judge(made))
        right = (real > fake).detach().float().mean()  # that it tells all is bad news of the mixture, not of the judge
        return {"loss": logistic_critic(real, fake).mean(), "right": right}

    def reweigh(self, number: int, source: Source) -> None:
        """Sets the weights of all samples, from the judge of the first `number` components."""
        judge, device = self.judges[number - 1], self.weights.device
        found = [full(judge(play.worked(self.spec, batch.x.to(device)))) for batch in source.batches()]
        ratio = torch.cat(found).double().clamp(-LARGEST_LOGIT, LARGEST_LOGIT).neg().exp()
        beta = float(mixture_shares(number + 1, self.beta)[-1])
        self.weights = self.reweighting.weights(ratio, beta).to(self.weights)

    def mixed(
        self, count: int, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Samples [n, *shape] of the mixture of the first `count` components, in the range of the data."""
        device = next(self.parameters()).device
        shares = mixture_shares(count, self.beta).to(generator.device if generator is not None else "cpu")
        chosen = torch.multinomial(shares, n, replacement=True, generator=generator).to(device)
        out = torch.empty(n, *self.spec.shape, device=device)
        for number in range(count):
            component, rows = self.components[number], (chosen == number).nonzero().squeeze(1)
            assert isinstance(component, Samples)
            if len(rows):
                drawn = component.sample(len(rows), temperature=temperature, generator=generator)
                out[rows] = drawn.to(out)
        return out

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.mixed(len(self.components), n, temperature=temperature, generator=generator)


def _numbered(full: str | None, number: int) -> str | None:
    """The name "stage/turn" of a component's turn, as its stages are named in the mixture."""
    if full is None:
        return None
    stage, turn = full.split("/", 1)
    return f"{stage} {number + 1}/{turn}"


def adagan(
    spec: DataSpec,
    *,
    component: Component | None = None,
    components: int = 4,
    reweighting: Reweighting = STAR,
    beta: float | None = None,
    judge: Architecture | None = None,
    judging: float = 1 / 3,
    learning_rate: float = 1e-3,
) -> Model:
    """Builds an AdaGAN.

    Args:
        spec: of the data: vectors or images.
        component: the game that is played each time; by default DCGAN for images and GAN for vectors.
        components: how many are mixed.
        reweighting: how samples are weighed for the next component.
        beta: share of each new component in the mixture; by default 1/t for the t-th, which makes all equal.
        judge: network of what tells data from the mixture so far; by default Pyramid without normalisation for images,
            and Dense with leaky rectifiers for vectors.
        judging: steps of a judge for each of a component's.
        learning_rate: of Adam, for the judges.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    check_sizes(components=components, judging=judging, learning_rate=learning_rate)
    if beta is not None and not 0 < beta < 1:
        msg = f"beta, the share of a new component, must be between 0 and 1, and is {beta}."
        raise OptionError(msg)
    reweighting.weights(torch.ones(1), 1.0)  # so that what is out of range is refused now
    part, network = component_for(spec, component), judge or (PLAIN if spec.kind == "image" else LEAKY)
    games = [part.build(spec) for _ in range(components)]
    judges = [network.critic(spec) for _ in range(components - 1)]
    return Adagan(
        spec,
        games,
        judges,
        reweighting=reweighting,
        beta=beta,
        judging=judging,
        learning_rate=learning_rate,
    )
