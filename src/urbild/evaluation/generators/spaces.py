"""Feature spaces: where generated and real samples are compared.

A distance means nothing without the name of its space.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from urbild import runs
from urbild.artifacts import MANIFEST
from urbild.contract import Classifies, DataSpec, Encodes
from urbild.data import Preparation, Records, SoundArrays, as_records
from urbild.data.pixels import Pixels
from urbild.data.records import RowNames
from urbild.errors import OptionError
from urbild.evaluation.examples import device_of
from urbild.runs import Run

STACKED = "stacked_"  # origins of images whose channels are digits of their own
HOW = (
    "give a network whose weights are at hand, as an ONNX file or a transformers folder, or take the data set's own "
    "feature space: train a judge on it (`urbild train classifier DATA`) and give the judge's run."
)


class Features(NamedTuple):
    """Some samples as a space sees them.

    Attributes:
        values: [N, D].
        log_probs: [N, classes] in nats, of a space that tells classes.
    """

    values: Tensor
    log_probs: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Where samples are compared.

    Attributes:
        name: whose features these are, for the result.
        of: the features of samples [N, *sample] as the evaluated run prepares and draws them.
        classes: names of the classes that it tells, by number.
    """

    name: str
    of: Callable[[Tensor], Features]
    classes: tuple[str, ...] = ()


def space_of(given: str | Path | None, run: Run, origin: str = "") -> Space:
    """The feature space that a user names.

    Args:
        given: the directory of a run of a classifier, an ONNX file, a transformers folder, or None for the values
            themselves.
        run: that is evaluated: its samples are brought to the scale that the space wants.
        origin: of the data, which tells stacked digits.

    Raises:
        OptionError: it is none of these.
        ArtifactError: the run is damaged.
        ExtraError: what reads the network is not installed.
    """
    from urbild.evaluation.generators import networks

    if given is None:
        return raw(run.preparation)
    path = Path(given)
    if (path / MANIFEST).is_file():
        judge = runs.load(path, device=str(device_of(run.model)))
        return by_classifier(judge, run.preparation, str(given), stacked=origin.startswith(STACKED))
    if run.preparation.spec.kind == "image" and path.is_file() and path.suffix == ".onnx":
        return networks.by_onnx(path)
    if run.preparation.spec.kind == "image" and (path / "config.json").is_file():
        return networks.by_backbone(path)
    kind = run.preparation.spec.kind
    what = f"gives no features of {kind} samples" if path.exists() else "is not at hand"
    msg = f"--features {given}: {what}; {HOW}"
    raise OptionError(msg)


def raw(preparation: Preparation) -> Space:
    """The values themselves, as the model takes them: standardised columns, pixels in [0, 1]."""
    said = {"image": "pixels", "vector": "columns", "sequence": "samples of sound", "video": "pixels"}
    return Space(f"the {said[preparation.spec.kind]} themselves", lambda x: Features(x.flatten(1)))


def by_classifier(judge: Run, preparation: Preparation, name: str, *, stacked: bool = False) -> Space:
    """The features and classes of a classifier that was trained on the data set itself.

    Args:
        judge: its run; it must not have taken part in training the generator.
        preparation: of the samples that it will judge.
        name: of the judge, for the result.
        stacked: whether each channel of an image is a digit of its own, that a judge of one channel tells.

    Raises:
        OptionError: the run is of another system.
        ShapeError: it judges another kind of data.
    """
    model, own = judge.model, judge.preparation
    if not (isinstance(model, Classifies) and isinstance(model, Encodes)):
        msg = f"--features {name} holds a {judge.name or type(model).__name__}, which tells no classes; {HOW}"
        raise OptionError(msg)
    channels = preparation.spec.channels if stacked and own.spec.channels == 1 else 1

    @torch.no_grad()
    def of(x: Tensor) -> Features:
        values, chances = [], None
        for one in x.chunk(channels, dim=1) if channels > 1 else (x,):
            for batch in own.source(_restored(one, own, preparation), memory=0).batches(len(x)):
                judged = batch.x.to(device_of(model))
                values.append(model.encode(judged).flatten(1).cpu())
                told = model.classify(judged).cpu()
                # the chances of two digits are those of each, multiplied
                chances = told if chances is None else (chances[:, :, None] + told[:, None]).flatten(1)
        return Features(torch.cat(values, dim=1), chances)

    words = [model.spec.classes] * channels
    return Space(f"features of the classifier {name}", of, _joined(words))


def _joined(words: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Names of all combinations, the last word changing fastest."""
    names: tuple[str, ...] = ("",)
    for choice in words:
        names = tuple(first + second for first in names for second in choice)
    return names


def _restored(x: Tensor, judge: Preparation, preparation: Preparation) -> Records:
    """Samples in the units of the data, as a user would give them to the judge: images in 8 bits, at its size."""
    if isinstance(judge.how, Pixels) and judge.how.shape is not None and x.shape[2:] != judge.how.shape[:2]:
        size = list(judge.how.shape[:2])
        x = functional.interpolate(x.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
    found = preparation.restore(x.cpu())
    spec = preparation.spec
    if spec.kind == "sequence":
        names = RowNames(np.arange(len(x)))
        return SoundArrays(ids=names, waves=list(np.asarray(found)), rate=spec.rate or 0, origin="samples")
    return as_records(found)


def described(space: Space, size: int, spec: DataSpec) -> str:
    """The space in words."""
    told = f", {len(space.classes):,} classes" if space.classes else ""
    kind = " of images at {} x {}".format(*spec.shape[1:]) if spec.kind == "image" else ""
    return f"{space.name}: {size:,} values a sample{told}{kind}"
