"""A run on disk and in memory: a model, how its data are prepared, and how it was trained."""

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from urbild import artifacts, catalogue
from urbild.contract import Model
from urbild.data import Preparation, Records
from urbild.errors import ArtifactError
from urbild.training import CHECKPOINT, METRICS, Row, as_csv, pick_device, place, read_csv


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
