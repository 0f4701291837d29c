"""The laws fail on faults that were seen in published code, planted in small models."""

from collections.abc import Callable, Sequence

import laws_book as laws
import pytest
import torch
from laws_kit import SPECS, Case
from torch import Tensor, nn

from urbild.contract import Anomaly, Batch, DataSpec, Losses, Model, Reconstructs, Samples, Scores, Stage, Turn

SPEC = SPECS["vector"][0]


class Sound(Model, Reconstructs, Scores, Samples):
    """A small autoencoder that obeys the laws; each fault below changes one thing."""

    def __init__(self, spec: DataSpec, weight: float = 1.0) -> None:
        super().__init__()
        self.spec, self.weight = spec, weight
        self.encoder, self.decoder = nn.Linear(spec.size, 3), nn.Linear(3, spec.size)

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="only", turns=(Turn(name="fit", modules=(self.encoder, self.decoder), loss=self.loss),)),)

    def loss(self, batch: Batch) -> Losses:
        code = self.encoder(batch.x)
        error = (batch.x - self.decoder(code)).square().mean()
        return {"loss": error + self.weight * self.penalty(code)}

    def penalty(self, code: Tensor) -> Tensor:
        return code.square().mean()

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        version: Tensor = self.decoder(self.encoder(x))
        return version

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        error = (x - self.reconstruct(x)).square()
        return Anomaly(error.mean(1), error)

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        version: Tensor = self.decoder(temperature * torch.randn(n, 3, generator=generator))
        return version


class ClampedPenalty(Sound):
    """The penalty is clamped at a capacity of zero, so its weight does nothing."""

    def penalty(self, code: Tensor) -> Tensor:
        return code.square().mean().clamp(max=0.0)


class SharedLatent(Sound):
    """One latent for every query."""

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return self.decoder(torch.zeros(3)).expand_as(x)


class BatchLatent(Sound):
    """The latents of a batch are shared."""

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        code = self.encoder(x)
        version: Tensor = self.decoder(code + code.mean(0))
        return version


class NoisyScore(Sound):
    """Noise is drawn at scoring time."""

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        code = self.encoder(x)
        version: Tensor = self.decoder(code + 0.01 * torch.randn_like(code))
        return version


class WrongModule(Sound):
    """A module is listed in a turn that does not use it."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.forgotten = nn.Linear(3, 3)

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="only", turns=(Turn(name="fit", modules=(self.encoder, self.forgotten), loss=self.loss),)),)


class MovingCodebook(Sound):
    """Codes go on moving, in place, while the prior over them is trained."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.prior = nn.Linear(3, 3)
        self.encoder.register_buffer("book", torch.zeros(3))

    def stages(self) -> Sequence[Stage]:
        prior = Turn(name="prior", modules=(self.prior,), loss=self.prior_loss, after=self.drift)
        return (*super().stages(), Stage(name="prior", turns=(prior,)))

    def drift(self) -> None:
        self.encoder.book.add_(0.1)

    def prior_loss(self, batch: Batch) -> Losses:
        return {"loss": self.prior(self.encoder(batch.x)).square().mean()}


class HalfMap(Sound):
    """The map does not cover the last columns."""

    def anomaly(self, x: Tensor, *, given: Tensor | None = None) -> Anomaly:
        anomaly = super().anomaly(x)
        assert anomaly.map is not None
        keep = torch.ones_like(anomaly.map)
        keep[:, -2:] = 0
        return Anomaly(anomaly.score, anomaly.map * keep)


class OwnRandomness(Sound):
    """Samples ignore the generator."""

    def sample(
        self, n: int, *, given: Tensor | None = None, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        return super().sample(n, temperature=temperature)


class Hesitant(Sound):
    """Weights that differ from one construction to the next, whatever the seed."""

    built = 0

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        Hesitant.built += 1
        nn.init.constant_(self.encoder.bias, 0.01 * Hesitant.built)


class LateBuffer(Sound):
    """A buffer appears in training, so a run cannot be resumed from before."""

    def loss(self, batch: Batch) -> Losses:
        self.register_buffer("seen", torch.zeros(1))
        return super().loss(batch)


ROWWISE = laws.the_score_ignores_company_and_order
SOUND = (
    laws.gradient_reaches_every_parameter,
    laws.a_turn_moves_only_its_own_modules,
    laws.later_stages_leave_earlier_modules_alone,
    laws.same_seed_same_model,
    laws.everything_exists_from_the_start,
    laws.verbs_draw_nothing,
    laws.the_map_covers_the_sites,
    laws.the_reconstruction_depends_on_x,
    laws.sampling_follows_the_generator,
    ROWWISE,
)


@pytest.mark.parametrize("law", SOUND, ids=lambda law: law.__name__)
def test_a_sound_model_passes(law: Callable[[Case], None]) -> None:
    law(Case("planted", SPEC, planted=Sound))


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (SharedLatent, laws.the_reconstruction_depends_on_x),
        (BatchLatent, ROWWISE),
        (NoisyScore, ROWWISE),
        (NoisyScore, laws.verbs_draw_nothing),
        (WrongModule, laws.gradient_reaches_every_parameter),
        (MovingCodebook, laws.later_stages_leave_earlier_modules_alone),
        (MovingCodebook, laws.a_turn_moves_only_its_own_modules),
        (HalfMap, laws.the_map_covers_the_sites),
        (OwnRandomness, laws.sampling_follows_the_generator),
        (Hesitant, laws.same_seed_same_model),
        (LateBuffer, laws.everything_exists_from_the_start),
    ],
    ids=lambda entry: entry.__name__,
)
def test_a_fault_is_caught(fault: type[Model], law: Callable[[Case], None]) -> None:
    with pytest.raises(AssertionError):
        law(Case("planted", SPEC, planted=fault))


@pytest.mark.parametrize(("kind", "alive"), [(Sound, True), (ClampedPenalty, False)])
def test_a_dead_knob_is_caught(kind: type[Model], alive: bool) -> None:
    case = Case("planted", SPEC, {"weight": 1.0}, planted=kind)
    assert laws.a_knob_is_alive(case, {"weight": 1.0}, [{"weight": 2.0}]) is alive
