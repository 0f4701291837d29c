"""What a VQ-VAE of sound refuses: data that are no sound of one channel, options that do not go together, symbols."""

from torch import Tensor

from urbild.contract import DataSpec
from urbild.errors import OptionError, ShapeError

LEAST_RATE = 4000  # Hz, below which 40 mels lie nearer than a spectrum can tell


def checked_rate(spec: DataSpec, encoder: str, *, hop: int, jitter: float) -> int:
    """Samples a second of data that fit the options.

    Args:
        spec: of the data.
        encoder: "mel" or "waveform".
        hop: samples of sound for each symbol.
        jitter: share of the code vectors that a neighbour replaces in training.

    Raises:
        ShapeError: the data are no sound of one channel.
        OptionError: an option is out of range.
    """
    if len(spec.shape) != 2 or spec.shape[1] != 1 or spec.rate is None:
        msg = f"vqvae_audio takes sound of one channel, and these are samples of shape {spec.shape} "
        raise ShapeError(
            msg + ("without a rate; give sound files." if spec.rate is None else "; mix the channels down.")
        )
    if encoder == "mel" and spec.rate < LEAST_RATE:
        msg = f"mels need sound of {LEAST_RATE} Hz or more, and this has {spec.rate}; take encoder='waveform'."
        raise OptionError(msg)
    if encoder == "waveform" and hop & (hop - 1):
        msg = f"hop={hop} is no power of two, which encoder='waveform' needs; take 64, or encoder='mel'."
        raise OptionError(msg)
    if not 0 <= jitter <= 1:
        msg = f"jitter={jitter} is out of range; it is a share, 0 to 1."
        raise OptionError(msg)
    return spec.rate


def check_symbols(z: Tensor, codes: int) -> None:
    """Refuses what are no symbols [N, 1, 1, T'] from 0 to `codes`.

    Raises:
        ShapeError: they are of another shape, or there are none such.
    """
    shaped = z.dim() == 4 and z.shape[1:3] == (1, 1)
    if not shaped or (z.numel() and not 0 <= int(z.min()) <= int(z.max()) <= codes):
        found = f"{tuple(z.shape)} from {int(z.min())} to {int(z.max())}" if z.numel() else f"{tuple(z.shape)}"
        msg = f"decode takes symbols 0 to {codes} of shape (N, 1, 1, T'), and these are {found}."
        raise ShapeError(msg)
