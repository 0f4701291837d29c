"""Convolutional maps between images and smaller maps of codes, with residual blocks: the networks of VQ-VAE.

Source: the example that accompanies van den Oord et al. 2017 (two strided convolutions, one that keeps the size, and
residual blocks of a narrow 3 x 3 and a wide 1 x 1 convolution), for any number of halvings and any H x W.
"""

from torch import Tensor, nn

from urbild.nets.layers import Size, Upsample, halved


def sizes_down(size: Size, down: int) -> list[Size]:
    """The sizes that an image passes through, largest first: halved `down` times, rounding up."""
    sizes = [size]
    for _ in range(down):
        sizes.append(halved(sizes[-1]))
    return sizes


class Residual(nn.Module):
    """Blocks x + f(x) and a rectifier behind the last: [N, C, H, W] to the same shape.

    Args:
        channels: C.
        narrow: channels of the 3 x 3 convolutions.
        blocks: their number.
    """

    def __init__(self, channels: int, narrow: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.Conv2d(channels, narrow, 3, padding=1), nn.ReLU(), nn.Conv2d(narrow, channels, 1)
            )
            for _ in range(blocks)
        )
        self.last = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Passes x through the blocks."""
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.last(x)
        return out


def _narrow(hidden: int) -> int:
    return max(1, hidden // 4)


def down_path(channels: int, size: Size, down: int, *, hidden: int, residual: int) -> nn.Sequential:
    """Images [N, channels, *size] to features [N, hidden, *small], halved `down` times (at least once).

    Args:
        channels: of the images.
        size: of the images.
        down: how often a side is halved.
        hidden: channels of the features; half of them behind all strided convolutions but the last.
        residual: number of residual blocks.
    """
    layers: list[nn.Module] = []
    before = channels
    for level, (height, width) in enumerate(sizes_down(size, down)[:-1]):
        after = hidden if level == down - 1 and down > 1 else max(1, hidden // 2)
        kernel = (4 - height % 2, 4 - width % 2)  # an odd side comes to its half, rounded up
        layers += [nn.Conv2d(before, after, kernel, stride=2, padding=1), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, hidden, 3, padding=1), Residual(hidden, _narrow(hidden), residual))


def up_path(before: int, channels: int, size: Size, down: int, *, hidden: int, residual: int) -> nn.Sequential:
    """Its mirror: codes [N, before, *small] to [N, channels, *size], linear at its end."""
    layers: list[nn.Module] = []
    sizes = sizes_down(size, down)[:-1]
    width = hidden
    for level, large in reversed(list(enumerate(sizes))):
        after = channels if level == 0 else max(1, hidden // 2)
        layers.append(Upsample(width, after, large, upsampling="transposed"))
        if level:
            layers.append(nn.ReLU())
        width = after
    return nn.Sequential(nn.Conv2d(before, hidden, 3, padding=1), Residual(hidden, _narrow(hidden), residual), *layers)
