"""A run: a model, how its data are prepared, and how it was trained. Here data, training and artifacts meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from urbild import artifacts, catalogue
from urbild.contract import Adopts, AnyLength, Discrete, Model, Source
from urbild.data import Preparation, Reading, Records, as_records, split, verify
from urbild.errors import ArtifactError, OptionError, nearest
from urbild.training import CHECKPOINT, METRICS, Plan, Reporter, Row, as_csv, fit, pick_device, place, read_csv

PATIENCE_HOLDOUT = 0.1
PATCHES_PER_IMAGE = 16


@dataclass(slots=True)
class Run:
    """A trained model and all that using it needs.

    Attributes:
        model: trained, in evaluation mode.
        name: in the catalogue, or None for a model of the user's own.
        options: of its builder.
        preparation: applied to every sample.
        training: protocol of the run.
        data: what it was trained on: origin, counts, checksum.
        rows: of metrics.csv.
        directory: where it is saved, or None.
        sections: what others keep beside it ("detector", "calibration").
    """

    model: Model
    name: str | None
    options: dict[str, Any]
    preparation: Preparation
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    directory: Path | None = None
    sections: dict[str, Any] = field(default_factory=dict)


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
        preparation, building = _as_part(part, records, preparing), {**building, **part_options(str(model), part)}
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
        validation=validation,
        part=part,
        directory=directory,
        resume=resume,
        reporter=reporter,
    )
    run.data = describe(records)
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


PREPARING = ("size", "normalise", "patch", "patches_per_image", "window", "rate")


def load_part(model: str | Model, directory: str | Path) -> Run:
    """The trained run that a model is to be built on.

    Raises:
        OptionError: the model is built on no other, or the run's has no codes that are symbols.
        ArtifactError: there is no whole run in the directory.
    """
    able = [name for name in catalogue.cards() if "autoencoder" in catalogue.parameters(name)]
    if not isinstance(model, str) or model not in able:
        msg = f"{model if isinstance(model, str) else type(model).__name__} is built on no other run; leave codes out, "
        msg += f"or train one of these: {', '.join(able)}."
        raise OptionError(msg)
    part = load(directory)
    if part.name is None or not isinstance(part.model, Discrete):
        msg = f"{directory} holds a {part.name or type(part.model).__name__}, whose codes are no symbols; give the run "
        msg += "of a code autoencoder, such as vqvae."
        raise OptionError(msg)
    return part


def built_on(model: str) -> dict[str, Any]:
    """The kinds of part that stand for the systems that a model can be built on, by the names of those systems."""
    kinds = catalogue.parts_of(catalogue.parameters(model)["autoencoder"].annotation)
    return {kind.system: kind for kind in kinds if hasattr(kind, "system")}


def part_options(model: str, part: Run) -> dict[str, Any]:
    """The builder's option for an autoencoder like that of `part`.

    Raises:
        OptionError: the model can be built on no such system.
    """
    found = built_on(model)
    if part.name not in found:
        msg = f"{model} can be built on {', '.join(sorted(found))}, not on {part.name}."
        raise OptionError(msg)
    return {"autoencoder": found[part.name](**part.options)}


def _as_part(part: Run, records: Records, preparing: Mapping[str, Any]) -> Preparation:
    """How the data are prepared for a model that is built on `part`: as it was, with the classes of these records."""
    chosen = [name for name, value in preparing.items() if value not in (None, "none")]
    if chosen:
        msg = f"the data are prepared as those of the run in {part.directory} were; leave {chosen[0]} out."
        raise OptionError(msg)
    part.preparation.check(records)
    return replace(part.preparation, spec=replace(part.preparation.spec, classes=records.classes))


def learn(
    model: str | Model,
    options: Mapping[str, Any],
    preparation: Preparation,
    source: Source,
    plan: Plan,
    *,
    validation: Source | None = None,
    part: Run | None = None,
    directory: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Run:
    """Builds a model for prepared data and trains it; saves nothing but metrics and checkpoints.

    Args:
        model: a system's name, or an untrained model of one's own.
        options: of the builder.
        preparation: that made `source`.
        source: of training samples.
        plan: budget and manner.
        validation: normals for early stopping.
        part: a trained run that the model is built on.
        directory: for metrics and checkpoints.
        resume: whether to go on from the checkpoint there.
        reporter: told of the run.
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
    outcome = fit(
        built,
        source,
        plan,
        validation=validation,
        directory=directory,
        resume=resume,
        reporter=reporter,
        **recipe,
    )
    return Run(built, name, dict(options), preparation, outcome.protocol, rows=outcome.rows, directory=directory)


def describe(records: Records) -> dict[str, Any]:
    """What a protocol says of some data."""
    return {
        "origin": records.origin,
        "samples": len(records),
        "skipped": list(records.skipped),
        "classes": list(records.classes),
        "checksum": records.checksum,
    }


def save(directory: str | Path, run: Run) -> None:
    """Saves a run: model.safetensors, urbild.json, metrics.csv.

    Raises:
        OutputError: the disk is full, or the place cannot be written.
    """
    directory = Path(directory)
    manifest = {
        "urbild": version("urbild"),
        "model": {
            "name": run.name,
            "class": type(run.model).__qualname__,
            "options": catalogue.encode_options(run.options),
        },
        "preparation": run.preparation.to_json(),
        "training": run.training,
        "data": run.data,
        **run.sections,
    }
    artifacts.save(directory, run.model.state_dict(), manifest)
    artifacts.write_atomically(directory / METRICS, as_csv(run.rows))
    (directory / CHECKPOINT).unlink(missing_ok=True)
    run.directory = directory


OWN_SECTIONS = ("format", "urbild", "model", "preparation", "training", "data", "checksums")


def load(directory: str | Path, *, model: Model | None = None, device: str = "auto") -> Run:
    """Loads a saved run.

    Args:
        directory: that `save` wrote.
        model: where the saved one was a model of one's own: an instance of the same class and shape.
        device: to put it on.

    Raises:
        ArtifactError: missing, damaged or changed files, a newer release, or a model of one's own without `model`.
    """
    tensors, manifest = artifacts.load(directory)
    preparation = Preparation.from_json(manifest["preparation"])
    name, options = manifest["model"]["name"], {}
    if name is not None:
        options = catalogue.decode_options(name, manifest["model"]["options"])
        model = catalogue.build(name, preparation.spec, options)
    elif model is None:
        msg = f"{directory} holds a model of your own class {manifest['model']['class']}; load it from Python with "
        msg += "model=an instance of it."
        raise ArtifactError(msg)
    artifacts.restore(model, tensors)
    place(model, pick_device(device)).eval()
    sections = {key: value for key, value in manifest.items() if key not in OWN_SECTIONS}
    rows = read_csv(Path(directory) / METRICS)
    return Run(
        model,
        name,
        options,
        preparation,
        manifest["training"],
        manifest["data"],
        rows,
        Path(directory),
        sections,
    )


__all__: Sequence[str] = ["Run", "describe", "learn", "load", "save", "sort_options", "train", "train_run"]
