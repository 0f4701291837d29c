"""Progressive GAN: both networks grow from 4 x 4 pixels, each doubling faded in.

Karras, Aila, Laine and Lehtinen 2017, Progressive Growing of GANs for Improved Quality, Stability, and Variation,
https://arxiv.org/abs/1710.10196

    generator   (1 - alpha) double(image of the smaller network) + alpha image of the larger one            (figure 2)
    critic      (1 - alpha) features of the halved image + alpha features of the larger network
    losses      WGAN-GP, one move each, and for the critic  .001 E f(x)^2                                   (appendix A)

alpha rises from 0 to 1 over the stage in which a size fades in; real images are faded likewise, with their own halves.
Weights are equalised at run time, the generator normalises each pixel, and the critic sees the deviation of groups of
4 samples, which mixes the samples of a batch in training (so its penalty is of the sum over the batch, as in the
authors' code). The latent is normalised too: only its direction counts, and `temperature` shortens it behind that.

Each stage goes on with the weights, the moments of Adam and the moving average of the one before, and the verbs use the
average. They answer at the size of the data always: before a run is over, by images of the size that it has reached,
each pixel repeated.

Departures from the paper: at most 128 channels a map, and a latent of 100; the moving average counts in the critic too,
once training is over; Adam's moments are kept when layers are added, where the authors' code begins anew; images whose
sides are not 2^k are grown from 4 to 7 pixels, and resampled where that does not lead to their size; no repeats of a
batch, and no classes (their AC-GAN).
"""
# ruff: noqa: D102, ARG002 -- the verbs are documented in the contract

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Decodes, Losses, Model, Samples, Stage
from urbild.models.adversarial.growing import GROWN, Phase, Schedule, overall, pyramid, widths
from urbild.nets import play
from urbild.nets.equalised import doubled, faded, halved, pixel_norm
from urbild.nets.games import GradientPenalty, Habits, Objective, RealPenalty, Rules
from urbild.nets.grown import Critic, Generator
from urbild.nets.layers import Size, image_size
from urbild.nets.moves import STEADY, Adam, Optimiser, Rhythm, check_share
from urbild.nets.priors import NORMAL, Prior
from urbild.nets.stock import check_sizes
from urbild.ops import adversarial
from urbild.ops.resampling import resize

PENALTY = GradientPenalty()
QUICK_ADAM = Adam(generator=1e-3, critic=1e-3, momentum=0.0, memory=0.99)
AVERAGED = Habits(average=0.999)


class Drifting(Objective):
    """The Wasserstein losses with drift f(x)^2, which keeps the critic's scale in sight of 0."""

    def __init__(self, drift: float) -> None:
        self.drift = drift

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return adversarial.wasserstein_critic(real, fake) + self.drift * real.square()

    def generator(self, fake: Tensor) -> Tensor:
        return adversarial.wasserstein_generator(fake)


class Reached(nn.Module):
    """How far the networks have grown.

    Attributes:
        level: number of the size, less what its layers lack of being faded in.
    """

    level: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(()))


class ProgressiveGan(Model, Samples, Decodes):
    """A generator and a critic that grow.

    Args:
        spec: of the images.
        sizes: through which they grow.
        phases: the stages.
        width: most channels of a map.
        prior: of the latent, before it is normalised.
        rules: of the game.
    """

    def __init__(
        self, spec: DataSpec, sizes: Sequence[Size], phases: Sequence[Phase], *, width: int, prior: Prior, rules: Rules
    ) -> None:
        super().__init__()
        self.spec, self.sizes, self.phases, self.prior, self.rules = spec, sizes, phases, prior, rules
        self.latent, maps = prior.entries(spec), widths(sizes, width)
        self.generator = Generator(self.latent, spec.channels, sizes, maps)
        self.critic = Critic(rules.habits.packing * spec.channels, sizes, maps)
        self.reached = Reached()

    def stages(self) -> Sequence[Stage]:
        before = [None, *(phase.name for phase in self.phases)]
        return [self._stage(phase, last) for phase, last in zip(self.phases, before, strict=False)]

    def _stage(self, phase: Phase, before: str | None) -> Stage:
        turns = play.turns(
            self.rules,
            critic=self.critic.parts(phase.level, fades=phase.fades),
            generator=(*self.generator.parts(phase.level, fades=phase.fades), self.reached),
            critic_loss=partial(self.critic_loss, phase=phase),
            generator_loss=partial(self.generator_loss, phase=phase),
        )
        rate = partial(self._rate, phase)
        last = [None if before is None else f"{before}/{turn.name}" for turn in turns]
        return replace(
            play.stage(
                phase.name,
                self.rules,
                [replace(turn, rate=rate, continues=name) for turn, name in zip(turns, last, strict=True)],
            ),
            share=phase.share,
            batch=phase.batch,
        )

    def _rate(self, phase: Phase, progress: float) -> float:
        return self.rules.optimiser.rate(overall(self.phases, phase, progress))

    def _made(self, phase: Phase, batch: Batch) -> Tensor:
        """Images [N, C, H, W] of new latents at the size of a stage."""
        z = self.prior.draw(len(batch), self.latent, device=batch.x.device)
        made: Tensor = self.generator(pixel_norm(z), phase.level, alpha(phase, batch))
        return made

    def real(self, phase: Phase, batch: Batch) -> Tensor:
        """The batch's images at the size of a stage in [-1, 1], faded as made ones are: [N, C, H, W]."""
        x = resize(play.worked(self.spec, batch.x), self.sizes[-1])
        x = halved(x, len(self.sizes) - 1 - phase.level)
        share = alpha(phase, batch)
        return x if share is None else faded(doubled(halved(x)), x, share)

    def _judge(self, phase: Phase, batch: Batch) -> Callable[[Tensor], Tensor]:
        return partial(self.critic, level=phase.level, alpha=alpha(phase, batch))

    def _in_run(self, phase: Phase, batch: Batch) -> Batch:
        return batch.at(batch.step, overall(self.phases, phase, batch.progress))

    def critic_loss(self, batch: Batch, *, phase: Phase) -> Losses:
        """See `nets.play.critic_losses`; noise falls over all stages."""
        with torch.no_grad():
            made = self._made(phase, batch)
        judge, real = self._judge(phase, batch), self.real(phase, batch)
        return play.critic_losses(self.rules, judge, real, made, self._in_run(phase, batch))

    def generator_loss(self, batch: Batch, *, phase: Phase) -> Losses:
        """Of images at the size of the stage, which has been reached then."""
        share = alpha(phase, batch)
        self.reached.level.fill_(phase.level if share is None else phase.level - 1 + share)
        made, judge = self._made(phase, batch), self._judge(phase, batch)
        return play.generator_losses(self.rules, judge, made, self._in_run(phase, batch))

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        z = self.prior.draw(n, self.latent, device=next(self.parameters()).device, generator=generator)
        return self._images(temperature * pixel_norm(z))

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        """Images [N, C, H, W] of latents [N, Z], of which the direction counts."""
        return self._images(pixel_norm(z))

    def _images(self, z: Tensor) -> Tensor:
        """Images of normalised latents, at the size that has been reached, brought to that of the data."""
        reached = float(self.reached.level)
        level = ceil(reached)
        made = play.restored(self.spec, self.generator(z, level, None if level == reached else reached - level + 1))
        for _ in self.sizes[level + 1 :]:
            made = doubled(made)
        return resize(made, image_size(self.spec)).clamp(0, 1)


def alpha(phase: Phase, batch: Batch) -> float | None:
    """The share of a stage's own layers: its progress while they fade in, and None when they have."""
    return batch.progress if phase.fades else None


def progressive_gan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    width: int = 128,
    schedule: Schedule = GROWN,
    constraint: GradientPenalty | RealPenalty = PENALTY,
    drift: float = 0.001,
    optimiser: Optimiser = QUICK_ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = AVERAGED,
) -> Model:
    """Builds a progressive GAN.

    Args:
        spec: of the data: images.
        prior: of the latent, whose direction counts.
        width: most channels of a map.
        schedule: the stages: grown size by size, or trained at the last size directly.
        constraint: the penalty of the critic's gradient.
        drift: weight of the square of the critic's logits of real images.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's, counted in each stage anew.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range.
        ShapeError: the images are too small to be grown.
    """
    rules = Rules(objective=Drifting(drift), constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    rules.check()
    schedule.check()
    check_sizes(width=width)
    check_share(drift=drift)
    sizes = pyramid(image_size(spec))
    return ProgressiveGan(spec, sizes, schedule.phases(sizes), width=width, prior=prior, rules=rules)
