"""Losses and turns of an adversarial game, from its rules. A system says what is judged, and what is made."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor, nn, randn_like

from urbild.contract import Batch, DataSpec, Losses, Source, Stage, Turn
from urbild.errors import OptionError
from urbild.nets.games import Constraint, Habits, Rules
from urbild.ops.penalties import Critic
from urbild.ops.precision import full


def worked(spec: DataSpec, x: Tensor) -> Tensor:
    """Samples as players see them: images in [-1, 1], vectors as they are."""
    return 2 * x - 1 if spec.kind == "image" else x


def restored(spec: DataSpec, x: Tensor) -> Tensor:
    """Samples of a generator in the range of the data."""
    return (full(x) + 1) / 2 if spec.kind == "image" else full(x)


def packed(x: Tensor, packing: int) -> Tensor:
    """[N, C, ...] as [N // m, m C, ...]: m samples side by side, the rest left out.

    Raises:
        OptionError: there are fewer than m.
    """
    if packing == 1:
        return x
    if len(x) < packing:
        msg = f"packing={packing} needs at least {packing} samples in a batch, and there are {len(x)}; make the batch "
        msg += "larger or the packs smaller."
        raise OptionError(msg)
    packs = len(x) // packing
    return x[: packs * packing].reshape(packs, packing * x.shape[1], *x.shape[2:])


def shown(habits: Habits, x: Tensor, progress: float) -> Tensor:
    """Real or made samples as the critic is shown them: with noise, in packs."""
    if habits.noise is not None:
        x = x + habits.noise * (1 - progress) * randn_like(x)
    return packed(x, habits.packing)


def critic_losses(rules: Rules, critic: Critic, real: Tensor, fake: Tensor, batch: Batch) -> Losses:
    """The critic's loss with its penalty, mean over the batch.

    Logged: "estimate", the negative loss without the constraint's penalty: of the earth mover's distance, or of the
    minimax value, which is -2 ln 2 where nothing can be told; "real" and "fake", what the critic says of either;
    "told", the share of pairs that it ranks rightly, 1/2 where nothing can be told and 1 where it has won outright;
    "gradient", the norm that is penalised.

    Args:
        rules: of the game.
        critic: from packs as `shown` gives them to logits.
        real: [N, *sample] as `worked` gives them.
        fake: [N, *sample] from the generator.
        batch: whose step and progress count.
    """
    real = shown(rules.habits, real, batch.progress)
    fake = shown(rules.habits, fake.detach(), batch.progress)
    on_real, on_fake = full(critic(real)), full(critic(fake))
    loss = rules.objective.critic(on_real, on_fake).mean()
    seen, made = on_real.detach(), on_fake.detach()
    logs = {
        "estimate": -loss.detach(),
        "real": rules.objective.belief(seen).mean(),
        "fake": rules.objective.belief(made).mean(),
        "told": (seen > made).float().mean(),
    }
    penalty = rules.constraint.penalty(critic, real, fake, batch.step)
    if penalty is None:
        return {"loss": loss, **logs}
    return {"loss": loss + penalty.value.mean(), **logs, "gradient": penalty.norm.detach().mean()}


def generator_losses(rules: Rules, critic: Critic, fake: Tensor, batch: Batch) -> Losses:
    """The generator's loss, mean over the batch."""
    logits = full(critic(shown(rules.habits, fake, batch.progress)))
    return {"loss": rules.objective.generator(logits).mean()}


def turns(
    rules: Rules,
    *,
    critic: Sequence[nn.Module],
    generator: Sequence[nn.Module],
    critic_loss: Callable[[Batch], Losses],
    generator_loss: Callable[[Batch], Losses],
) -> tuple[Turn, Turn]:
    """The turns of a step: the critic's, and the generator's where it is due.

    Args:
        rules: of the game.
        critic: modules that are trained in its turn; the first is the one that is constrained.
        generator: modules that are trained in its turn.
        critic_loss: of a batch.
        generator_loss: of a batch.
    """
    first = Turn(
        name="critic",
        modules=critic,
        loss=critic_loss,
        optimiser=rules.optimiser.of(generator=False),
        rate=rules.optimiser.rate,
        after=rules.constraint.after(critic[0]),
    )
    second = replace(
        first,
        name="generator",
        modules=generator,
        loss=generator_loss,
        optimiser=rules.optimiser.of(generator=True),
        every=rules.rhythm.due,
        after=None,
    )
    return first, second


def stage(name: str, rules: Rules, players: Sequence[Turn], source: Callable[[Source], Source] | None = None) -> Stage:
    """The stage in which a game is played; the verbs use the average of its weights where the rules keep one."""
    return Stage(name=name, turns=players, source=source, average=rules.habits.average)


def check_constraint(constraint: Constraint, critic: nn.Module) -> None:
    """Refuses a penalty of each sample's own gradient beside batch statistics, which mix the samples.

    Raises:
        OptionError: the critic has batch normalisation.
    """
    penalised = type(constraint).penalty is not Constraint.penalty
    if penalised and any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in critic.modules()):
        msg = f"{type(constraint).__name__} is of each sample's own gradient, which batch normalisation mixes with the "
        msg += "others'; give the critic normalisation='group', 'spectral' or 'none'."
        raise OptionError(msg)
