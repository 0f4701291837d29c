"""Facts of the VQ-VAE-2: two maps of symbols, what each depends on, and learning."""

import pytest
import torch
from models_kit import DIGITS, digits, train

from urbild.contract import Batch, DataSpec
from urbild.models.variational.vqvae2 import Vqvae2, vqvae2
from urbild.nets.quantisers import Ema, Gradient, Gumbel, Quantiser

SMALL = {"hidden": 8, "residual": 1, "code_size": 4}
every_part = pytest.mark.parametrize("part", [Ema(codes=16), Gradient(codes=16), Gumbel(codes=16)], ids=repr)


def build(spec: DataSpec = DIGITS, **options) -> Vqvae2:  # type: ignore[no-untyped-def]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = vqvae2(spec, **{**SMALL, **options})
    assert isinstance(model, Vqvae2)
    return model.eval()


@every_part
def test_decoding_the_symbols_is_the_reconstruction(part: Quantiser) -> None:
    model, x = build(quantiser=part), digits()[0][:6]
    with torch.no_grad():
        top, bottom = model.indices(x)
        assert (top.shape, bottom.shape) == ((6, 2, 2), (6, 4, 4))
        z = model.encode(x)
        assert z.dtype == torch.int64
        assert z.shape == (6, *model.code_spec.shape)
        assert torch.equal(z[:, 0, 0], torch.cat([top.flatten(1), bottom.flatten(1)], 1))
        for version in (model.decode(z), model.decode_indices(top, bottom)):
            assert torch.equal(version, model.reconstruct(x))


@pytest.mark.parametrize("size", [(7, 9), (1, 5), (41, 27)])
@pytest.mark.parametrize("down", [1, 2])
def test_any_size_comes_back(size: tuple[int, int], down: int) -> None:
    spec = DataSpec(shape=(3, *size), kind="image", levels=256)
    with torch.no_grad():
        x = torch.rand(2, *spec.shape)
        assert build(spec, down=down).reconstruct(x).shape == x.shape


def test_the_loss_is_that_of_its_parts() -> None:
    model, x = build(quantiser=Gradient(codes=16, commitment=0.5)), digits()[0][:6]
    with torch.no_grad():
        low = model.bottom(x - 0.5)
        z_top = model.top(low)
        e_top = model.top_book.lookup(model.top_book.indices(z_top))
        z_bottom = model.join(torch.cat([model.context(e_top), low], 1))
        e_bottom = model.bottom_book.lookup(model.bottom_book.indices(z_bottom))
        output = model.decoder(torch.cat([model.climb(e_top), e_bottom], 1))
        distances = (z_top - e_top).square().mean() + (z_bottom - e_bottom).square().mean()
        expected = (output + 0.5 - x).square().mean() + 1.5 * distances
        found = model.loss(Batch(x=x, index=torch.arange(6)))["loss"]
    torch.testing.assert_close(found, expected)


def test_the_bottom_is_conditioned_on_the_top() -> None:
    model, x = build(quantiser=Ema(codes=16)), digits()[0][:6]
    with torch.no_grad():
        low, z = model._features(x)
        top = model.top_book.lookup(model.top_book.indices(z))
        assert not torch.equal(model._conditioned(low, top), model._conditioned(low, top + 1))


def test_without_the_top_path_it_is_one_level() -> None:
    model, x = build(quantiser=Ema(codes=16)), digits()[0][:6]
    with torch.no_grad():
        for module in (*model.context.modules(), *model.climb.modules()):
            for parameter in module.parameters(recurse=False):
                parameter.zero_()
        _, bottom = model.indices(x)
        one = model.decode_indices(torch.zeros(6, 2, 2, dtype=torch.long), bottom)
        assert torch.equal(one, model.decode_indices(torch.full((6, 2, 2), 7), bottom))
        alone = torch.nn.functional.conv2d(model.bottom(x - 0.5), model.join.weight[:, 4:], model.join.bias)
        torch.testing.assert_close(model._conditioned(model.bottom(x - 0.5), torch.rand(6, 4, 2, 2)), alone)


def test_two_levels_say_more_than_the_lower_one_and_than_the_mean_image() -> None:
    x = digits()[0]
    seen, fresh = x[:1500], x[1500:]
    model = train(build(quantiser=Ema(codes=32), hidden=32, code_size=16, learning_rate=0.003), seen, steps=300)
    assert isinstance(model, Vqvae2)
    with torch.no_grad():
        error = (model.reconstruct(fresh) - fresh).square().mean()
        top, bottom = model.indices(fresh)
        shuffled = model.decode_indices(top.roll(1, 0), bottom)
    assert error < 0.25 * (fresh - seen.mean(0)).square().mean()
    assert (shuffled - fresh).square().mean() > 1.05 * error, "the top map is used"
