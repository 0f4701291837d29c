"""Stock encoders and decoders, chosen in one place by the shape of a sample.

Vectors get two hidden layers. Images get convolutions of stride 2 until no side is longer than 8 (at least one where a
side is 4 or more), their channels doubling up to eight times the first, and one linear layer to the code. Sides halve
rounding up, and the decoder climbs through the same sizes, so that any H x W comes back exactly.
"""

from torch import Tensor, nn

from urbild.contract import DataSpec
from urbild.errors import OptionError, ShapeError
from urbild.nets.layers import Normalisation, Size, Upsample, Upsampling, halved, image_size, normalise

SMALLEST = 8


def default_width(spec: DataSpec) -> int:
    """Channels of the first convolution, or units of the first hidden layer."""
    return 32 if spec.kind == "image" else 128


def default_latent(spec: DataSpec) -> int:
    """Size of a code that cannot hold a sample: 16 for images; for vectors a quarter of the columns, at most 16."""
    return 16 if spec.kind == "image" else max(1, min(16, spec.size // 4))


def check_sizes(**sizes: float | None) -> None:
    """Refuses sizes and rates that are not positive; None stands for a default.

    Raises:
        OptionError: one of them is zero or negative.
    """
    for name, value in sizes.items():
        if value is not None and not value > 0:
            msg = f"{name} must be positive, and is {value}."
            raise OptionError(msg)


def encoder(spec: DataSpec, code: int, *, width: int | None = None, normalisation: Normalisation = "none") -> nn.Module:
    """A network from samples [N, *shape] to codes [N, code], linear at its end.

    Raises:
        ShapeError: there is no stock network for this kind of data.
    """
    width = width or default_width(spec)
    match spec.kind:
        case "vector":
            return _dense(spec.size, width, max(1, width // 2), code, normalisation)
        case "image":
            return ImageEncoder(spec, code, width=width, normalisation=normalisation)
        case _:
            raise _no_stock(spec)


def decoder(
    spec: DataSpec,
    code: int,
    *,
    width: int | None = None,
    normalisation: Normalisation = "none",
    upsampling: Upsampling = "nearest",
) -> nn.Module:
    """A network from codes [N, code] to [N, *shape], linear at its end: what the values mean is the caller's choice.

    Raises:
        ShapeError: there is no stock network for this kind of data.
    """
    width = width or default_width(spec)
    match spec.kind:
        case "vector":
            return _dense(code, max(1, width // 2), width, spec.size, normalisation)
        case "image":
            return ImageDecoder(spec, code, width=width, normalisation=normalisation, upsampling=upsampling)
        case _:
            raise _no_stock(spec)


def _no_stock(spec: DataSpec) -> ShapeError:
    return ShapeError(f"there is no stock network for {spec.kind} data; vectors and images have one.")


def _dense(before: int, first: int, second: int, after: int, normalisation: Normalisation) -> nn.Module:
    return nn.Sequential(
        nn.Linear(before, first),
        _normalise_units(normalisation, first),
        nn.ReLU(),
        nn.Linear(first, second),
        _normalise_units(normalisation, second),
        nn.ReLU(),
        nn.Linear(second, after),
    )


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
        self.code = nn.Linear(before * sizes[-1][0] * sizes[-1][1], code)

    def forward(self, x: Tensor) -> Tensor:
        """Codes [N, code] of images [N, C, H, W]."""
        code: Tensor = self.code(self.convolutions(x).flatten(1))  # [N, code]
        return code


class ImageDecoder(nn.Module):
    """A linear layer and upsampling, each step of which halves the channels: [N, code] to [N, C, H, W]."""

    def __init__(
        self, spec: DataSpec, code: int, *, width: int, normalisation: Normalisation, upsampling: Upsampling
    ) -> None:
        super().__init__()
        sizes = pyramid(image_size(spec))
        channels = [spec.channels, *_channels(width, len(sizes) - 1)][::-1]  # one entry for each size, smallest first
        self.start = (channels[0], *sizes[-1])
        self.code = nn.Linear(code, channels[0] * sizes[-1][0] * sizes[-1][1])
        blocks: list[nn.Module] = []
        for large, before, after in zip(reversed(sizes[:-1]), channels, channels[1:], strict=False):
            between = [normalise(normalisation, before), nn.ReLU()]
            blocks += [*between, Upsample(before, after, large, upsampling=upsampling)]
        self.convolutions = nn.Sequential(*blocks)

    def forward(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W], not squashed, of codes [N, code]."""
        x: Tensor = self.convolutions(self.code(z).unflatten(1, self.start))  # [N, C, H, W]
        return x
