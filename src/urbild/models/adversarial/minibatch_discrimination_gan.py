"""GAN with minibatch discrimination, and the techniques that were published with it.

Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen 2016, Improved Techniques for Training GANs,
https://arxiv.org/abs/1606.03498

    minibatch discrimination   M_i = f(x_i) T;  o(x_i)_b = sum_j exp(-|M_ib - M_jb|_1), appended to f(x_i)
                                                                                                    (section 3.2)
    feature matching           generator: minimise |E f(x) - E f(G(z))|^2                           (section 3.1)
    historical averaging       both: add a weight times |w - mean of the earlier w|^2               (section 3.3)

with f the features that the critic's verdict is made of. The critic judges batches of real and of made samples apart;
its verdict depends on the company of a sample, and serves training alone. One-sided label smoothing is
`objective=NonSaturating(smoothing=.1)`, the default here; classes from few labels are those of semi_supervised_gan.

Departures: kernels start with columns of length 1, where the authors' code sets them by the first batch; dense networks
with leaky rectifiers for vectors and a pyramid of convolutions for images. Virtual batch normalisation is left out: it
passes a reference batch through the generator beside every batch, at twice the cost, and `normalisation="group"` has no
dependence on the batch at all.
"""
# ruff: noqa: D102 -- the verbs are documented in the contract

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from urbild.contract import Batch, DataSpec, Decodes, Losses, Model, Samples, Stage
from urbild.errors import OptionError
from urbild.models.adversarial.game import Game
from urbild.nets import play
from urbild.nets.adversaries import DENSE, LEAKY, PYRAMID, Architecture
from urbild.nets.games import HABITS, Habits, NonSaturating, Objective, Rules
from urbild.nets.minibatch import History, MinibatchDiscrimination, feature_gap, headed
from urbild.nets.moves import ADAM, STEADY, Checked, Optimiser, Rhythm
from urbild.nets.priors import NORMAL, Prior
from urbild.nets.spectral import spectral
from urbild.nets.stock import check_sizes

SMOOTHED = NonSaturating(smoothing=0.1)


@dataclass(frozen=True, slots=True)
class Techniques(Checked):
    """Which of them are used.

    Attributes:
        kernels: of minibatch discrimination; 0 for none.
        size: of a kernel.
        matching: whether the generator matches features, and nothing else.
        averaging: weight of historical averaging.
    """

    kernels: int = 100
    size: int = 5
    matching: bool = False
    averaging: float | None = None

    def check(self) -> None:
        """Refuses numbers out of range.

        Raises:
            OptionError: one is.
        """
        if self.kernels < 0:
            msg = f"kernels counts kernels of minibatch discrimination, and is {self.kernels}; give 0 or more."
            raise OptionError(msg)
        check_sizes(size=self.size, averaging=self.averaging)


TECHNIQUES = Techniques()


class MinibatchGan(Model, Samples, Decodes):
    """A game that is played with the techniques.

    Args:
        game: whose critic has minibatch discrimination where it is to have it, and without classes.
        techniques: the others of them.
    """

    def __init__(self, game: Game, techniques: Techniques) -> None:
        super().__init__()
        self.game, self.spec, self.techniques = game, game.spec, techniques
        players = {"critic": game.critic, "generator": game.generator}
        kept = {name: History(network) for name, network in players.items() if techniques.averaging is not None}
        self.histories = nn.ModuleDict(kept)

    def stages(self) -> Sequence[Stage]:
        first, *rest = self.game.stages()
        losses = {"critic": self.critic_loss, "generator": self.generator_loss}
        turns = [replace(turn, loss=losses[turn.name]) for turn in first.turns]
        if self.techniques.averaging is not None:
            for number, turn in enumerate(turns):
                (network,), history = turn.modules, self._history(turn.name)
                turns[number] = replace(turn, modules=(network, history), after=partial(history.take, network))
        return (replace(first, turns=turns), *rest)

    def critic_loss(self, batch: Batch) -> Losses:
        """See `nets.play.critic_losses`; with historical averaging its cost is in the loss."""
        return self._averaged("critic", self.game.critic, self.game.critic_loss(batch))

    def generator_loss(self, batch: Batch) -> Losses:
        """Of features where they are matched, else of the critic's verdict; means over the batch."""
        game, habits = self.game, self.game.rules.habits
        fake = game.generator(game.prior.draw(len(batch), game.latent, device=batch.x.device))
        if not self.techniques.matching:
            losses = play.generator_losses(game.rules, game.critic, fake, batch)
        else:
            with torch.no_grad():
                goal = game.critic.features(play.shown(habits, play.worked(self.spec, batch.x), batch.progress))
            losses = {"loss": feature_gap(goal, game.critic.features(play.shown(habits, fake, batch.progress)))}
        return self._averaged("generator", game.generator, losses)

    def _averaged(self, player: str, network: nn.Module, losses: Mapping[str, Tensor]) -> Losses:
        if self.techniques.averaging is None:
            return losses
        distance = self._history(player).distance(network)
        return {**losses, "loss": losses["loss"] + self.techniques.averaging * distance, "history": distance.detach()}

    def _history(self, player: str) -> History:
        history = self.histories[player]
        assert isinstance(history, History)
        return history

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return self.game.sample(n, given=given, temperature=temperature, generator=generator)

    def decode(self, z: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.game.decode(z, given=given)


def minibatch_discrimination_gan(
    spec: DataSpec,
    *,
    prior: Prior = NORMAL,
    objective: Objective = SMOOTHED,
    techniques: Techniques = TECHNIQUES,
    generator: Architecture | None = None,
    critic: Architecture | None = None,
    optimiser: Optimiser = ADAM,
    rhythm: Rhythm = STEADY,
    habits: Habits = HABITS,
) -> Model:
    """Builds a GAN with minibatch discrimination.

    Args:
        spec: of the data: vectors or images.
        prior: of the latent.
        objective: what the players minimise.
        techniques: which of them are used.
        generator: its network; by default Pyramid for images and Dense for vectors.
        critic: its network; by default Pyramid for images and Dense with leaky rectifiers for vectors.
        optimiser: how the players learn.
        rhythm: moves of the critic for each of the generator's.
        habits: noise, packing, and an average of the weights.

    Raises:
        OptionError: an option is out of range, or does not fit the data.
    """
    rules = Rules(objective=objective, optimiser=optimiser, rhythm=rhythm, habits=habits)
    rules.check()
    techniques.check()
    image = spec.kind == "image"
    made, judge = generator or (PYRAMID if image else DENSE), critic or (PYRAMID if image else LEAKY)
    network, judging = made.generator(spec, prior.entries(spec)), judge.critic(spec, packing=habits.packing)

    def verdict(features: int) -> nn.Module:
        layer = MinibatchDiscrimination(features, techniques.kernels, techniques.size)
        head = nn.Sequential(nn.Flatten(), layer, nn.Linear(features + techniques.kernels, 1))
        return spectral(head) if judge.normalisation == "spectral" else head

    if techniques.kernels:
        judging = headed(judging, spec, verdict, packing=habits.packing)
    return MinibatchGan(Game(spec, network, judging, prior=prior, rules=rules), techniques)
