"""Training: data are prepared, a model is built for them and fitted, and the run is saved."""

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

from urbild import artifacts, catalogue
from urbild.contract import Adopts, AnyLength, Model, Source
from urbild.data import Preparation, Reading, Records, as_records, split, verify
from urbild.errors import OptionError, nearest
from urbild.runs.parts import as_part, load_part, part_options
from urbild.runs.saving import Run, describe, save
from urbild.runs.watching import Watcher
from urbild.training import Plan, Reporter, fit

PATIENCE_HOLDOUT = 0.1
PATCHES_PER_IMAGE = 16
PREPARING = ("size", "normalise", "patch", "patches_per_image", "window", "rate")


def train(
    model: str | Model,
    data: object,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    reading: Reading | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> Model:
    """Trains any system on any data.

    Args:
        model: a system's name, or an untrained model of one's own.
        data: a path, the name of a known data set, an array, a tensor, a DataFrame, a list of paths.
        out: an empty directory to save the run in, or None to keep nothing.
        resume: whether to go on with the interrupted run in `out`.
        reading: how the data are read.
        reporter: told of the run; None says nothing.
        options: of the preparation (`size`, `normalise`, `patch`, `patches_per_image`, `window`, `rate`), of the plan
            (see `training.Plan`), and of the system's builder; `codes`, the directory of a trained code autoencoder
            that a prior is built on.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        UrbildError: something that a user can fix, said in one sentence.

    Example:
        >>> import urbild
        >>> model = urbild.train("pca", "digits", components=8)
        >>> model.spec.shape
        (1, 8, 8)
    """
    records = verify(as_records(data, reading=reading or Reading(part="train")))
    directory = artifacts.fresh_directory(out, resume=resume) if out is not None or resume else None
    return train_run(model, records, options, directory=directory, resume=resume, reporter=reporter).model


def train_run(
    model: str | Model,
    records: Records,
    options: Mapping[str, Any],
    *,
    directory: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Trains on all records, but for a validation part where patience asks for one, and saves the run.

    Args:
        model: a system's name, or an untrained model of one's own.
        records: verified.
        options: as for `train`.
        directory: empty, or of the run to resume; None keeps nothing.
        resume: whether to go on with the run in `directory`.
        reporter: told of the run.
    """
    rest = dict(options)
    part = load_part(model, rest.pop("codes")) if rest.get("codes") is not None else None
    rest.pop("codes", None)
    plan, preparing, building = sort_options(model, rest)
    per_image = preparing.pop("patches_per_image", PATCHES_PER_IMAGE)
    parts = split(len(records), validation=PATIENCE_HOLDOUT, calibration=0.0, groups=records.groups, seed=plan.seed)
    held_out = plan.patience is not None
    rows = parts.train if held_out else None
    if part is None:
        preparation = Preparation.fit(records, rows, **preparing)
    else:
        preparation, building = as_part(part, records, preparing), part_options(str(model), part, building)
    crops = preparation.crops(per_image)
    if reporter is not None:
        reporter.note(preparation.describe())
    source = preparation.source(records, rows, crops=crops, seed=plan.seed)
    validation = preparation.source(records, parts.validation, crops=crops, seed=plan.seed) if held_out else None
    run = learn(
        model,
        building,
        preparation,
        source,
        plan,
        data=describe(records),
        validation=validation,
        part=part,
        directory=directory,
        resume=resume,
        reporter=reporter,
        watch=True,
    )
    if directory is not None:
        save(directory, run)
    return run


def sort_options(model: str | Model, options: Mapping[str, Any]) -> tuple[Plan, dict[str, Any], dict[str, Any]]:
    """Sorts mixed options into those of the plan, of the preparation and of the builder.

    Raises:
        OptionError: an option belongs to none of them; the nearest is shown.
    """
    planned = {entry.name for entry in fields(Plan)}
    building = set(catalogue.parameters(model)) if isinstance(model, str) else set()
    known = planned | set(PREPARING) | building
    for name in options:
        if name not in known:
            msg = f"unknown option {name!r}; {nearest(name, known)}"
            raise OptionError(msg)
    return (
        Plan(**{name: value for name, value in options.items() if name in planned}),
        {name: value for name, value in options.items() if name in PREPARING},
        {name: value for name, value in options.items() if name in building},
    )


def learn(
    model: str | Model,
    options: Mapping[str, Any],
    preparation: Preparation,
    source: Source,
    plan: Plan,
    *,
    data: Mapping[str, Any],
    validation: Source | None = None,
    part: Run | None = None,
    directory: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    watch: bool = False,
) -> Run:
    """Builds a model for prepared data and trains it; saves nothing but metrics and checkpoints.

    Args:
        model: a system's name, or an untrained model of one's own.
        options: of the builder.
        preparation: that made `source`.
        source: of training samples.
        plan: budget and manner.
        data: what the samples were taken from, as `describe` says it.
        validation: normals for early stopping.
        part: a trained run that the model is built on.
        directory: for metrics and checkpoints.
        resume: whether to go on from the checkpoint there.
        reporter: told of the run.
        watch: whether to look at samples while it trains: for warnings, and for an animation in `directory`.
    """
    if isinstance(model, str):
        entry = catalogue.card(model)
        name, built = entry.name, catalogue.build(model, preparation.spec, options, seed=plan.seed)
        recipe = {"epochs": entry.epochs, "batch": entry.batch}
    else:
        name, built, recipe = None, model, {}
    if source.spec.shape != preparation.spec.shape and not isinstance(built, AnyLength):
        msg = f"{name or type(built).__name__} takes sounds of one length, so it is trained on whole ones; leave "
        msg += "window out."
        raise OptionError(msg)
    if part is not None and isinstance(built, Adopts):
        built.adopt(part.model)
    watcher = None
    if watch:
        watcher = Watcher(built, source, directory=directory, frames=plan.frames, reporter=reporter)
    outcome = fit(
        built,
        source,
        plan,
        validation=validation,
        directory=directory,
        resume=resume,
        reporter=reporter,
        watch=watcher,
        facts=_facts(name, options, preparation, data),
        **recipe,
    )
    if watcher is not None:
        watcher.finish()
        outcome.protocol["warnings"] = watcher.warnings
    return Run(built, name, dict(options), preparation, outcome.protocol, dict(data), outcome.rows, directory)


def _facts(
    model: str | None, options: Mapping[str, Any], preparation: Preparation, data: Mapping[str, Any]
) -> dict[str, Any]:
    """What must be the same for a run to go on; options that were left out count as their defaults."""
    defaults = {} if model is None else {name: entry.default for name, entry in catalogue.parameters(model).items()}
    prepared = json.dumps(preparation.to_json(), sort_keys=True).encode()
    chosen = catalogue.encode_options({**defaults, **options})
    return {
        "model": model,
        # a plugin's default may be anything
        **json.loads(json.dumps(chosen, default=lambda value: type(value).__qualname__)),
        "data": data["checksum"],
        "preparation": blake2b(prepared, digest_size=8).hexdigest(),
    }
