"""Sound: companding by its formulae, mels by their convention, and distances that are known in closed form."""

import math
import os

import pytest
import torch
from torch import Tensor

from urbild.data import Reading, as_records
from urbild.errors import OptionError
from urbild.ops.sound import (
    Frames,
    log_mel_error,
    log_mels,
    log_spectral_distance,
    magnitudes,
    mel_filters,
    mu_law_decode,
    mu_law_encode,
    sounding,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3)


@pytest.mark.parametrize("levels", [2, 16, 256, 1024])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_code_survives_there_and_back(levels: int, dtype: torch.dtype) -> None:
    codes = torch.arange(levels)
    waves = mu_law_decode(codes, levels, dtype=dtype)
    assert torch.equal(mu_law_encode(waves, levels), codes)
    assert (float(waves.min()), float(waves.max())) == pytest.approx((-1, 1))
    assert waves.abs().max() <= 1
    assert (waves.diff() > 0).all()


def test_companding_is_the_papers() -> None:
    x = torch.linspace(-1, 1, 100_001, dtype=torch.float64)
    mu = 255
    f = x.sign() * (1 + mu * x.abs()).log() / math.log(1 + mu)
    assert torch.equal(mu_law_encode(x), ((f + 1) / 2 * mu + 0.5).floor().long())
    assert int(mu_law_encode(torch.zeros(1))) == 128
    assert float(mu_law_decode(torch.tensor(128))) == pytest.approx(8.6e-5, rel=0.01)
    error = (mu_law_decode(mu_law_encode(x), dtype=torch.float64) - x).abs().max()
    assert float(error) == pytest.approx(0.0216, abs=2e-4)
    assert torch.equal(mu_law_encode(torch.tensor([-7.0, 7.0])), torch.tensor([0, 255]))


def test_the_spectrum_is_the_sum_of_its_definition() -> None:
    x = noise(1, 400).double()
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(200, dtype=torch.float64) / 200)
    padded = torch.cat([torch.zeros(100, dtype=torch.float64), x[0], torch.zeros(100, dtype=torch.float64)])
    frame = padded[2 * 80 : 2 * 80 + 200] * window  # centred at sample 160
    wanted = torch.fft.rfft(frame, n=256).abs()
    torch.testing.assert_close(magnitudes(x)[0, :, 2], wanted)
    assert magnitudes(x).shape == (1, 129, 6)


def test_mel_filters_are_triangles_of_equal_height() -> None:
    filters = mel_filters(dtype=torch.float64)
    assert filters.shape == (40, 129)
    assert (filters.sum(1) > 0).all()
    assert filters.max() <= 1
    edges = [700 * (10 ** (k * 2595 * math.log10(1 + 4000 / 700) / 41 / 2595) - 1) for k in range(42)]
    peaks = filters.argmax(1) * 8000 / 256
    assert all(abs(float(peak) - edges[k + 1]) <= 8000 / 256 for k, peak in enumerate(peaks))
    inside = torch.linspace(0, 4000, 129, dtype=torch.float64)
    between = (inside >= edges[1]) & (inside <= edges[-2])
    torch.testing.assert_close(filters.sum(0)[between], torch.ones(int(between.sum()), dtype=torch.float64))


def test_mels_that_would_share_their_bins_are_refused() -> None:
    Frames(mels=41)
    with pytest.raises(OptionError, match="fewer mels"):
        Frames(mels=42)
    Frames(mels=84, bins=512)
    with pytest.raises(OptionError):
        Frames(mels=85, bins=512)


def test_distances_of_waves_that_are_known() -> None:
    x = noise(2, 4000)
    assert log_mel_error(x, x).tolist() == [0, 0]
    torch.testing.assert_close(log_mel_error(x, x / 2), torch.full((2,), math.log(2)))
    torch.testing.assert_close(log_spectral_distance(x, x / 2), torch.full((2,), 20 * math.log10(2)), rtol=1e-3, atol=0)
    assert log_mel_error(x, -x).max() == 0
    assert log_spectral_distance(x, -x).max() == 0
    silence = log_mels(torch.zeros(1, 4000))
    assert torch.equal(silence, torch.full_like(silence, math.log(1e-5)))


def test_a_tone_is_where_it_should_be() -> None:
    x = torch.sin(2 * math.pi * 1000 * torch.arange(8000) / 8000)[None]
    spectrum = magnitudes(x)[0, :, 50]
    assert int(spectrum.argmax()) == 1000 * 256 // 8000
    assert float(spectrum.max()) == pytest.approx(200 / 4, rel=1e-3)  # half of the window's sum, for a sine


def test_padding_is_told_from_sound() -> None:
    x = torch.tensor([[0.0, 0.5, 0.0, -0.1, 0.0, 0.0], [0.0] * 6, [0.1] * 6])
    assert sounding(x).sum(1).tolist() == [4, 6, 6]
    assert sounding(x)[0].tolist() == [True, True, True, True, False, False]


@pytest.mark.data
def test_companding_spoken_digits_costs_what_it_is_known_to() -> None:
    """On the test split of the spoken digits: 2.70 dB of spectral distance and .061 nats of log-mels."""
    if "URBILD_DATA" not in os.environ:
        pytest.skip("URBILD_DATA names no folder of real data")
    test = as_records("fsdd", reading=Reading(part="test"))
    waves = [torch.from_numpy(test.read(row)[:, 0])[None] for row in range(0, 300, 3)]
    again = [mu_law_decode(mu_law_encode(wave)) for wave in waves]
    pairs = list(zip(waves, again, strict=True))
    assert torch.stack([log_spectral_distance(*pair) for pair in pairs]).mean() == pytest.approx(2.70, abs=0.15)
    assert torch.stack([log_mel_error(*pair) for pair in pairs]).mean() == pytest.approx(0.061, abs=0.005)
