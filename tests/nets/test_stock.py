"""The stock networks at every kind of shape."""

import pytest
import torch
from torch import nn

from urbild.contract import DataSpec, Kind
from urbild.errors import OptionError, ShapeError
from urbild.nets import dcgan, stock
from urbild.nets.layers import Upsample, halved

UPSAMPLING = ["nearest", "bilinear", "transposed"]
SIZES = [(8, 8), (1, 28, 28), (3, 37, 50), (2, 1, 9), (1, 3, 3), (5, 65, 17), (1, 16, 130)]
IMAGES = [DataSpec(shape=(1, *size) if len(size) == 2 else size, kind="image") for size in SIZES]
VECTORS = [DataSpec(shape=(size,), kind="vector") for size in (1, 6, 120)]


@pytest.mark.parametrize(("network", "upsampling"), [("dense", "nearest"), *(("convolutional", u) for u in UPSAMPLING)])
@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("spec", IMAGES + VECTORS, ids=lambda spec: "x".join(map(str, spec.shape)))
def test_a_sample_comes_back_at_exactly_its_shape(spec, normalisation, network, upsampling) -> None:  # type: ignore[no-untyped-def]
    network = "dense" if spec.kind == "vector" else network
    options = {"width": 6, "normalisation": normalisation, "network": network}
    encoder, decoder = stock.encoder(spec, 3, **options), stock.decoder(spec, 3, upsampling=upsampling, **options)
    code = encoder(torch.rand(2, *spec.shape))
    assert code.shape == (2, 3)
    assert decoder(code).shape == (2, *spec.shape)


@pytest.mark.parametrize("spec", IMAGES, ids=lambda spec: "x".join(map(str, spec.shape)))
def test_every_entry_of_an_image_is_read_and_every_entry_is_made(spec: DataSpec) -> None:
    torch.manual_seed(0)
    encoder = stock.encoder(spec, 4, width=8, network="convolutional").double()
    decoder = stock.decoder(spec, 4, width=8, network="convolutional").double()
    x = torch.rand(1, *spec.shape, dtype=torch.float64, requires_grad=True)
    encoder(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.ne(0).float().mean() > 0.9, "no border is cropped; rectifiers may silence a few entries"
    assert x.grad[..., -1, :].abs().sum() > 0
    assert x.grad[..., -1].abs().sum() > 0
    z = torch.randn(1, 4, dtype=torch.float64)
    moved = (decoder(z) - decoder(z + 1)).abs()[0]
    assert moved.gt(0).float().mean() > 0.9


@pytest.mark.parametrize("large", [(8, 8), (7, 9), (1, 6), (2, 1)])
@pytest.mark.parametrize("upsampling", UPSAMPLING)
def test_upsampling_reaches_the_size_asked_for(large: tuple[int, int], upsampling) -> None:  # type: ignore[no-untyped-def]
    layer = Upsample(2, 3, large, upsampling=upsampling)
    assert layer(torch.rand(1, 2, *halved(large))).shape == (1, 3, *large)


def test_transposed_upsampling_covers_an_even_side_evenly() -> None:
    layer = Upsample(1, 1, (16, 16), upsampling="transposed")
    torch.nn.init.ones_(layer.convolution.weight)
    torch.nn.init.zeros_(layer.convolution.bias)
    interior = layer(torch.ones(1, 1, 8, 8))[0, 0, 1:-1, 1:-1]
    assert interior.unique().numel() == 1, "an uneven one leaves a checkerboard"


def test_the_pyramid_ends_where_no_side_is_longer_than_eight() -> None:
    assert stock.pyramid((28, 28)) == [(28, 28), (14, 14), (7, 7)]
    assert stock.pyramid((8, 8)) == [(8, 8), (4, 4)]
    assert stock.pyramid((3, 3)) == [(3, 3)]
    assert stock.pyramid((65, 17))[-1] == (5, 2)


def test_the_shape_chooses_the_network() -> None:
    def convolves(*shape: int) -> bool:
        kind: Kind = "vector" if len(shape) == 1 else "image"
        network = stock.decoder(DataSpec(shape=shape, kind=kind), 3)
        return any(isinstance(module, nn.ConvTranspose2d) for module in network.modules())

    assert [convolves(9), convolves(3, 32, 32), convolves(1, 64, 64)] == [False, False, False]
    assert [convolves(1, 65, 64), convolves(3, 64, 64)] == [True, True]


def test_other_kinds_and_sizes_are_refused() -> None:
    sequence = DataSpec(shape=(10, 4), kind="sequence")
    for build in (stock.encoder, stock.decoder):
        with pytest.raises(ShapeError, match="no stock network for sequence"):
            build(sequence, 3)
    with pytest.raises(OptionError, match="no neighbourhoods to convolve"):
        stock.encoder(VECTORS[0], 3, network="convolutional")
    with pytest.raises(OptionError, match="latent must be positive, and is 0"):
        stock.check_sizes(latent=0, width=None)


@pytest.mark.parametrize(
    ("size", "working"),
    [((28, 28), (32, 32)), ((32, 32), (32, 32)), ((8, 8), (8, 8)), ((100, 64), (112, 64)), ((3, 5), (4, 6))],
)
def test_the_dcgan_pyramid_takes_any_size(size: tuple[int, int], working: tuple[int, int]) -> None:
    assert dcgan.working_size(size) == working
    x = torch.rand(2, 3, *working)
    features = dcgan.down(3, size, 4)(x)
    code = dcgan.top(size, 4, 5)(features)
    assert code.shape == (2, 5)
    assert dcgan.up(3, size, 4, 5)(code).shape == x.shape


def test_the_dcgan_pyramid_of_32_pixels_is_the_published_one() -> None:
    shapes = [tuple(p.shape) for p in dcgan.down(1, (32, 32), 64).parameters() if p.dim() == 4]
    assert shapes == [(64, 1, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4)]
    assert [tuple(p.shape) for p in dcgan.top((32, 32), 64, 100).parameters()] == [(100, 256, 4, 4)]
    shapes = [tuple(p.shape) for p in dcgan.up(1, (32, 32), 64, 100).parameters() if p.dim() == 4]
    assert shapes == [(100, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 1, 4, 4)]
