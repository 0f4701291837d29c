"""Lossless compression by an exact likelihood: bytes that decode to the identical symbols.

Both ways the network goes from site to site in the same order, and gives each site's probabilities to an arithmetic
coder. The probabilities must be the same bits when they are read: the same machine, library and batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from urbild.errors import OptionError
from urbild.models.autoregressive.raster import Raster
from urbild.models.autoregressive.raster_drawing import draw
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.symbols import SymbolHead
from urbild.ops.arithmetic_coding import Counts, Decoder, Encoder, counts_of


def compress(model: Raster, symbols: Tensor, given: Tensor | None = None) -> list[bytes]:
    """A message for each image of symbols [N, C, H, W]; `given` are the classes [N] of a conditional model.

    Raises:
        OptionError: the model gives no probability to each symbol.
    """
    n = len(symbols)
    coders = [Encoder() for _ in range(n)]

    def write(image: int, counts: Counts, symbol: int) -> int:
        coders[image].push(counts, symbol)
        return symbol

    _through(model, _Coding(model.head, write), n, _condition(model, given, n), symbols)
    return [coder.bytes() for coder in coders]


def decompress(model: Raster, messages: Sequence[bytes], given: Tensor | None = None) -> Tensor:
    """The symbols [N, C, H, W] of messages that `compress` wrote with the same model, batch and classes.

    Raises:
        OptionError: the model gives no probability to each symbol.
    """
    n = len(messages)
    coders = [Decoder(message) for message in messages]
    reading = _Coding(model.head, lambda image, counts, _: coders[image].pull(counts))
    return _through(model, reading, n, _condition(model, given, n), None)


def _condition(model: Raster, given: Tensor | None, n: int) -> Condition:
    if model.classes and given is None:
        msg = "a model of classes compresses images of known class; give the classes."
        raise OptionError(msg)
    return model.condition(given, n)


def _through(model: Raster, head: SymbolHead, n: int, condition: Condition, symbols: Tensor | None) -> Tensor:
    """Goes through all sites; what each draw must know (the image, the symbol) comes in the place of its noise."""
    channels, height, width = model.spec.shape
    told = torch.zeros(height, width, channels, n, 2)
    told[..., 0] = torch.arange(n)
    if symbols is not None:
        told[..., 1] = symbols.permute(2, 3, 1, 0)
    return draw(model.network, head, told, condition, channels=channels)


class _Coding(SymbolHead):
    """In the place of a model's head: symbols come from a message, or go into one.

    Args:
        head: of the model.
        settle: the symbol of an image (its number) by the counts of all symbols and the one that was told.
    """

    def __init__(self, head: SymbolHead, settle: Callable[[int, Counts, int], int]) -> None:
        if head.draws > 1 or head.outputs not in (1, head.levels):  # a mixture may have as many numbers as levels
            msg = "only models with a probability for each symbol can compress: those of Binary or Softmax."
            raise OptionError(msg)
        self.levels, self.groups, self.outputs, self.draws = head.levels, head.groups, head.outputs, 2
        self._head, self._settle = head, settle

    def surprise(self, output: Tensor, symbols: Tensor) -> Tensor:
        return self._head.surprise(output, symbols)

    def draw(self, output: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:  # noqa: ARG002 -- nothing is drawn
        if self.outputs == 1:
            white = torch.sigmoid(output.double())
            probabilities = torch.cat([1 - white, white], dim=1)
        else:
            probabilities = torch.softmax(output.double(), dim=1)
        counts, told = counts_of(probabilities.cpu().numpy()), noise.long().tolist()
        found = [self._settle(image, count, symbol) for (image, symbol), count in zip(told, counts, strict=True)]
        return torch.tensor(found, device=output.device)[:, None]


def bits_of(messages: Sequence[bytes]) -> np.ndarray:
    """Bits of each message [N]."""
    return 8 * np.asarray([len(message) for message in messages])
