"""The convolutional pyramid of DCGAN at any image size (Radford et al. 2015, https://arxiv.org/abs/1511.06434).

Strided 4x4 convolutions without biases halve an image until its shorter side is about 4; a last one without padding
covers what is left. The image is first brought to the nearest larger multiple that can be halved so often: 28 x 28 to
32 x 32, 100 x 64 to 112 x 64. Weights are drawn from N(0, .02), the gains of batch normalisation from N(1, .02).

Networks without batch or group normalisation have biases, which those bring along; they start at 0.
"""

from itertools import pairwise
from math import ceil, log2

from torch import nn

from urbild.nets.layers import Size, normalise
from urbild.nets.spectral import Normaliser, spectral


def halvings(size: Size) -> int:
    """How often an image is halved: to a shorter side of about 4, at least once."""
    return max(1, round(log2(min(size) / 4)))


def working_size(size: Size) -> Size:
    """The smallest size that holds an image and can be halved."""
    unit = 2 ** halvings(size)
    return ceil(size[0] / unit) * unit, ceil(size[1] / unit) * unit


def _last(size: Size) -> Size:
    height, width = working_size(size)
    return height >> halvings(size), width >> halvings(size)


def _widths(size: Size, width: int) -> list[int]:
    return [width * min(2**level, 8) for level in range(halvings(size))]


def _shifts(normaliser: Normaliser) -> bool:
    """Whether a normaliser has shifts of its own, so that convolutions need none."""
    return normaliser in ("batch", "group")


def _after(normaliser: Normaliser, channels: int, rectifier: nn.Module, dropout: float) -> list[nn.Module]:
    """What follows a convolution."""
    layers = [rectifier, nn.Dropout(dropout)] if dropout else [rectifier]
    match normaliser:
        case "none" | "spectral":
            return layers
        case kind:
            return [normalise(kind, channels), *layers]


def down(
    channels: int, size: Size, width: int, *, normaliser: Normaliser = "batch", dropout: float = 0.0
) -> nn.Sequential:
    """From [N, channels, *working_size] to features [N, C, h, w], as encoders and discriminators have them.

    The first convolution is not followed by a normalisation of its output, as in the paper.
    """
    widths, bias = _widths(size, width), not _shifts(normaliser)
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1, bias=bias)]
    layers += _after("none", widths[0], nn.LeakyReLU(0.2), dropout)
    for before, after in pairwise(widths):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias))
        layers += _after(normaliser, after, nn.LeakyReLU(0.2), dropout)
    return initialise(nn.Sequential(*layers), normaliser)


def top(
    size: Size, width: int, code: int, *, normaliser: Normaliser = "batch", shifted: bool | None = None
) -> nn.Module:
    """From the features to [N, code]; with biases where it is `shifted`, by default as the layers before it."""
    bias = not _shifts(normaliser) if shifted is None else shifted
    convolution = nn.Conv2d(_widths(size, width)[-1], code, _last(size), bias=bias)
    return initialise(nn.Sequential(convolution, nn.Flatten()), normaliser)


def up(
    channels: int, size: Size, width: int, code: int, *, normaliser: Normaliser = "batch", dropout: float = 0.0
) -> nn.Sequential:
    """From codes [N, code] to [N, channels, *working_size]; its output is not squashed."""
    widths, bias = _widths(size, width)[::-1], not _shifts(normaliser)
    layers: list[nn.Module] = [nn.Unflatten(1, (code, 1, 1))]
    layers.append(nn.ConvTranspose2d(code, widths[0], _last(size), bias=bias))
    layers += _after(normaliser, widths[0], nn.ReLU(), dropout)
    for before, after in pairwise(widths):
        layers.append(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias))
        layers += _after(normaliser, after, nn.ReLU(), dropout)
    layers.append(nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1, bias=bias))
    return initialise(nn.Sequential(*layers), normaliser)


def initialise(network: nn.Sequential, normaliser: Normaliser = "batch") -> nn.Sequential:
    """Draws the weights from the distributions of the paper, and normalises them where that is wanted."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)
    if normaliser == "spectral":
        spectral(network)
    return network
