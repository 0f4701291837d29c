"""Encoders of sound: a vector for every `hop` samples, of the log-mels there or of the wave itself.

Padding has no say: what lies beyond the end of a sound is brought to zero in every layer, so that a sound has the same
vectors however long its padding is. Layouts are [N, channels, T'].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbild.contract import Source
from urbild.ops.sound import Frames, log_mels, mu_law_encode, sounding

MELS = 40


def framed(x: Tensor, valid: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    """What encoders take: sound [N, T' hop] of x [N, T, 1], zeros where not `valid` [N, T]; and `live` [N, T'].

    A site is live where its first sample is valid.
    """
    short = -x.shape[1] % hop
    return functional.pad(x[..., 0] * valid, (0, short)), functional.pad(valid, (0, short))[:, ::hop]


def started(convolution: nn.Conv1d) -> nn.Conv1d:
    """The convolution, started so that a rectifier after it keeps the size of what enters.

    Smaller weights would let the ends of a sound, where zeros enter, outweigh what is said.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852, equation 10.
    """
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution


class Masked(nn.Module):
    """A convolution over time and a rectifier, then zeros where there is no sound.

    Args:
        before: channels that enter.
        after: channels that leave.
        residual: whether what enters is added to what leaves.
    """

    def __init__(self, before: int, after: int, *, residual: bool = False) -> None:
        super().__init__()
        self.convolution, self.residual = started(nn.Conv1d(before, after, 3, padding=1)), residual

    def forward(self, h: Tensor, live: Tensor) -> Tensor:
        """[N, after, T'] of h [N, before, T']; `live` [N, T'] says which sites sound."""
        made = functional.relu(self.convolution(h))
        return (h + made if self.residual else made) * live[:, None]


class Context(nn.Module):
    """Vectors that know their neighbours: a masked convolution, then residual ones.

    Args:
        before: channels that enter.
        width: channels between.
        after: channels that leave.
        residual: number of residual convolutions.
    """

    def __init__(self, before: int, width: int, after: int, *, residual: int = 2) -> None:
        super().__init__()
        self.before = before
        self.layers = nn.ModuleList(
            [Masked(before, width), *(Masked(width, width, residual=True) for _ in range(residual))]
        )
        self.last = nn.Conv1d(width, after, 1)
        nn.init.kaiming_normal_(self.last.weight, nonlinearity="linear")

    def forward(self, h: Tensor, live: Tensor) -> Tensor:
        """[N, after, T'] of h [N, before, T']; `live` [N, T'] says which sites sound."""
        for layer in self.layers:
            h = layer(h, live)
        made: Tensor = self.last(h)
        return made


class MelEncoder(nn.Module):
    """Log-mels, each standardised over what sounds in the training data, and convolutions over time.

    Args:
        rate: of the sound, in Hz.
        hop: samples from vector to vector; windows are 25 ms, or two hops where these are longer.
        width: channels.
        size: D, numbers of a vector.
    """

    def __init__(self, rate: int, hop: int, width: int, size: int) -> None:
        super().__init__()
        window = max(rate // 40, 2 * hop)
        self.frames = Frames(rate=rate, window=window, hop=hop, bins=2 << window.bit_length(), mels=MELS)
        self.body = Context(MELS, width, size)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(MELS, 1))
        self.register_buffer("deviation", torch.ones(MELS, 1))

    def solve(self, source: Source) -> None:
        """Takes mean and deviation of each log-mel, in one pass."""
        count, first = 0, torch.zeros(MELS, dtype=torch.float64)
        second = torch.zeros_like(first)
        for batch in source.batches():
            wave, live = framed(
                batch.x, sounding(batch.x[..., 0]) if batch.mask is None else batch.mask, self.frames.hop
            )
            mels = self.mels(wave, live).movedim(1, 2)[live].double().cpu()  # [M, mels]
            count, first, second = count + len(mels), first + mels.sum(0), second + mels.square().sum(0)
        mean = first / count
        deviation = (second / count - mean.square()).clamp(min=1e-4).sqrt()
        self.mean.copy_(mean[:, None])
        self.deviation.copy_(deviation[:, None])

    def mels(self, x: Tensor, live: Tensor) -> Tensor:
        """Log-mels [N, mels, T'] of sound [N, T' hop], in nats."""
        with torch.autocast(x.device.type, enabled=False):
            return log_mels(x, self.frames)[:, :, : live.shape[1]]

    def forward(self, x: Tensor, live: Tensor) -> Tensor:
        """Vectors [N, D, T'] of sound [N, T' hop], zeros beyond its end; `live` [N, T'] says which sites sound."""
        mels = (self.mels(x, live) - self.mean) / self.deviation
        made: Tensor = self.body(mels * live[:, None], live)
        return made


class WaveEncoder(nn.Module):
    """Convolutions of four taps that halve the companded wave until a vector stands for `hop` samples.

    Args:
        hop: samples from vector to vector, a power of two; 64 takes six convolutions.
        width: channels.
        size: D, numbers of a vector.
        levels: of the companding.
    """

    def __init__(self, hop: int, width: int, size: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        depth = hop.bit_length() - 1
        self.halving = nn.ModuleList(
            started(nn.Conv1d(width if level else 1, width, 4, stride=2, padding=1)) for level in range(depth)
        )
        self.body = Context(width if depth else 1, width, size)

    def forward(self, x: Tensor, live: Tensor) -> Tensor:
        """Vectors [N, D, T'] of sound [N, T' hop], zeros beyond its end; `live` [N, T'] says which sites sound."""
        h = 2 * mu_law_encode(x, self.levels).to(x.dtype) / (self.levels - 1) - 1
        h = (h * x.ne(0))[:, None]  # no code means exactly 0, but padding is
        for level, convolution in enumerate(self.halving):
            sounding = live.repeat_interleave(2 ** (len(self.halving) - 1 - level), 1)
            h = functional.relu(convolution(h)) * sounding[:, None]
        made: Tensor = self.body(h, live)
        return made


def jittered(z: Tensor, live: Tensor, share: float) -> Tensor:
    """Vectors [N, D, T'] of which a share, drawn at random, is replaced by a neighbour, the left or the right.

    The first and the last that are `live` [N, T'] may stay where their neighbour would lie outside.

    Source: Chorowski et al. 2019, Unsupervised speech representation learning using WaveNet autoencoders, section 3.
    """
    places = torch.arange(z.shape[2], device=z.device)
    chance = torch.rand(live.shape, device=z.device)
    moved = places + (chance < share / 2).long() - (chance > 1 - share / 2).long()  # [N, T']
    moved = torch.where(live, moved.clamp(min=0).minimum(live.sum(1, keepdim=True) - 1), places)
    return z.gather(2, moved[:, None].expand_as(z))


def spread(rows: Tensor, live: Tensor) -> Tensor:
    """Vectors [M, D] of the sites that are `live` [N, T'], at their sites [N, D, T'], zeros elsewhere."""
    placed = rows.new_zeros(*live.shape, rows.shape[1])
    return placed.masked_scatter(live[..., None], rows).movedim(2, 1)
