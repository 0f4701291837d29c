"""Semi-supervised GAN: a classifier of few labels, whose critic also tells real from made samples.

Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen 2016, Improved Techniques for Training GANs, section 5,
https://arxiv.org/abs/1606.03498

    K logits l(x),  Z(x) = sum_k exp l_k(x),  p(y|x) = exp l_y(x) / Z(x),  D(x) = Z(x) / (Z(x) + 1)
    critic      minimise  -E ln p(y|x)  -  (E ln D(x) + E ln(1 - D(G(z)))) / 2     the first over labelled samples
    generator   minimise  |E f(x) - E f(G(z))|^2                                    f: the critic's last features

D is that of K + 1 classes, one for what was made, whose logit is 0. Label -1 is none. As the labelled samples are few,
each batch has as many of them drawn for itself, beside the samples that it has of all the data; which ones follows from
the batch alone, so that a run that was interrupted draws them again.

The dense critic for images is that of the authors: 1000, 500 and three times 250 units, with noise on all that enters
a layer, and weights whose length is set by some samples, so that each unit has mean 0 and deviation 1; only that of
the last layer is learnt. `critic=Pyramid()` convolves instead; a last stage takes the batch statistics of such a critic
anew, of real samples, since it classifies them.

Departures: the generator has rectifiers, not softplus; the learning rate falls over the second half, where theirs falls
over the last third; classes are told by the last weights unless `average` asks for the authors' average (.9999).
Virtual batch normalisation is left out.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import (
    UNLABELLED,
    Batch,
    Classifies,
    DataSpec,
    Decodes,
    Losses,
    Model,
    Samples,
    Source,
    Stage,
)
from urbild.errors import DataError
from urbild.models.adversarial.game import Game
from urbild.nets import play
from urbild.nets.adversaries import Architecture, Critic, Dense
from urbild.nets.games import Habits, Rules
from urbild.nets.labels import check_named
from urbild.nets.minibatch import feature_gap, headed
from urbild.nets.moves import Adam, Optimiser
from urbild.nets.noisy import Noisy, Normed, standardise
from urbild.nets.priors import UNIFORM, Prior
from urbild.nets.spectral import spectral
from urbild.nets.statistics import RESTATED, RESTATED_BATCH, anew, batch_norms
from urbild.nets.stock import check_sizes
from urbild.ops.precision import full

FIRST = 500  # samples that set the lengths of a noisy critic
LABELLED = "labelled"  # the second source of a batch
LABELS = "give them by folder names, a label column (--label-column) or y in an .npz; -1 is no label."
NORMALISED, NOISY = Dense(normalisation="batch"), Noisy()
FAST = Adam(generator=3e-3, critic=3e-3, linear=True)


class Partition(nn.Module):
    """A verdict by classes: the logit of "real" is the logarithm of the partition sum of K logits.

    Args:
        last: from features [N, F] to logits [N, K].
    """

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def logits(self, features: Tensor) -> Tensor:
        """Of the classes: [N, K] of features [N, ...]."""
        return full(self.last(features.flatten(1)))

    def forward(self, features: Tensor) -> Tensor:
        """The logarithm of Z: [N, 1]."""
        return self.logits(features).logsumexp(1, keepdim=True)


class SemiSupervisedGan(Model, Samples, Decodes, Classifies):
    """A game whose critic tells classes apart.

    Args:
        game: between a generator and a critic whose verdict is a `Partition`.
        matching: whether the generator matches features, or is to be taken for real.
        weight: of telling real from made samples, beside the cross-entropy of classes.
    """

    def __init__(self, game: Game, *, matching: bool, weight: float) -> None:
        super().__init__()
        self.game, self.spec = game, game.spec
        self.matching, self.weight = matching, weight

    def stages(self) -> Sequence[Stage]:
        first, *rest = self.game.stages()
        losses = {"critic": self.critic_loss, "generator": self.generator_loss}
        turns = [replace(turn, loss=losses[turn.name]) for turn in first.turns]
        solve = self.standardise if any(isinstance(module, Normed) for module in self.game.critic.modules()) else None
        told = [Stage(name="critic statistics", solve=self.restate)] if batch_norms(self.game.critic) else []
        return (replace(first, turns=turns, source=with_labelled, solve=solve), *rest, *told)

    def restate(self, source: Source) -> None:
        """Takes the critic's batch statistics anew, of real samples alone: in the game made ones are among them."""
        device = next(self.parameters()).device
        with anew(self.game.critic):
            for _ in range(RESTATED):
                self.logits(source.fetch(torch.randint(len(source), (RESTATED_BATCH,)).tolist()).x.to(device))

    def standardise(self, source: Source) -> None:
        """Sets the lengths of a noisy critic by samples taken evenly from the data."""
        critic = self.game.critic
        assert isinstance(critic.verdict, Partition)
        rows = np.linspace(0, len(source) - 1, min(FIRST, len(source))).astype(np.int64)
        x = source.fetch(rows.tolist()).x.to(next(self.parameters()).device)
        layers = [module for part in (critic.body, critic.verdict.last) for module in part.children()]
        standardise(layers, play.worked(self.spec, x).flatten(1))

    def logits(self, x: Tensor) -> Tensor:
        """Of the classes: [N, K] of x [N, *sample]."""
        verdict = self.game.critic.verdict
        assert isinstance(verdict, Partition)
        return verdict.logits(self.game.critic.features(play.worked(self.spec, x)))

    def critic_loss(self, batch: Batch) -> Losses:
        """The cross-entropy of a labelled sample and that of telling real from made ones, in nats.

        Logged: "cross-entropy" and "accuracy" of labelled samples, and see `nets.play.critic_losses`.
        """
        told = batch.others.get(LABELLED, batch)
        if told.y is None:
            msg = f"a semi-supervised GAN learns from labels, and this source gives none with its samples; {LABELS}"
            raise DataError(msg)
        losses = self.game.critic_loss(batch)
        logits, known = self.logits(told.x), told.y != UNLABELLED
        count = known.sum().clamp(min=1)
        nats = functional.cross_entropy(logits, told.y.clamp(min=0), reduction="none")
        entropy = (nats * known).sum() / count
        right = ((logits.argmax(1) == told.y) & known).sum() / count
        loss = entropy + self.weight / 2 * losses["loss"]
        return {**losses, "loss": loss, "cross-entropy": entropy.detach(), "accuracy": right}

    def generator_loss(self, batch: Batch) -> Losses:
        """Of the critic's features, or of its verdict; means over the batch."""
        if not self.matching:
            return self.game.generator_loss(batch)
        game = self.game
        fake = game.generator(game.prior.draw(len(batch), game.latent, device=batch.x.device))
        with torch.no_grad():
            goal = game.critic.features(play.worked(self.spec, batch.x))
        return {"loss": feature_gap(goal, game.critic.features(fake))}

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.game.sample(n, temperature=temperature, generator=generator)

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.game.decode(z)

    def classify(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return functional.log_softmax(self.logits(x), dim=1)  # [N, K]


class Beside(Source):
    """A source whose batches have as many labelled samples beside them, under `others`.

    Args:
        source: of all samples.
        rows: of those that are labelled.
    """

    def __init__(self, source: Source, rows: np.ndarray) -> None:
        self.spec, self.labels = source.spec, source.labels
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._source)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        return _halved(self._source.fetch(self._joined(epoch, rows), epoch=epoch))

    def stream(self, plan: Iterable[tuple[int, Sequence[int]]]) -> Iterator[Batch]:
        joined = ((epoch, self._joined(epoch, rows)) for epoch, rows in plan)
        return (_halved(batch) for batch in self._source.stream(joined))

    def _joined(self, epoch: int, rows: Sequence[int]) -> list[int]:
        """The rows, and as many labelled ones: all of them as often as it takes, and some drawn for this batch."""
        own = np.asarray(rows, dtype=np.int64).tolist()
        rounds, rest = divmod(len(own), len(self._rows))
        drawn = np.random.default_rng([epoch, *own]).choice(self._rows, rest, replace=False)
        return [*own, *np.tile(self._rows, rounds).tolist(), *drawn.tolist()]


def _halved(batch: Batch) -> Batch:
    count = len(batch) // 2
    told = batch.map(lambda tensor: tensor[count:])
    return replace(batch.map(lambda tensor: tensor[:count]), others={LABELLED: told})


def with_labelled(source: Source) -> Source:
    """The source, with labelled samples beside its batches.

    Raises:
        DataError: there are none, they are all of one class, or a class has no name.
    """
    rows = np.flatnonzero(source.labels != UNLABELLED) if source.labels is not None else np.empty(0, np.int64)
    if source.labels is None or not len(rows):
        msg = f"a semi-supervised GAN needs some labels, and none of the {len(source)} training samples has one; "
        raise DataError(msg + LABELS)
    present, classes = np.unique(source.labels[rows]), source.spec.classes
    check_named(present, classes)
    if len(present) < 2:
        msg = f"all {len(rows)} labelled samples are of the class {classes[present[0]]!r}; telling classes apart needs "
        msg += "samples of two."
        raise DataError(msg)
    return Beside(source, rows)


def _judge(spec: DataSpec, critic: Noisy | Architecture) -> Critic:
    classes = len(spec.classes)
    if isinstance(critic, Noisy):
        judge, last = critic.critic(spec, classes)
        return Critic(judge.body, Partition(last))

    def verdict(features: int) -> nn.Module:
        told = Partition(nn.Linear(features, classes))
        return spectral(told) if critic.normalisation == "spectral" else told

    return headed(critic.critic(spec), spec, verdict)


def semi_supervised_gan(
    spec: DataSpec,
    *,
    prior: Prior = UNIFORM,
    matching: bool = True,
    weight: float = 1.0,
    generator: Architecture = NORMALISED,
    critic: Noisy | Architecture = NOISY,
    optimiser: Optimiser = FAST,
    average: float | None = None,
) -> Model:
    """Builds a semi-supervised GAN.

    Args:
        spec: of the data: vectors or images, some of which are labelled; `spec.classes` are what is told apart.
        prior: of the latent.
        matching: whether the generator matches the critic's features, or wants to be taken for real.
        weight: of telling real from made samples, beside the cross-entropy of classes.
        generator: its network.
        critic: its network.
        optimiser: how the players learn.
        average: decay of the moving average of the weights that classes and samples come from.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
        DataError: the data name fewer than two classes.
    """
    check_sizes(weight=weight)
    if len(spec.classes) < 2:
        found = f"only one class, {spec.classes[0]!r}" if spec.classes else "no classes"
        msg = f"a semi-supervised GAN needs two classes or more, and the training data name {found}; {LABELS}"
        raise DataError(msg)
    rules = Rules(optimiser=optimiser, habits=Habits(average=average))
    rules.check()
    network = generator.generator(spec, prior.entries(spec))
    game = Game(spec, network, _judge(spec, critic), prior=prior, rules=rules)
    return SemiSupervisedGan(game, matching=matching, weight=weight)
