"""Supervised classifier: the judge of wanted labels, and a feature space for metrics.

LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition,
https://doi.org/10.1109/5.726791

    minimise  -ln p(y|x)        in nats, the mean over the labelled samples (label -1 takes no part)

Images pass a pyramid of 3 x 3 convolutions, each with batch normalisation, a rectifier and a maximum over 2 x 2, until
no side is longer than 8 (28 x 28: 32 and 64 channels); then come a hidden layer of 128 features and the last layer.
Sound of 4 kHz and more is seen as an image, its log-mel spectrogram, other sequences pass convolutions of stride 4; of
both the mean over each quarter of the time and the maximum are taken, so that any length is judged and padding has no
say. Vectors pass two hidden layers.

A classifier that judges generated samples must not have taken part in their making, sees training data alone, and says
little without its own accuracy on real test data beside.

Departures from the paper: rectifiers, maxima, batch normalisation and dropout; softmax and cross-entropy; Adam under a
warm-up and a cosine.
"""
# ruff: noqa: ARG002, D102 -- the verbs are documented in the contract; `given` is not used here

from collections.abc import Sequence
from math import log

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import (
    UNLABELLED,
    Batch,
    Classifies,
    DataSpec,
    Encodes,
    Losses,
    Model,
    Source,
    Stage,
    Turn,
    adam,
)
from urbild.errors import DataError, OptionError
from urbild.nets import stock
from urbild.nets.labels import check_named
from urbild.nets.layers import Flatten, image_size
from urbild.ops.precision import full
from urbild.ops.schedules import warm_cosine
from urbild.ops.sound import SMALLEST_MEL, Frames, log_mels, sounding
from urbild.ops.sources import Chosen

FEATURES = 128
LEAST_RATE = 4000  # of sound in Hz: below it 40 mels lie nearer than a spectrum can tell
PARTS = 4  # of time that keep their order
SHORT = 16  # steps of time to which a sequence is brought


class Classifier(Model, Encodes, Classifies):
    """A network of features, and a linear layer that tells the classes apart.

    Args:
        spec: of the data, with the names of the classes.
        trunk: maps samples [N, *shape] to [N, wide].
        wide: numbers that the trunk gives.
        dropout: share of the features left out in training; half as many of the trunk's numbers are.
        learning_rate: of Adam, at its highest.
    """

    def __init__(self, spec: DataSpec, trunk: nn.Module, wide: int, *, dropout: float, learning_rate: float) -> None:
        super().__init__()
        self.spec, self.learning_rate = spec, learning_rate
        self.features = nn.Sequential(trunk, nn.Dropout(dropout / 2), nn.Linear(wide, FEATURES), nn.ReLU())
        self.last = nn.Sequential(nn.Dropout(dropout), nn.Linear(FEATURES, len(spec.classes)))

    def stages(self) -> Sequence[Stage]:
        turn = Turn(
            name="cross-entropy",
            modules=(self.features, self.last),
            loss=self.loss,
            optimiser=adam(self.learning_rate),
            rate=warm_cosine,
        )
        return (Stage(name="classifier", turns=(turn,), source=labelled),)

    def loss(self, batch: Batch) -> Losses:
        """The cross-entropy of a labelled sample in nats; beside it the share of them that is told right."""
        if batch.y is None:
            msg = "a classifier learns from labels, and this source gives none with its samples; give Batch.y."
            raise DataError(msg)
        logits = full(self.last(self.features(batch.x)))  # [N, classes]
        known = batch.y != UNLABELLED
        count = known.sum().clamp(min=1)
        nats = functional.cross_entropy(logits, batch.y.clamp(min=0), reduction="none")
        right = (logits.argmax(1) == batch.y) & known
        return {"loss": (nats * known).sum() / count, "accuracy": right.sum() / count}

    def encode(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return full(self.features(x))  # [N, FEATURES]

    def classify(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return functional.log_softmax(full(self.last(self.features(x))), dim=1)  # [N, classes]


def labelled(source: Source) -> Source:
    """The labelled samples of a source.

    Raises:
        DataError: there are none, or they are all of one class.
    """
    rows = np.flatnonzero(source.labels != UNLABELLED) if source.labels is not None else np.empty(0, np.int64)
    if source.labels is None or not len(rows):
        msg = f"a classifier learns from labels, and none of the {len(source)} training samples has one; {LABELS}"
        raise DataError(msg)
    present, classes = np.unique(source.labels[rows]), source.spec.classes
    check_named(present, classes)
    if len(present) < 2:
        msg = f"all {len(rows)} labelled samples are of the class {classes[present[0]]!r}; a classifier needs two."
        raise DataError(msg)
    return source if len(rows) == len(source) else Chosen(source, rows)


LABELS = "give them by folder names, a label column (--label-column) or y in an .npz."


def blocks_of(channels: int, width: int, levels: int) -> tuple[nn.Sequential, int]:
    """Convolutions [N, C, H, W] each of which halves the sides, rounding up; and the channels after them."""
    before, blocks = channels, list[nn.Module]()
    for level in range(levels):
        after = width * min(2**level, 8)
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        blocks += [convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
        before = after
    return nn.Sequential(*blocks), before


class Spectral(nn.Module):
    """Log-mels as an image that is 0 where it is silent, convolutions, and pooling over time: [N, T, 1] to [N, `wide`].

    The network is that of any length; padding takes no part in the pooling.
    """

    def __init__(self, rate: int, *, width: int) -> None:
        super().__init__()
        window = rate // 40  # 25 ms, one each 10 ms
        self.frames = Frames(rate=rate, window=window, hop=rate // 100, bins=2 << window.bit_length())
        sizes = stock.pyramid((self.frames.mels, self.frames.mels))
        self.blocks, after = blocks_of(1, width, len(sizes) - 1)
        self.wide = (PARTS + 1) * after * sizes[-1][0]

    def image(self, x: Tensor) -> Tensor:
        """The log-mels [N, 1, mels, frames] of sound [N, T, 1], brought to a size near 1."""
        image = 1 - log_mels(x.squeeze(2), self.frames)[:, None] / log(SMALLEST_MEL)
        return image.contiguous(memory_format=torch.channels_last)  # convolutions of these are twice as fast

    def forward(self, x: Tensor) -> Tensor:
        """Numbers [N, wide] of sound [N, T, 1]."""
        steps = self.blocks(self.image(x)).flatten(1, 2)  # [N, C mels', T']
        return pooled(steps, sounding_share(x))


class Strided(nn.Module):
    """Convolutions over time and pooling over what is left: [N, T, D] to [N, `wide`]."""

    def __init__(self, spec: DataSpec, *, width: int) -> None:
        super().__init__()
        length, before, blocks, level = spec.shape[0], spec.channels, list[nn.Module](), 0
        while length > SHORT or not blocks:
            after, stride = width * min(2**level, 4), 4 if length > SHORT else 1
            convolution = nn.Conv1d(before, after, 9, stride=stride, padding=4, bias=False)
            blocks += [convolution, nn.BatchNorm1d(after), nn.ReLU()]
            before, length, level = after, -(-length // stride), level + 1
        self.blocks = nn.Sequential(*blocks)
        self.wide, self.is_sound = (PARTS + 1) * before, spec.rate is not None

    def forward(self, x: Tensor) -> Tensor:
        """Numbers [N, wide] of sequences [N, T, D]."""
        steps: Tensor = self.blocks(x.mT)  # [N, C, T']
        return pooled(steps, sounding_share(x) if self.is_sound else torch.ones(len(x), device=x.device))


def sounding_share(x: Tensor) -> Tensor:
    """The share [N] of padded sound [N, T, 1] that is not padding."""
    return sounding(x.squeeze(2)).float().mean(1)


def pooled(steps: Tensor, share: Tensor) -> Tensor:
    """The mean of each part of the first `share` [N] of steps [N, F, T], and the maximum: [N, (PARTS + 1) F]."""
    steps, last = full(steps), (share * steps.shape[2])[:, None, None]  # [N, 1, 1]
    at = torch.arange(steps.shape[2], device=steps.device)
    part = torch.arange(PARTS, device=steps.device)[:, None] * last / PARTS  # [N, PARTS, 1] where each begins
    weight = (torch.minimum(at + 1, part + last / PARTS) - torch.maximum(at, part)).clamp(min=0)  # [N, PARTS, T]
    means = steps @ (weight / weight.sum(2, keepdim=True)).mT  # [N, F, PARTS]
    most = steps.masked_fill(at >= last, -torch.inf).amax(2)
    return torch.cat([full(means).flatten(1), most], dim=1)


def _dense(spec: DataSpec, width: int | None) -> tuple[nn.Module, int]:
    units = width or (128 if spec.kind == "vector" else 512)
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.size, units), nn.ReLU()), units


def _convolutional(spec: DataSpec, width: int | None) -> tuple[nn.Module, int]:
    if spec.kind == "image":
        sizes = stock.pyramid(image_size(spec))
        blocks, after = blocks_of(spec.channels, width or 32, len(sizes) - 1)
        return nn.Sequential(blocks, Flatten()), after * sizes[-1][0] * sizes[-1][1]
    is_heard = spec.rate is not None and spec.rate >= LEAST_RATE and spec.channels == 1
    trunk = Spectral(spec.rate or 0, width=width or 16) if is_heard else Strided(spec, width=width or 32)
    return trunk, trunk.wide


def classifier(
    spec: DataSpec,
    *,
    width: int | None = None,
    dropout: float = 0.3,
    network: stock.Network = "auto",
    learning_rate: float = 4e-3,
) -> Model:
    """Builds a classifier of the classes that the data name.

    Args:
        spec: of the data; `spec.classes` are what is told apart.
        width: channels of the first convolution (default 32, for spectrograms 16), or units of the first dense layer
            (default 128 for vectors, 512 for images).
        dropout: share of the features that is left out in training, from 0 to below 1; half as much is left out of
            what enters them.
        network: "auto" takes dense layers for vectors, else convolutions.
        learning_rate: of Adam, at its highest.

    Raises:
        OptionError: an option is out of range, or the data cannot have that kind of network.
        DataError: the data name fewer than two classes.
    """
    stock.check_sizes(width=width, learning_rate=learning_rate)
    if not 0 <= dropout < 1:
        msg = f"dropout must be from 0 to below 1, and is {dropout}."
        raise OptionError(msg)
    if len(spec.classes) < 2:
        found = f"only one class, {spec.classes[0]!r}" if spec.classes else "no classes"
        msg = f"a classifier needs two classes or more, and the training data name {found}; {LABELS}"
        raise DataError(msg)
    if spec.kind == "vector" and network == "convolutional":
        msg = "vectors have no neighbourhoods to convolve; take network='dense', or 'auto'."
        raise OptionError(msg)
    if spec.kind == "sequence" and network == "dense":
        msg = (
            "dense layers want samples of one length, and sequences have any; take network='convolutional', or 'auto'."
        )
        raise OptionError(msg)
    dense = network == "dense" or spec.kind == "vector"
    trunk, wide = _dense(spec, width) if dense else _convolutional(spec, width)
    return Classifier(spec, trunk, wide, dropout=dropout, learning_rate=learning_rate)
