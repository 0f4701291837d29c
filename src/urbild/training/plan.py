"""How long to train, and how: everything about a run that is not the model."""

import hashlib
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

import torch

from urbild.contract import Model
from urbild.errors import OptionError, nearest

Precision: TypeAlias = Literal["auto", "32", "bf16", "16"]
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "32", "bf16", "16")
EPOCHS, BATCH = 50, 64
FEWEST_STEPS, MOST_STEPS = 500, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Budget and manner of a run. What is None follows from the system's recipe and the data.

    Attributes:
        steps: batches over all stages that train by turns.
        seconds: wall-clock budget; steps are planned from a short trial, and their number is recorded, so that the
            run can be repeated by them.
        epochs: passes over the data, where neither steps nor seconds are given.
        batch: samples a step, over all devices.
        seed: of weights, order, noise and splits.
        precision: of training; "auto" takes bf16 for images where the processor multiplies it natively, else 32.
        clip: largest norm of a turn's gradient.
        accumulate: pieces that a batch is cut into, to save memory.
        patience: checks on validation normals without improvement before a stage ends; the best weights are kept.
        check_every: steps between these checks.
        checkpoint_every: steps between checkpoints.
        log_every: steps averaged in one row of metrics.csv.
        device: "auto", "cpu", "cuda" or "mps".
        devices: processes to train with (DDP).
        tensorboard: also write TensorBoard's event files.
        frames: pictures, at most, of the animation of samples that a run leaves in its directory; 0 for none.
    """

    steps: int | None = None
    seconds: float | None = None
    epochs: float | None = None
    batch: int | None = None
    seed: int = 0
    precision: Precision = "auto"
    clip: float | None = None
    accumulate: int = 1
    patience: int | None = None
    check_every: int | None = None
    checkpoint_every: int | None = None
    log_every: int | None = None
    device: str = "auto"
    devices: int = 1
    tensorboard: bool = False
    frames: int = 24

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _POSITIVE and value is not None and not value > 0:
                msg = f"{entry.name} must be greater than 0, not {value}."
                raise OptionError(msg)
        if self.frames < 0:
            msg = f"frames must be 0 or more, not {self.frames}."
            raise OptionError(msg)
        if self.precision not in PRECISIONS:
            msg = f"unknown precision {self.precision!r}; {nearest(str(self.precision), PRECISIONS)}"
            raise OptionError(msg)

    def total_steps(self, samples: int, *, epochs: float, batch: int) -> int:
        """Steps of the run where no time budget is given.

        Args:
            samples: in the training source.
            epochs: of the system's recipe.
            batch: in force.
        """
        if self.steps is not None:
            return self.steps
        per_epoch = max(1, samples // batch)
        if self.epochs is not None:
            return max(1, round(self.epochs * per_epoch))
        return min(max(round(epochs * per_epoch), FEWEST_STEPS), MOST_STEPS)


_POSITIVE = (
    "steps",
    "seconds",
    "epochs",
    "batch",
    "clip",
    "accumulate",
    "patience",
    "devices",
    "check_every",
    "checkpoint_every",
    "log_every",
)


def key(*parts: object) -> int:
    """A seed that is a function of `parts` alone, different for different parts."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def pick_device(name: str = "auto") -> torch.device:
    """The device that a name means; "auto" takes a GPU where there is one.

    Raises:
        OptionError: unknown, or not on this machine.
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if has[kind]))
    if name not in has:
        msg = f"unknown device {name!r}; {nearest(name, DEVICES)}"
        raise OptionError(msg)
    if not has[name]:
        msg = f"this machine has no usable {name} device; take --device cpu, or auto."
        raise OptionError(msg)
    return torch.device(name)


def pick_precision(wanted: Precision, device: torch.device, *, images: bool) -> Precision:
    """What "auto" means on a device."""
    if wanted != "auto":
        return wanted
    if not images:
        return "32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "32"
    return "bf16" if device.type == "cpu" and _multiplies_bf16() else "32"


def _multiplies_bf16() -> bool:
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def place(model: Model, device: torch.device | str = "cpu") -> Model:
    """Moves a model to a device and into the memory format of its data.

    Training and scoring both go through here, so that a loaded model scores bit-identically.
    """
    device = pick_device(device) if isinstance(device, str) else device
    if model.spec.kind == "image":
        return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return model.to(device)
