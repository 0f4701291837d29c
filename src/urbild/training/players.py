"""A turn made ready to be taken: its modules wrapped so that `forward` is the loss, its optimiser, its limits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from urbild.contract import Batch, Model, Stage, Turn
from urbild.errors import OptionError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Box:
    """Carries a batch through Fabric, which would cast the floats of a bare tensor to the precision of training."""

    __slots__ = ("batch",)

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class Move(nn.Module):
    """A turn as a module: its children are what it trains, its `forward` is its loss. DDP and FSDP wrap just that."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.players = nn.ModuleList(turn.modules)
        self._loss = turn.loss

    def forward(self, box: Box) -> dict[str, Tensor]:
        """Losses of the batch in the box."""
        return dict(self._loss(box.batch))


class Player:
    """A turn of a stage, set up on a device.

    Attributes:
        turn: as the model declared it.
        own: the parameters that it trains, by their names in the model.
        optimiser: of these, as the turn made it.
    """

    def __init__(self, fabric: "Fabric", model: Model, stage: Stage, turn: Turn) -> None:
        self.turn = turn
        self._fabric = fabric
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.own = {names[id(p)]: p for module in turn.modules for p in module.parameters()}
        self._mine = list(self.own.values())
        everyone = [module for other in stage.turns for module in other.modules]
        mine = {id(buffer) for module in turn.modules for buffer in module.buffers()}
        self._others = [p for p in _unique(everyone) if names[id(p)] not in self.own]
        self._guarded = [b for b in _unique_buffers(everyone) if id(b) not in mine]
        self._buffers = [b for b in _unique_buffers(turn.modules) if b.is_floating_point()]
        self.optimiser = turn.optimiser(self.own.items())
        for group in self.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._bare = Move(turn)
        self._module, self._wrapped = fabric.setup(self._bare, self.optimiser, move_to_device=False)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it no other module of the stage gets a gradient, and after it their buffers are what they were.

        Others may still normalise by the batch: what their running statistics took up is undone.
        """
        before = [buffer.clone() for buffer in self._guarded]
        for parameter in self._others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self._others:
                parameter.requires_grad_(True)
            with torch.no_grad():
                for buffer, value in zip(self._guarded, before, strict=True):
                    buffer.copy_(value)

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """The losses of a batch. Only several processes need the wrapper, which costs a small step a tenth.

        Raises:
            OptionError: the batch has one sample, or one pack, and layers that normalise by the batch need more.
        """
        box = Box(batch)
        try:
            if self._fabric.world_size > 1:
                losses: Mapping[str, Tensor] = self._module(box)
                return losses
            with self._fabric.autocast():
                return self._bare.forward(box)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            msg = "batch normalisation needs at least two samples, or packs, at once; make the batch larger, cut it "
            msg += "into fewer pieces, or take another normalisation."
            raise OptionError(msg) from error

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Adds the gradients of a piece of a batch; processes meet at the last."""
        with self._fabric.no_backward_sync(self._module, enabled=not last):
            self._fabric.backward(loss)

    def forget(self) -> None:
        """Drops the gradients."""
        for parameter in self._mine:
            parameter.grad = None

    def step(self, clip: float | None, progress: float) -> None:
        """Updates the weights at the learning rate of `progress`."""
        factor = self.turn.rate(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if clip is not None:
            scaler = scaler_of(self._fabric)
            if scaler is not None:
                scaler.unscale_(self.optimiser)
                torch.nn.utils.clip_grad_norm_(list(self.own.values()), clip)
            else:
                self._fabric.clip_gradients(self._module, self._wrapped, max_norm=clip, error_if_nonfinite=False)
        self._wrapped.step()
        if self.turn.after is not None:
            self.turn.after()

    def agree(self) -> None:
        """Averages the floating buffers over the processes."""
        if self._fabric.world_size > 1 and self._buffers:
            flat = torch.cat([buffer.flatten().float() for buffer in self._buffers])
            flat = torch.as_tensor(self._fabric.all_reduce(flat, reduce_op="mean"))
            pieces = torch.split(flat, [buffer.numel() for buffer in self._buffers])
            with torch.no_grad():
                for buffer, piece in zip(self._buffers, pieces, strict=True):
                    buffer.copy_(piece.view_as(buffer))


def scaler_of(fabric: "Fabric") -> torch.amp.GradScaler | None:
    """The gradient scaler of fp16 training, or None."""
    scaler: torch.amp.GradScaler | None = getattr(fabric.strategy.precision, "scaler", None)
    return scaler


def _unique(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return list({id(p): p for module in modules for p in module.parameters()}.values())


def _unique_buffers(modules: Sequence[nn.Module]) -> list[Tensor]:
    return list({id(b): b for module in modules for b in module.buffers()}.values())
