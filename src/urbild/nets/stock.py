"""Stock encoders and decoders, chosen in one place by the shape of a sample.

Dense networks have two hidden layers. Convolutional ones halve an image by strides of 2 until no side is longer than 8
(at least once where a side is 4 or more), their channels doubling up to eight times the first, and end in one linear
layer to the code. Sides halve rounding up, and the decoder climbs through the same sizes, so that any H x W comes back
exactly.

Vectors and small images (up to 64 x 64 in grey) get dense networks, larger images convolutions. On small images dense
autoencoders are the better detectors: convolutions rebuild strokes that no training image has in that place. (MNIST
training digits, 8 or 2 normal: AUROC .91 and .95 dense against .89 and .93. Drawn surfaces at 64 px, two draws that no
other figure uses, 800 steps: .89 and .81 dense against .78 and .77, in a fifth of the time.)
"""

from typing import Literal, TypeAlias

from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError, ShapeError
from urbild.nets.layers import (
    Flatten,
    Normalisation,
    Size,
    Unflatten,
    Upsample,
    Upsampling,
    halved,
    image_size,
    normalise,
)

Network: TypeAlias = Literal["auto", "dense", "convolutional"]

SMALLEST = 8
SMALL_IMAGE = 64 * 64


def _is_dense(spec: DataSpec, network: Network) -> bool:
    if spec.kind not in ("vector", "image"):
        msg = f"there is no stock network for {spec.kind} data; vectors and images have one."
        raise ShapeError(msg)
    if spec.kind == "vector" and network == "convolutional":
        msg = "vectors have no neighbourhoods to convolve; take network='dense', or 'auto'."
        raise OptionError(msg)
    return network == "dense" or (network == "auto" and (spec.kind == "vector" or spec.size <= SMALL_IMAGE))


def _width(spec: DataSpec, width: int | None, *, dense: bool) -> int:
    if width is not None:
        return width
    return 32 if not dense else 128 if spec.kind == "vector" else 512


def default_latent(spec: DataSpec, *, image: int) -> int:
    """Size of a code: `image` for images; for vectors a quarter of the columns, at least 1 and at most 16."""
    return image if spec.kind == "image" else max(1, min(16, spec.size // 4))


def check_sizes(**sizes: float | None) -> None:
    """Refuses sizes and rates that are not positive; None stands for a default.

    Raises:
        OptionError: one of them is zero or negative.
    """
    for name, value in sizes.items():
        if value is not None and not value > 0:
            msg = f"{name} must be positive, and is {value}."
            raise OptionError(msg)


def encoder(
    spec: DataSpec,
    code: int,
    *,
    network: Network = "auto",
    width: int | None = None,
    normalisation: Normalisation = "none",
) -> nn.Module:
    """A network from samples [N, *shape] to codes [N, code], linear at its end.

    Args:
        spec: of the samples.
        code: numbers in a code.
        network: its kind.
        width: channels of the first convolution (default 32), or units of the first hidden layer (default 128 for
            vectors, 512 for images); the second has half of them.
        normalisation: of the hidden layers.

    Raises:
        ShapeError: there is no stock network for this kind of data.
        OptionError: the data cannot have that kind of network.
    """
    dense = _is_dense(spec, network)
    width = _width(spec, width, dense=dense)
    if dense:
        return nn.Sequential(nn.Flatten(), *_dense(spec.size, width, max(1, width // 2), code, normalisation))
    return ImageEncoder(spec, code, width=width, normalisation=normalisation)


def decoder(
    spec: DataSpec,
    code: int,
    *,
    network: Network = "auto",
    width: int | None = None,
    normalisation: Normalisation = "none",
    upsampling: Upsampling = "transposed",
) -> nn.Module:
    """A network from codes [N, code] to [N, *shape], linear at its end: what the values mean is the caller's choice.

    It mirrors `encoder`, whose arguments it takes; `upsampling` is that of convolutional ones.

    Raises:
        ShapeError: there is no stock network for this kind of data.
        OptionError: the data cannot have that kind of network.
    """
    dense = _is_dense(spec, network)
    width = _width(spec, width, dense=dense)
    if dense:
        layers = _dense(code, max(1, width // 2), width, spec.size, normalisation)
        return nn.Sequential(*layers, nn.Unflatten(1, spec.shape))
    return ImageDecoder(spec, code, width=width, normalisation=normalisation, upsampling=upsampling)


def _dense(before: int, first: int, second: int, after: int, normalisation: Normalisation) -> list[nn.Module]:
    return [
        nn.Linear(before, first),
        _normalise_units(normalisation, first),
        nn.ReLU(),
        nn.Linear(first, second),
        _normalise_units(normalisation, second),
        nn.ReLU(),
        nn.Linear(second, after),
    ]


def _normalise_units(kind: Normalisation, units: int) -> nn.Module:
    return nn.BatchNorm1d(units) if kind == "batch" else normalise(kind, units)


def pyramid(size: Size) -> list[Size]:
    """The sizes that an image passes through, largest first."""
    sizes = [size]
    while max(sizes[-1]) > SMALLEST or (len(sizes) == 1 and max(size) >= 4):
        sizes.append(halved(sizes[-1]))
    return sizes


def _channels(width: int, depth: int) -> list[int]:
    return [width * min(2**level, 8) for level in range(depth)]


class ImageEncoder(nn.Module):
    """Convolutions of stride 2 and a linear layer: [N, C, H, W] to [N, code]."""

    def __init__(self, spec: DataSpec, code: int, *, width: int, normalisation: Normalisation) -> None:
        super().__init__()
        sizes = pyramid(image_size(spec))
        before, blocks = spec.channels, []
        for after in _channels(width, len(sizes) - 1):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            blocks += [convolution, normalise(normalisation, after), nn.ReLU()]
            before = after
        self.convolutions = nn.Sequential(*blocks)
        self.flatten = Flatten()
        self.code = nn.Linear(before * sizes[-1][0] * sizes[-1][1], code)

    def forward(self, x: Tensor) -> Tensor:
        """Codes [N, code] of images [N, C, H, W]."""
        code: Tensor = self.code(self.flatten(self.convolutions(x)))  # [N, code]
        return code


class ImageDecoder(nn.Module):
    """A linear layer and upsampling, each step of which halves the channels: [N, code] to [N, C, H, W]."""

    def __init__(
        self, spec: DataSpec, code: int, *, width: int, normalisation: Normalisation, upsampling: Upsampling
    ) -> None:
        super().__init__()
        sizes = pyramid(image_size(spec))
        channels = [spec.channels, *_channels(width, len(sizes) - 1)][::-1]  # one entry for each size, smallest first
        self.unflatten = Unflatten((channels[0], *sizes[-1]))
        self.code = nn.Linear(code, channels[0] * sizes[-1][0] * sizes[-1][1])
        blocks: list[nn.Module] = []
        for large, before, after in zip(reversed(sizes[:-1]), channels, channels[1:], strict=False):
            between = [normalise(normalisation, before), nn.ReLU()]
            blocks += [*between, Upsample(before, after, large, upsampling=upsampling)]
        self.convolutions = nn.Sequential(*blocks)

    def forward(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W], not squashed, of codes [N, code]."""
        x: Tensor = self.convolutions(self.unflatten(self.code(z)))  # [N, C, H, W]
        return x
