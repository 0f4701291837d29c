"""Sound as numbers: companded codes, the mel scale, and plain distances between two waves.

Waves are [N, T] in [-1, 1]. The spectrum is the magnitude of a short-time Fourier transform with a periodic Hann
window, centred frames and zeros beyond the ends; its logarithm is natural, of the magnitude and not of the power, and
mels follow the HTK scale without a normalisation of areas. Libraries differ in each of these.
"""

from dataclasses import dataclass
from math import log, log10

import torch
from torch import Tensor

from urbild.errors import OptionError
from urbild.ops.precision import full

SMALLEST_MEL = 1e-5
SMALLEST_MAGNITUDE = 1e-4


def _mel(hertz: float) -> float:
    return 2595 * log10(1 + hertz / 700)


def mu_law_encode(x: Tensor, levels: int = 256) -> Tensor:
    """Codes 0 to levels - 1, int64, of waves in [-1, 1]; what lies beyond is cut.

    Source: ITU-T G.711, as van den Oord et al. 2016 (https://arxiv.org/abs/1609.03499) quantise, section 2.2.
    """
    mu = levels - 1
    x = full(x).clamp(-1, 1)
    companded = x.sign() * torch.log1p(mu * x.abs()) / torch.log1p(torch.tensor(mu, dtype=x.dtype))
    return ((companded + 1) / 2 * mu + 0.5).floor().long()


def mu_law_decode(codes: Tensor, levels: int = 256, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Waves in [-1, 1] of codes 0 to levels - 1. Encoding them gives the codes back; none of an even number means 0."""
    mu = levels - 1
    y = 2 * codes.to(dtype) / mu - 1
    waves = y.sign() * torch.expm1(y.abs() * torch.log1p(torch.tensor(mu, dtype=dtype))) / mu
    return waves.clamp(-1, 1)


@dataclass(frozen=True, slots=True)
class Frames:
    """How a wave becomes mels.

    Attributes:
        rate: samples a second.
        window: of a frame, in samples: 25 ms at 8 kHz.
        hop: from frame to frame, in samples: 10 ms at 8 kHz.
        bins: length of the Fourier transform.
        mels: filters from 0 Hz to half the rate.
    """

    rate: int = 8000
    window: int = 200
    hop: int = 80
    bins: int = 256
    mels: int = 40

    def __post_init__(self) -> None:
        # So far apart, by the slope of the mel scale at 0 Hz; nearer than a bin, some filters would share it.
        apart = 700 * log(10) / 2595 * _mel(self.rate / 2) / (self.mels + 1)
        if apart < self.rate / self.bins:
            msg = (
                f"{self.mels} mels at {self.rate} Hz lie {apart:.1f} Hz apart at the low end, but {self.bins} bins "
                f"only tell {self.rate / self.bins:.1f} Hz apart; take fewer mels or more bins."
            )
            raise OptionError(msg)


SPEECH = Frames()


def magnitudes(x: Tensor, frames: Frames = SPEECH) -> Tensor:
    """Magnitude spectrogram [N, bins / 2 + 1, T / hop + 1] of waves [N, T]."""
    x = full(x)
    window = torch.hann_window(frames.window, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(
        x,
        frames.bins,
        frames.hop,
        frames.window,
        window,
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.abs()


def mel_filters(frames: Frames = SPEECH, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Triangles [mels, bins / 2 + 1], 1 at their centres, whose centres are equally spaced in HTK mels."""
    edges = torch.linspace(0, _mel(frames.rate / 2), frames.mels + 2, dtype=torch.float64)
    hertz = 700 * (10 ** (edges / 2595) - 1)  # [mels + 2]
    at = torch.linspace(0, frames.rate / 2, frames.bins // 2 + 1, dtype=torch.float64)
    low, centre, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    rising, falling = (at - low) / (centre - low), (high - at) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0).to(dtype)


def log_mels(x: Tensor, frames: Frames = SPEECH) -> Tensor:
    """Mel magnitudes [N, mels, T / hop + 1] of waves [N, T], floored at 1e-5, as their ln."""
    spectrum = magnitudes(x, frames)
    filters = mel_filters(frames, dtype=spectrum.dtype).to(spectrum.device)
    return (filters @ spectrum).clamp(min=SMALLEST_MEL).log()


def log_mel_error(x: Tensor, y: Tensor, frames: Frames = SPEECH) -> Tensor:
    """Mean absolute difference of log-mels over frames and mels, in nats: [N]. Blind to phase and sign."""
    return (log_mels(x, frames) - log_mels(y, frames)).abs().flatten(1).mean(1)


def log_spectral_distance(x: Tensor, y: Tensor, frames: Frames = SPEECH) -> Tensor:
    """Mean over frames of the root mean square over frequencies of the ratio of magnitudes, in dB: [N]."""
    one, other = (magnitudes(wave, frames).clamp(min=SMALLEST_MAGNITUDE) for wave in (x, y))
    decibels = 20 * (one / other).log10()  # [N, frequencies, frames]
    return decibels.square().mean(1).sqrt().mean(1)


def sounding(x: Tensor) -> Tensor:
    """Which samples of padded waves [N, T] belong to them, bool [N, T]: all up to the last that is not exactly 0.

    Padding is exact zeros at the end. A wave of nothing but zeros counts whole.
    """
    after = x.ne(0).flip(1).cummax(1).values.flip(1)  # [N, T] something sounds here or later
    return after | ~after[:, :1]
