"""Networks for both players of an adversarial game, as values that are passed to a builder.

An architecture makes a generator, from codes [N, code] to samples [N, *shape], and a critic, from samples to logits
[N]. Inside a game images are in [-1, 1] and of the size of the data: convolutions that need another size resample at
their ends, so that what the critic judges is what the generator gives out.
"""

# ruff: noqa: D102 -- the methods are documented at their abstract classes

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError
from urbild.nets import dcgan
from urbild.nets.layers import Size, image_size, normalise
from urbild.nets.moves import Checked, check_share
from urbild.nets.spectral import Normaliser, spectral
from urbild.nets.stock import check_sizes
from urbild.ops.precision import full
from urbild.ops.resampling import resize

Network = TypeVar("Network", bound=nn.Module)
Activation: TypeAlias = Literal["relu", "leaky", "tanh", "maxout"]

PIECES = 5  # of a maxout unit


class Critic(nn.Module):
    """Judges samples.

    Args:
        body: from samples joined with what else is known, to features: vectors [N, F] or maps [N, F, h, w].
        verdict: from features to [N, 1].
        size: of the images that a convolutional body takes; None for a dense one.
        projection: from features to [N, E]; what else is known weighs these in the logits, and is not joined to samples
            (Miyato and Koyama 2018, equation 3).
    """

    def __init__(
        self, body: nn.Module, verdict: nn.Module, *, size: Size | None = None, projection: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.body, self.verdict, self.size, self.projection = body, verdict, size, projection

    def features(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """What the verdict is made of, of samples [N, *sample] and what else is known of them [N, E].

        `extra` is appended to a vector, and to an image as constant maps.
        """
        if self.size is None:
            x = x.flatten(1)
            joined = x if extra is None else torch.cat([x, extra.to(x)], dim=1)
        else:
            x = resize(full(x), self.size)
            maps = None if extra is None else extra.to(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            joined = x if maps is None else torch.cat([x, maps], dim=1)
        features: Tensor = self.body(joined)
        return features

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """Logits [N]; larger is more real."""
        if self.projection is None or extra is None:
            logits: Tensor = self.verdict(self.features(x, extra))
            return logits.squeeze(1)
        features = self.features(x)
        judged: Tensor = self.verdict(features).squeeze(1) + (self.projection(features) * extra).sum(1)
        return judged


class Architecture(Checked, ABC):
    """A kind of network. Frozen dataclasses have `normalisation` and `dropout` among their fields."""

    normalisation: Normaliser
    dropout: float | None

    @abstractmethod
    def generator(self, spec: DataSpec, code: int) -> nn.Module:
        """From codes [N, code] to samples [N, *shape]: images in [-1, 1], vectors as they are.

        Raises:
            OptionError: such data cannot have such a network.
        """

    @abstractmethod
    def critic(self, spec: DataSpec, *, extra: int = 0, packing: int = 1, projected: bool = False) -> Critic:
        """From samples, `packing` of them side by side, and `extra` numbers for each, to logits.

        Those numbers are joined to the samples, or `projected`: they weigh outputs of the last layer.

        Raises:
            OptionError: such data cannot have such a network.
        """


@dataclass(frozen=True, slots=True)
class Dense(Architecture):
    """Layers of the same width.

    Attributes:
        width: units of a hidden layer (default 128 for vectors, 512 for images).
        depth: hidden layers.
        normalisation: of the hidden layers. Of a critic the first one is left out where there are others, as in
            `Pyramid`, and batch statistics come without gains and shifts, as in the code of BiGAN's authors.
        activation: of the hidden layers; maxout takes the largest of 5 linear pieces (Goodfellow et al. 2013).
        dropout: share of hidden units that are left out in training.
        unit: whether images are in [0, 1] where they enter and leave, by a sigmoid, and not in [-1, 1].
        start: standard deviation of weights at the start, around 0, where biases are 0; by default both are uniform,
            and the less the more inputs a layer has.
    """

    width: int | None = None
    depth: int = 2
    normalisation: Normaliser = "none"
    activation: Activation = "relu"
    dropout: float | None = None
    unit: bool = False
    start: float | None = None

    def check(self) -> None:
        check_sizes(width=self.width, depth=self.depth, start=self.start)
        check_share(dropout=self.dropout)

    def generator(self, spec: DataSpec, code: int) -> nn.Module:
        self.check()
        layers = [*chain(*self._hidden(spec, code, [self.normalisation] * self.depth))]
        layers += [nn.Linear(self._width(spec), spec.size), nn.Unflatten(1, spec.shape)]
        if spec.kind == "image":
            layers += [nn.Sigmoid(), _Stretched()] if self.unit else [nn.Tanh()]
        return self._started(nn.Sequential(*layers))

    def late_critic(self, spec: DataSpec, *, extra: int, packing: int = 1) -> Critic:
        """A critic whose `extra` numbers join at the last hidden layer; at the first one where there is no other."""
        self.check()
        if self.depth == 1:
            return self.critic(spec, extra=extra, packing=packing)
        size = packing * spec.size
        *before, (joint, *after) = self._seeing(spec, size, packing)
        code = nn.Linear(packing * extra, joint.out_features, bias=False)  # type: ignore[arg-type]
        body = _Late(size, nn.Sequential(*chain(*before), joint), code, nn.Sequential(*after))
        return self._started(Critic(body, nn.Linear(self._width(spec), 1)))

    def critic(self, spec: DataSpec, *, extra: int = 0, packing: int = 1, projected: bool = False) -> Critic:
        self.check()
        width, joined = self._width(spec), 0 if projected else extra
        body = nn.Sequential(*chain(*self._seeing(spec, packing * (spec.size + joined), packing)))
        projection = nn.Linear(width, packing * extra, bias=False) if projected else None
        return self._started(Critic(body, nn.Linear(width, 1), projection=projection))

    def _width(self, spec: DataSpec) -> int:
        return self.width or (512 if spec.kind == "image" else 128)

    def _seeing(self, spec: DataSpec, before: int, packing: int) -> list[list[nn.Module]]:
        """Hidden layers of a critic."""
        first: Normaliser = "none" if self.depth > 1 else self.normalisation
        layers = self._hidden(spec, before, [first, *[self.normalisation] * (self.depth - 1)], gains=False)
        if self.unit and spec.kind == "image":
            layers[0].insert(0, _Squeezed(packing * spec.size))
        return layers

    def _hidden(
        self, spec: DataSpec, before: int, normalisers: Sequence[Normaliser], *, gains: bool = True
    ) -> list[list[nn.Module]]:
        width, layers = self._width(spec), list[list[nn.Module]]()
        units = PIECES * width if self.activation == "maxout" else width
        for kind in normalisers:
            layers.append([nn.Linear(before, units), *scaled(kind, units, gains=gains), _activation(self.activation)])
            layers[-1] += [nn.Dropout(self.dropout)] if self.dropout else []
            before = width
        return layers

    def _started(self, network: Network) -> Network:
        for layer in network.modules():
            if self.start is not None and isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=self.start)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if self.normalisation == "spectral":
            spectral(network)
        return network


@dataclass(frozen=True, slots=True)
class Pyramid(Architecture):
    """The strided convolutions of DCGAN, at any image size.

    Attributes:
        width: channels of the largest maps (default 32); they double as the maps halve, up to 8 times.
        normalisation: of the layers that the paper normalises.
        dropout: share of features that are left out in training.
    """

    width: int | None = None
    normalisation: Normaliser = "batch"
    dropout: float | None = None

    def check(self) -> None:
        check_sizes(width=self.width)
        check_share(dropout=self.dropout)

    def generator(self, spec: DataSpec, code: int) -> nn.Module:
        self.check()
        size = _need_image(spec)
        up = dcgan.up(
            spec.channels,
            size,
            self.width or 32,
            code,
            normaliser=self.normalisation,
            dropout=self.dropout or 0.0,
        )
        return nn.Sequential(up, nn.Tanh(), _Resized(size))

    def critic(self, spec: DataSpec, *, extra: int = 0, packing: int = 1, projected: bool = False) -> Critic:
        self.check()
        size, width = _need_image(spec), self.width or 32
        channels = packing * (spec.channels + (0 if projected else extra))
        body = dcgan.down(channels, size, width, normaliser=self.normalisation, dropout=self.dropout or 0.0)
        verdict = dcgan.top(size, width, 1, normaliser=self.normalisation)
        projection = None
        if projected:
            rows = packing * extra
            projection = dcgan.top(size, width, rows, normaliser=self.normalisation, shifted=False)
        return Critic(body, verdict, size=dcgan.working_size(size), projection=projection)


class Maxout(nn.Module):
    """The largest of each unit's linear pieces."""

    def forward(self, x: Tensor) -> Tensor:
        """Takes [N, PIECES F] to [N, F]."""
        return x.reshape(len(x), -1, PIECES).amax(2)


class _Late(nn.Module):
    """Layers of the first `size` columns, to whose linear outputs those of the other columns are added."""

    def __init__(self, size: int, before: nn.Module, code: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.size, self.before, self.code, self.after = size, before, code, after

    def forward(self, joined: Tensor) -> Tensor:
        features: Tensor = self.after(self.before(joined[:, : self.size]) + self.code(joined[:, self.size :]))
        return features


class _Squeezed(nn.Module):
    """Brings the first `size` columns from [-1, 1] to [0, 1]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, joined: Tensor) -> Tensor:
        return torch.cat([(joined[:, : self.size] + 1) / 2, joined[:, self.size :]], dim=1)


class _Stretched(nn.Module):
    """Brings [0, 1] to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * full(x) - 1


class _Resized(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return resize(full(x), self.size)


def _activation(kind: Activation) -> nn.Module:
    match kind:
        case "relu":
            return nn.ReLU()
        case "leaky":
            return nn.LeakyReLU(0.2)
        case "tanh":
            return nn.Tanh()
        case "maxout":
            return Maxout()


def scaled(kind: Normaliser, units: int, *, gains: bool) -> list[nn.Module]:
    """What normalises hidden units; batch statistics come with `gains` and shifts or without."""
    match kind:
        case "none" | "spectral":
            return []
        case "batch":
            return [nn.BatchNorm1d(units, affine=gains)]
        case "group":
            return [normalise("group", units)]


def _need_image(spec: DataSpec) -> Size:
    if spec.kind != "image":
        msg = f"Pyramid convolves images, and {spec.kind} data are none; take Dense()."
        raise OptionError(msg)
    return image_size(spec)


DENSE, LEAKY, PYRAMID = Dense(), Dense(activation="leaky"), Pyramid()
