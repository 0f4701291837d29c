"""What the loop works with: seeds, averaged weights, pieces of a batch, buffers across processes."""

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from urbild.contract import Batch, Model, Stage

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Exchanged:
    """Within it the model has the averaged weights."""

    def __init__(self, model: Model, average: Mapping[str, Tensor]) -> None:
        self._pairs = [(p, average[name]) for name, p in model.named_parameters() if name in average]

    def _swap(self) -> None:
        with torch.no_grad():
            for parameter, value in self._pairs:
                held = parameter.clone()
                parameter.copy_(value)
                value.copy_(held)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *error: object) -> None:
        self._swap()


def monitor_of(stage: Stage) -> Callable[[Batch], Tensor] | None:
    """The criterion of early stopping: the stage's own, or the loss of its only player, or None."""
    if stage.monitor is not None:
        return stage.monitor
    if len(stage.turns) == 1:
        loss = stage.turns[0].loss
        return lambda batch: loss(batch)["loss"]
    return None


def pieces(batch: Batch, count: int) -> Iterator[Batch]:
    """A batch cut into at most `count` pieces."""
    if count == 1:
        yield batch
        return
    size = -(-len(batch) // count)
    for start in range(0, len(batch), size):
        yield batch.map(lambda tensor, start=start: tensor[start : start + size])  # type: ignore[misc]


def share_buffers(fabric: "Fabric", model: Model) -> None:
    """Gives all processes the buffers of the first, which alone ran a solver."""
    for name, value in fabric.broadcast({n: b.cpu() for n, b in model.named_buffers()}).items():
        home, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(home), leaf, value.to(fabric.device))


def seed_all(seed: int) -> None:
    """Sets the global generators, within a run's fork of them."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed)


class seeded:
    """Within it the global generators start at a seed; after it they are as they were."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._fork = torch.random.fork_rng(devices=range(torch.cuda.device_count()))

    def __enter__(self) -> None:
        self._fork.__enter__()
        seed_all(self._seed)

    def __exit__(self, *error: Any) -> None:
        self._fork.__exit__(*error)


def machine(device: torch.device) -> dict[str, Any]:
    """Device, threads, machine and versions, for a protocol."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fabric": version("lightning-fabric"),
        },
    }
