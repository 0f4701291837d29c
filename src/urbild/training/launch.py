"""From a plan to processes that run the loop: devices, precision, the number of steps, and DDP."""

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch

from urbild.artifacts import restore
from urbild.contract import Model, Source
from urbild.errors import DataError, OptionError
from urbild.training.loop import Job, Loop, Outcome
from urbild.training.plan import BATCH, EPOCHS, Plan, pick_device, pick_precision, place
from urbild.training.progress import Quiet, Reporter, clock
from urbild.training.progress import reporter as make_reporter
from urbild.training.record import Row
from urbild.training.state import CHECKPOINT
from urbild.training.trial import seconds_per_step
from urbild.training.watch import Watch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TRIAL_FROM_STEPS = 300
LONG_SECONDS = 20.0
MARGIN = 0.9


def fit(
    model: Model,
    source: Source,
    plan: Plan = Plan(),  # noqa: B008 -- frozen
    *,
    validation: Source | None = None,
    directory: str | Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    watch: Watch | None = None,
    facts: Mapping[str, Any] | None = None,
    epochs: float = EPOCHS,
    batch: int = BATCH,
) -> Outcome:
    """Trains a model by its stages.

    Args:
        model: trained in place; in evaluation mode afterwards.
        source: of training samples.
        plan: budget and manner.
        validation: normals for early stopping; never part of `source`.
        directory: where metrics.csv and checkpoints go, or None.
        resume: whether to go on from the checkpoint in `directory`.
        reporter: told of the run; None says nothing.
        watch: looks on, in this process: not at a run of `plan.devices` processes that are started here.
        facts: what must be the same for a run to go on, beside the plan and the number and shape of the samples: JSON
            data, by its name.
        epochs: of the system's recipe, where the plan gives no budget.
        batch: of the system's recipe, where the plan gives none.

    Raises:
        TrainingDivergedError: a loss became NaN or infinite.
        OptionError: the plan cannot be carried out here, or differs from the run that is resumed.
        ArtifactError: the checkpoint is missing or damaged.
        KeyboardInterrupt: broken off by a signal, after a checkpoint was written.
    """
    if len(source) == 0:
        msg = "there are no training samples."
        raise DataError(msg)
    device = pick_device(plan.device)
    precision = pick_precision(plan.precision, device, images=source.spec.kind == "image")
    wanted = plan.batch or batch
    plan = replace(plan, precision=precision, batch=min(wanted, len(source)))
    directory = None if directory is None else Path(directory)
    if resume and directory is None:
        msg = "to resume a run, name its directory."
        raise OptionError(msg)
    job = Job(
        model=model,
        source=source,
        validation=validation,
        plan=plan,
        directory=directory,
        resume=resume and directory is not None and (directory / CHECKPOINT).exists(),
        reporter=reporter or Quiet(),
        steps=(),
        facts=facts or {},
        watch=watch,
    )
    if wanted > len(source):
        job.reporter.note(f"batches of {len(source)}, not {wanted}: there are no more training samples")
    if resume and not job.resume and directory is not None:
        job.reporter.note(f"no checkpoint in {directory} yet: starting from the beginning")
    if plan.devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        return _spawn(job, device, epochs)
    fabric = _fabric(plan, device, strategy="ddp" if plan.devices > 1 else "auto")
    fabric.launch()
    return _work(fabric, job, epochs)


def _fabric(plan: Plan, device: torch.device, *, strategy: str) -> "Fabric":
    from lightning_fabric import Fabric  # here, for it takes as long to import as torch, and most commands never train
    from lightning_fabric.plugins import MixedPrecision

    # plugins, not the flag, which would silently turn fp16 on a CPU into bf16, and announces itself
    plugins: Any = []
    if plan.precision == "16":
        plugins = [MixedPrecision("16-mixed", device.type, torch.amp.GradScaler(device.type))]
    if plan.precision == "bf16":
        plugins = [MixedPrecision("bf16-mixed", device.type)]
    return Fabric(accelerator=device.type, devices=plan.devices, strategy=strategy, plugins=plugins)


def _work(fabric: "Fabric", job: Job, epochs: float) -> Outcome:
    model = place(job.model, fabric.device)
    if fabric.world_size > 1:
        for value in model.state_dict().values():
            with torch.no_grad():
                value.copy_(fabric.broadcast(value))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        steps = _steps(fabric, job, epochs)
        return Loop(fabric, replace(job, steps=steps)).run()


def _steps(fabric: "Fabric", job: Job, epochs: float) -> list[int]:
    """Steps of each stage; by a short trial where the budget is a time."""
    stages, plan = list(job.model.stages()), job.plan
    assert plan.batch is not None  # resolved by fit
    shares = [stage.share if stage.turns else 0.0 for stage in stages]
    whole = sum(shares)
    if whole == 0:
        return [0] * len(stages)
    total = plan.total_steps(len(job.source), epochs=epochs, batch=plan.batch)
    steps = [max(1, round(total * share / whole)) if share else 0 for share in shares]
    timed = plan.seconds is not None and plan.steps is None
    if job.resume or not (timed or (sum(steps) >= TRIAL_FROM_STEPS and not isinstance(job.reporter, Quiet))):
        return steps
    each = list(fabric.broadcast(seconds_per_step(fabric, job)))
    if timed and plan.seconds is not None:
        weighted = sum(seconds * share for seconds, share in zip(each, shares, strict=True))
        rate = MARGIN * plan.seconds / max(weighted, 1e-9)
        steps = [max(1, int(rate * share)) if share else 0 for share in shares]
    line = _expected_time(each, steps)
    if line is not None and fabric.is_global_zero:
        job.reporter.note(line)
    return steps


def _spawn(job: Job, device: torch.device, epochs: float) -> Outcome:
    """Trains in processes of its own, and brings the weights back."""
    quiet = isinstance(job.reporter, Quiet)
    fabric = _fabric(job.plan, device, strategy="ddp_spawn")
    threads = max(1, torch.get_num_threads() // job.plan.devices)
    process: Any = partial(_process, replace(job, reporter=Quiet(), watch=None), epochs, quiet, threads)
    try:
        protocol, rows, packed = fabric.launch(process)
    except PicklingError as error:
        msg = f"devices={job.plan.devices} sends the model and the data to new processes, and they cannot be sent "
        msg += f"({error}); define them at the top of a module."
        raise OptionError(msg) from None
    place(job.model, device)
    restore(job.model, safetensors.torch.load(packed))
    job.model.eval()
    return Outcome(protocol, [Row(*row) for row in rows])


def _process(
    job: Job, epochs: float, quiet: bool, threads: int, fabric: "Fabric"
) -> tuple[dict[str, Any], list[tuple[Any, ...]], bytes]:
    torch.set_num_threads(threads)
    reporter = Quiet() if quiet or not fabric.is_global_zero else make_reporter("auto")
    # the weights arrive in memory that the processes share, and each must move its own
    job = replace(job, reporter=reporter, model=deepcopy(job.model))
    outcome = _work(fabric, job, epochs)
    rows = [tuple(row) for row in outcome.rows]
    # bytes, since a tensor sent from a process is lost when the process ends before it is received
    tensors = {name: value.cpu().contiguous() for name, value in job.model.state_dict().items()}
    packed = safetensors.torch.save(tensors)
    fabric.barrier()  # all leave together: a process that ends while another still talks to it may take that one along
    torch.distributed.destroy_process_group()
    return outcome.protocol, rows, packed


def _expected_time(seconds_per_step: Sequence[float], steps: Sequence[int]) -> str | None:
    """A line that says how long a run will take, or None for a short one."""
    seconds = sum(each * count for each, count in zip(seconds_per_step, steps, strict=True))
    if seconds < LONG_SECONDS:
        return None
    return f"expected time: {clock(seconds)} for {sum(steps):,} steps"
