"""The game of a generator against a critic, whose values GAN, DCGAN, WGAN and their kin are.

    critic      learns to tell x from G(z), z from the prior
    generator   learns to make G(z) that the critic takes for x

What either minimises, and how, is said by `nets.games.Rules`. A conditional game appends the class, one-hot, to the
latent and to what the critic sees (as constant maps, of images).

A moving average covers weights alone: where the generator has batch statistics, a last stage takes them anew under the
averaged weights, as the mean over batches of latents.
"""
# ruff: noqa: D102 -- the verbs are documented in the contract

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import Batch, Conditional, DataSpec, Decodes, Losses, Model, Samples, Source, Stage, in_turn
from urbild.nets import play
from urbild.nets.adversaries import Architecture, Critic
from urbild.nets.games import Rules
from urbild.nets.labels import check_seen, labelled, seen_in
from urbild.nets.priors import Prior
from urbild.nets.statistics import RESTATED, RESTATED_BATCH, anew, batch_norms
from urbild.ops.penalties import Critic as Judge


class Game(Model, Samples, Decodes, Conditional):
    """A generator and a critic.

    Args:
        spec: of the data.
        generator: from latents, and one-hot classes after them, to samples [N, *shape]; images in [-1, 1].
        critic: from samples in the same range, and one-hot classes, to logits.
        prior: of the latent.
        rules: of the game.
        classes: number of classes that it is conditioned on, or 0.
    """

    def __init__(
        self,
        spec: DataSpec,
        generator: nn.Module,
        critic: Critic,
        *,
        prior: Prior,
        rules: Rules,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.spec, self.prior, self.rules, self.classes = spec, prior, rules, classes
        self.latent = prior.entries(spec)
        self.generator, self.critic = generator, critic
        self.labels = spec.classes if classes else ()
        if classes:
            self.seen: Tensor
            self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))  # in training

    def stages(self) -> Sequence[Stage]:
        players = play.turns(
            self.rules,
            critic=(self.critic,),
            generator=(self.generator,),
            critic_loss=self.critic_loss,
            generator_loss=self.generator_loss,
        )
        game = play.stage("game", self.rules, players, labelled if self.classes else None)
        if self.classes:
            game = replace(game, solve=self._look)
        if self.rules.habits.average is not None and batch_norms(self.generator):
            return (game, Stage(name="statistics", solve=self.restate))
        return (game,)

    def _look(self, source: Source) -> None:
        self.seen.copy_(seen_in(source, self.classes))

    def _made(self, labels: Tensor | None, n: int) -> Tensor:
        """Samples [n, *shape] of new latents, as players see them."""
        z = self.prior.draw(n, self.latent, device=next(self.parameters()).device)
        made: Tensor = self.generator(self._joined(z, labels))
        return made

    def _judge(self, labels: Tensor | None) -> Judge:
        """The critic of packs whose samples have these one-hot classes [N, K]."""
        if labels is None:
            return self.critic
        extra = play.packed(labels, self.rules.habits.packing)
        return lambda x: self.critic(x, extra)

    def critic_loss(self, batch: Batch) -> Losses:
        """See `nets.play.critic_losses`."""
        labels = self._told(batch)
        with torch.no_grad():
            made = self._made(labels, len(batch))
        return play.critic_losses(self.rules, self._judge(labels), play.worked(self.spec, batch.x), made, batch)

    def generator_loss(self, batch: Batch) -> Losses:
        """Of samples of the classes that the batch has."""
        labels = self._told(batch)
        return play.generator_losses(self.rules, self._judge(labels), self._made(labels, len(batch)), batch)

    def _told(self, batch: Batch) -> Tensor | None:
        given = batch.given if batch.given is not None else batch.y
        return self._one_hot(given, len(batch), batch.x.device)

    def _one_hot(self, given: Tensor | None, n: int, device: torch.device) -> Tensor | None:
        """One-hot classes [n, K] of labels [n]; the first known class where none are given; None without classes.

        Raises:
            OptionError: a class is given that the model does not have, or that had no sample in training.
        """
        if not self.classes:
            return None
        given = self.seen.long().argmax().expand(n) if given is None else given.to(device)
        check_seen(given, self.seen, self.labels)
        return functional.one_hot(given, self.classes)

    @staticmethod
    def _joined(z: Tensor, labels: Tensor | None) -> Tensor:
        return z if labels is None else torch.cat([z, labels.to(z)], dim=1)

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        z = self.prior.draw(n, self.latent, device=device, generator=generator, temperature=temperature)
        return self.decode(z, given=in_turn(self, n) if given is None else given)

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Samples [N, *shape] of latents [N, Z]; of the first known class where a conditional model is given none."""
        labels = self._one_hot(given, len(z), z.device)
        return play.restored(self.spec, self.generator(self._joined(z, labels)))

    def restate(self, source: Source) -> None:
        """Takes the generator's batch statistics anew, as means over batches of latents."""
        known, device = source.labels, next(self.parameters()).device
        with anew(self.generator):
            for _ in range(RESTATED):
                rows = torch.randint(len(source), (RESTATED_BATCH,))
                given = None if not self.classes or known is None else torch.from_numpy(known)[rows]
                self._made(self._one_hot(given, RESTATED_BATCH, device), RESTATED_BATCH)


def game(
    spec: DataSpec,
    prior: Prior,
    generator: Architecture,
    critic: Architecture,
    rules: Rules,
    *,
    classes: int = 0,
    projected: bool = False,
) -> Game:
    """A game of networks made in turn: the generator's, and the critic's, which classes enter joined or `projected`.

    Raises:
        OptionError: such data cannot have such networks, or the rules such a critic.
        ShapeError: the data are neither vectors nor images.
    """
    rules.check()
    made = generator.generator(spec, prior.entries(spec) + classes)
    judge = critic.critic(spec, extra=classes, packing=rules.habits.packing, projected=projected)
    play.check_constraint(rules.constraint, judge)
    return Game(spec, made, judge, prior=prior, rules=rules, classes=classes)
