"""The state of a run, to and from a checkpoint: weights, averages, best weights, optimisers, position."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from urbild.artifacts import load_state, restore, save_state
from urbild.contract import Model
from urbild.errors import ArtifactError
from urbild.training.players import Player

CHECKPOINT = "checkpoint.safetensors"

OptimiserState = dict[str, dict[str, Any]]
"""What an optimiser remembers, by the parameter's name in the model."""


@dataclass(slots=True)
class Position:
    """Where a run stands; all that is not a tensor.

    Attributes:
        stage: number of the stage.
        step: steps of it that are done.
        solved: whether its solver has run.
        seconds: since the run began, interruptions left out.
        best: smallest validation criterion of the stage.
        waited: checks since then.
        steps: planned, by stage.
        reached: steps of the stages that are over.
        stopped: why each of them ended.
    """

    stage: int = 0
    step: int = 0
    solved: bool = False
    seconds: float = 0.0
    best: float = inf
    waited: int = 0
    steps: list[int] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


@dataclass(slots=True)
class State:
    """Everything that a run needs to go on as if it had never stopped.

    Attributes:
        position: where it stands.
        average: moving average of the stage's weights, by name; empty where there is none.
        best: the weights and buffers of the best check, by name; empty where there is none.
        carried: optimiser states of earlier turns that later ones continue, by "stage/turn".
    """

    position: Position = field(default_factory=Position)
    average: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)
    carried: dict[str, OptimiserState] = field(default_factory=dict)


def remembered(player: Player) -> OptimiserState:
    """What a player's optimiser remembers."""
    return {name: dict(player.optimiser.state[p]) for name, p in player.own.items() if p in player.optimiser.state}


def recall(player: Player, memory: OptimiserState) -> None:
    """Gives a player's optimiser the memory of the parameters that it has."""
    on_device = bool(player.optimiser.defaults.get("fused") or player.optimiser.defaults.get("capturable"))
    for name, parameter in player.own.items():
        if name in memory:
            player.optimiser.state[parameter] = {
                key: _beside(parameter, value, on_device) if isinstance(value, Tensor) else value
                for key, value in memory[name].items()
            }


def _beside(parameter: Tensor, value: Tensor, on_device: bool) -> Tensor:
    """A moment in the memory layout of its parameter, which fused optimisers take for granted."""
    if value.shape == parameter.shape and value.dim():
        return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    return value.to(parameter.device if on_device or value.dim() else "cpu")


def save_checkpoint(
    directory: Path,
    model: Model,
    players: Sequence[Player],
    state: State,
    *,
    scaler: torch.amp.GradScaler | None,
    facts: Mapping[str, Any],
) -> None:
    """Writes a checkpoint; the former one stays if that fails."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in state.average.items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    scalars: dict[str, Any] = {}
    memories = {f"players/{player.turn.name}": remembered(player) for player in players}
    memories |= {f"carried/{name}": memory for name, memory in state.carried.items()}
    for owner, memory in memories.items():
        for name, entries in memory.items():
            for key, value in entries.items():
                (tensors if isinstance(value, Tensor) else scalars)[f"{owner}//{name}//{key}"] = value
    position = asdict(state.position)
    position["best"] = None if state.position.best == inf else state.position.best
    content = {
        "position": position,
        "scalars": scalars,
        "scaler": scaler.state_dict() if scaler is not None else None,
        "facts": dict(facts),
    }
    save_state(directory / CHECKPOINT, tensors, content)


class Checkpoint:
    """A checkpoint that was read, handed out in the order in which a run is set up again."""

    def __init__(self, directory: Path) -> None:
        self._tensors, self._content = load_state(directory / CHECKPOINT)
        self.facts: dict[str, Any] = self._content["facts"]

    def restore_model(self, model: Model) -> State:
        """Sets the model's weights, and gives the state of the run."""
        restore(model, self._under("model/"))
        position = dict(self._content["position"])
        position["best"] = inf if position["best"] is None else position["best"]
        carried: dict[str, OptimiserState] = {}
        for full, memory in self._memories("carried/").items():
            carried[full] = memory
        return State(Position(**position), self._under("average/"), self._under("best/"), carried)

    def restore_players(self, players: Sequence[Player], scaler: torch.amp.GradScaler | None) -> None:
        """Gives the players' optimisers, and the scaler, their memory."""
        memories = self._memories("players/")
        for player in players:
            memory = memories.get(player.turn.name, {})
            if not set(memory) <= set(player.own):
                msg = "the checkpoint belongs to another model; give the same model and options as before."
                raise ArtifactError(msg)
            recall(player, memory)
        if scaler is not None and self._content["scaler"]:
            scaler.load_state_dict(self._content["scaler"])

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: value for name, value in self._tensors.items() if name.startswith(prefix)}

    def _memories(self, prefix: str) -> dict[str, OptimiserState]:
        memories: dict[str, OptimiserState] = {}
        for full, value in {**self._tensors, **self._content["scalars"]}.items():
            if full.startswith(prefix):
                owner, name, key = full[len(prefix) :].split("//")
                memories.setdefault(owner, {}).setdefault(name, {})[key] = value
        return memories
