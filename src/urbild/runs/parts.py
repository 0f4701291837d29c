"""A model that is built on another one that is trained already: a prior on the codes of an autoencoder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from urbild import catalogue
from urbild.contract import Discrete, Model, labels_of
from urbild.data import Preparation, Records
from urbild.data.waves import Waves
from urbild.errors import OptionError
from urbild.runs.saving import Run, load


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


def part_options(model: str, part: Run, options: Mapping[str, Any]) -> dict[str, Any]:
    """The builder's options, with an autoencoder like that of `part`.

    Raises:
        OptionError: the model can be built on no such system, or the options ask for another.
    """
    if options.get("autoencoder") is not None:
        msg = f"the autoencoder is that of the run in {part.directory}, with its options; leave autoencoder out, or "
        raise OptionError(msg + "codes.")
    found = built_on(model)
    if part.name not in found:
        msg = f"{model} can be built on {', '.join(sorted(found))}, not on {part.name}."
        raise OptionError(msg)
    told = {"classes": labels_of(part.model)} if labels_of(part.model) else {}  # they need not be those of the data
    return {**options, "autoencoder": found[part.name](**part.options, **told)}


def as_part(part: Run, records: Records, preparing: Mapping[str, Any]) -> Preparation:
    """How the data are prepared for a model that is built on `part`: as it was, with the classes of these records.

    Of sound codes are taken whole, whatever crops the part was trained on.

    Raises:
        OptionError: options ask for another preparation.
        ShapeError: the records are of another kind, shape or columns.
    """
    chosen = [name for name, value in preparing.items() if value not in (None, "none")]
    if chosen:
        msg = f"the data are prepared as those of the run in {part.directory} were; leave {chosen[0]} out."
        raise OptionError(msg)
    part.preparation.check(records)
    how, summary = part.preparation.how, part.preparation.summary
    if isinstance(how, Waves):
        how = replace(how, window=None)
        summary = how.summary(records, np.arange(len(records)))
    return Preparation(replace(part.preparation.spec, classes=records.classes), how, summary)
