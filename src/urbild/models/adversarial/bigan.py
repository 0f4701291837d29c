"""Bidirectional GAN: an encoder that learns to invert the generator, without a loss of reconstruction.

Donahue, Krahenbuhl and Darrell 2016, Adversarial Feature Learning, https://arxiv.org/abs/1605.09782; the same game with
an encoder that draws is ALI, Dumoulin et al. 2016, Adversarially Learned Inference, https://arxiv.org/abs/1606.00704

    critic                  minimise  -E ln D(x, E(x)) - E ln(1 - D(G(z), z))                        (equation 3)
    encoder and generator   minimise  -E ln(1 - D(x, E(x))) - E ln D(G(z), z)        labels swapped (section 3.4)

At the best critic the value is 2 JSD - 2 ln 2 of the two laws of pairs (proposition 2); where it is least, encoder and
generator invert each other (theorem 2). `encoder=Noisy()` is ALI's: codes are drawn from N(mean, variance) of a sample,
in the game alone; the verbs take the mean.

The critic of dense networks takes the code beside the sample; that of convolutions after the sample's features, as in
both papers. Reconstructions mean the same as the sample, and are not near it pixel by pixel.

Departures: the networks are those of `gan` and `dcgan`, the encoder's as the critic's; a latent of 100 for images,
where the paper has 50 on MNIST. Its networks there are `generator=Dense(width=1024, normalisation="batch")` and
`critic=Dense(width=1024, activation="leaky")`. ALI's networks and its dropout are not made.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Decodes, Encodes, Losses, Model, Reconstructs, Samples, Source, Stage
from urbild.nets import play
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import FREE, HABITS, Constraint, Habits, Rules
from urbild.nets.moves import ADAM, STEADY, Optimiser, Rhythm
from urbild.nets.pairs import CERTAIN, Encoder, PairCritic, inverse, pair, pair_critic
from urbild.nets.priors import UNIFORM, Prior
from urbild.nets.statistics import anew, batch_norms
from urbild.ops.precision import full

RESTATED, RESTATED_BATCH = 30, 128  # batches behind the statistics of averaged weights


class Bigan(Model, Samples, Encodes, Decodes, Reconstructs):
    """A generator, an encoder, and a critic of pairs.

    Args:
        spec: of the data.
        generator: from latents [N, Z] to samples [N, *shape]; images in [-1, 1].
        encoder: from samples in the same range to what `law` reads.
        critic: of pairs.
        prior: of the latent.
        law: of the codes of a sample.
        rules: of the game.
    """

    def __init__(
        self,
        spec: DataSpec,
        generator: nn.Module,
        encoder: nn.Module,
        critic: PairCritic,
        *,
        prior: Prior,
        law: Encoder,
        rules: Rules,
    ) -> None:
        super().__init__()
        self.spec, self.prior, self.law, self.rules = spec, prior, law, rules
        self.latent = prior.entries(spec)
        self.generator, self.encoder, self.critic = generator, encoder, critic

    def stages(self) -> Sequence[Stage]:
        players = play.turns(
            self.rules,
            critic=(self.critic,),
            generator=(self.generator, self.encoder),
            critic_loss=self.critic_loss,
            generator_loss=self.generator_loss,
        )
        game = play.stage("game", self.rules, players)
        if self.rules.habits.average is not None and batch_norms(self.generator, self.encoder):
            return (game, Stage(name="statistics", solve=self.restate))
        return (game,)

    def _real(self, x: Tensor) -> Tensor:
        """Pairs (x, E(x)) of samples in the range of the data: [N, D + Z]."""
        x = play.worked(self.spec, x)
        return pair(x, self.law.draw(self.encoder(x)))

    def _made(self, n: int) -> Tensor:
        """Pairs (G(z), z) of new latents: [n, D + Z]."""
        z = self.prior.draw(n, self.latent, device=next(self.parameters()).device)
        return pair(self.generator(z), z)

    def critic_loss(self, batch: Batch) -> Losses:
        """See `nets.play.critic_losses`; of pairs."""
        with torch.no_grad():
            real, made = self._real(batch.x), self._made(len(batch))
        return play.critic_losses(self.rules, self.critic, real, made, batch)

    def generator_loss(self, batch: Batch) -> Losses:
        """Of encoder and generator: the critic's with swapped labels, whose gradients do not die."""
        habits, progress = self.rules.habits, batch.progress
        on_real = full(self.critic(play.shown(habits, self._real(batch.x), progress)))
        on_fake = full(self.critic(play.shown(habits, self._made(len(batch)), progress)))
        return {"loss": self.rules.objective.critic(on_fake, on_real).mean()}

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        device = next(self.parameters()).device
        return self.decode(self.prior.draw(n, self.latent, device=device, generator=generator, temperature=temperature))

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.law.mean(self.encoder(play.worked(self.spec, x)))  # [N, Z]

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return play.restored(self.spec, self.generator(z))  # [N, *shape]

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x))

    def restate(self, source: Source) -> None:
        """Takes the batch statistics of generator and encoder anew, as means over batches of latents and of samples."""
        device = next(self.parameters()).device
        with anew(self.generator, self.encoder):
            for _ in range(RESTATED):
                rows = torch.randint(len(source), (RESTATED_BATCH,)).tolist()
                self._made(RESTATED_BATCH)
                self._real(source.fetch(rows).x.to(device))


def bigan(
    spec: DataSpec,
    *,
    prior: Prior = UNIFORM,
    constraint: Constraint = FREE,
    generator: Architecture | None = None,
    encoder: Encoder = CERTAIN,
    critic: Architecture | None = None,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a BiGAN.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        constraint: what holds the critic's slope; a penalty of its gradient needs a critic without batch normalisation.
        generator: its network; by default Pyramid for images and Dense for vectors.
        encoder: what it says of a code, and its network.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors.
        optimiser: how the players learn; the encoder learns as the generator does.
        rhythm: moves of the critic for each of the others'.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    image = spec.kind == "image"
    rules = Rules(constraint=constraint, optimiser=optimiser, rhythm=rhythm, habits=habits)
    rules.check()
    made, judge = generator or (PYRAMID if image else DENSE), critic or (PYRAMID if image else LEAKY)
    latent = prior.entries(spec)
    player = made.generator(spec, latent)
    inverter = inverse(encoder.network or judge, spec, encoder.outputs(latent))
    opponent = pair_critic(judge, spec, latent, packing=habits.packing)
    play.check_constraint(constraint, opponent)
    return Bigan(spec, player, inverter, opponent, prior=prior, law=encoder, rules=rules)
