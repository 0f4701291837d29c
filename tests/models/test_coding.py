"""Images as bytes and back, by models of pixels."""

from math import log

import pytest
import torch
from models_kit import DIGITS, digits, train

from urbild.catalogue import build
from urbild.errors import OptionError
from urbild.models.autoregressive.coding import bits_of, compress, decompress
from urbild.models.autoregressive.raster import Raster
from urbild.nets.symbols import Mixture
from urbild.ops.complexity import compressed_bits


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pixelcnn", {"blocks": 2, "width": 16}),
        ("gated_pixelcnn", {"layers": 2, "width": 16}),
        ("pixel_rnn", {"layers": 1, "width": 8}),
    ],
)
def test_digits_come_back_from_as_many_bytes_as_the_model_says(name: str, options: dict[str, int]) -> None:
    model = train(build(name, DIGITS, {**options, "learning_rate": 5e-3}), digits()[0][:1400], steps=150)
    assert isinstance(model, Raster)
    x = digits()[0][1400:1420]
    symbols = model.head.symbols(x)
    messages = compress(model, symbols)
    assert torch.equal(decompress(model, messages), symbols)
    with torch.no_grad():
        said = -model.log_prob(x).value.numpy() / log(2)
    assert (bits_of(messages) >= said - 8.01).all()
    assert (bits_of(messages) <= said + 17).all()
    assert bits_of(messages).mean() < compressed_bits(x, 17).mean()


def test_classes_must_be_known_and_symbols_have_probabilities() -> None:
    from dataclasses import replace

    spec = replace(DIGITS, classes=tuple("0123456789"))
    model = build("gated_pixelcnn", spec, {"layers": 1, "width": 8, "conditional": True})
    assert isinstance(model, Raster)
    symbols = model.head.symbols(digits()[0][:3])
    given = torch.tensor([3, 1, 4])
    assert torch.equal(decompress(model, compress(model, symbols, given), given), symbols)
    with pytest.raises(OptionError, match="images of known class"):
        compress(model, symbols)
    # three numbers for each of 10 parts are as many as levels, and yet no probabilities of them
    mixture = build("gated_pixelcnn", DIGITS, {"layers": 1, "width": 8, "likelihood": Mixture(levels=30)})
    assert isinstance(mixture, Raster)
    assert mixture.head.outputs == mixture.head.levels
    with pytest.raises(OptionError, match="Binary or Softmax"):
        compress(mixture, symbols)
