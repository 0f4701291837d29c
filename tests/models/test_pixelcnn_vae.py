"""Facts of PixelCNN decoders: bounds that meet the decoder's likelihood, windows, what codes tell, and collapse."""

from dataclasses import replace
from math import log
from typing import Any

import pytest
import torch
from models_kit import DIGITS, digits, train
from torch import Tensor
from torch.distributions import Normal

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.errors import DataError, OptionError
from urbild.evaluation.latents import gaussian_use, symbol_use
from urbild.models.autoregressive.gated_pixelcnn import GatedNetwork
from urbild.models.autoregressive.raster import Raster
from urbild.models.autoregressive.raster_drawing import draw_plainly, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.models.variational.kl_weights import Cyclic, Rising
from urbild.models.variational.pixelcnn_vae import PixelcnnVae
from urbild.models.variational.pixelcnn_vqvae import PixelcnnVqvae
from urbild.nets.quantisers import Ema
from urbild.nets.symbols import Binary
from urbild.ops.gaussians import gaussian_kl

GREY = DataSpec(shape=(1, 6, 7), kind="image", levels=2)
COLOUR = DataSpec(shape=(3, 5, 4), kind="image", levels=4)
SMALL: dict[str, Any] = {"layers": 3, "width": 6}
LARGE = DataSpec(shape=(1, 15, 15), kind="image", levels=2)

every_spec = pytest.mark.parametrize("spec", [GREY, COLOUR], ids=["grey", "colour"])


def gaussian(spec: DataSpec = GREY, **options: Any) -> PixelcnnVae:
    model = build("pixelcnn_vae", spec, {**SMALL, "latent": 3, **options}).double().eval()
    assert isinstance(model, PixelcnnVae)
    return model


def symbolic(spec: DataSpec = GREY, **options: Any) -> PixelcnnVqvae:
    model = build("pixelcnn_vqvae", spec, {**SMALL, "quantiser": Ema(codes=8), **options}).double().eval()
    assert isinstance(model, PixelcnnVqvae)
    return model


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def images(spec: DataSpec, n: int = 5) -> Tensor:
    assert spec.levels is not None
    drawn = torch.randint(spec.levels, (n, *spec.shape), generator=torch.Generator().manual_seed(1))
    return drawn.double() / (spec.levels - 1)


def unconditional(model: PixelcnnVae | PixelcnnVqvae, *, kernel: int) -> Raster:
    """The decoder with what it is told left out, as a model of its own."""
    head = model.decoder.head
    network = GatedNetwork(model.spec.channels, head, **SMALL, kernel=kernel, first_kernel=7).double()
    own = {name: value for name, value in model.decoder.network.state_dict().items() if name in network.state_dict()}
    network.load_state_dict(own)
    return Raster(model.spec, network, head)


@every_spec
def test_a_decoder_that_ignores_z_has_the_likelihood_of_its_pixels_alone(spec: DataSpec) -> None:
    model, x = gaussian(spec), images(spec)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "told" in name or "shown" in name:
                parameter.zero_()
        exact = unconditional(model, kernel=3).log_prob(x).value
        kl = gaussian_kl(*model.posterior(x))
        assert kl.min() > 0
        torch.testing.assert_close(model.log_prob(x).value, exact - kl)
        for parameter in model.encoder.parameters():
            parameter.zero_()  # q = p
        for draws in (1, 4):
            torch.testing.assert_close(model.log_prob(x, draws=draws).value, exact)
        use = gaussian_use(model, x)
    assert use.kl == use.active == use.shuffled == use.prior == 0
    assert use.information == pytest.approx(0, abs=1e-12)
    assert use.elbo == pytest.approx(float(exact.mean()))


def test_codes_of_weight_zero_tell_nothing() -> None:
    model, x = symbolic(), images(GREY)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "shown" in name:
                parameter.zero_()
        exact = unconditional(model, kernel=5).log_prob(x).value
        torch.testing.assert_close(model.surprise(x, model.encode(x)), -exact)
        assert symbol_use(model, x).shuffled == 0


@pytest.mark.parametrize(
    ("options", "reach"),
    [({"layers": 1, "first_kernel": 3}, 1), ({"layers": 3, "first_kernel": 7}, 5), ({"layers": 3, "kernel": 5}, 7)],
)
def test_an_output_sees_its_window_of_pixels_and_z(options: dict[str, Any], reach: int) -> None:
    model = gaussian(LARGE, **options)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(2)
    x = torch.randn(1, *LARGE.shape, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    z = torch.ones(1, 3, requires_grad=True)
    network = model.decoder.network
    network.inputs.forward = lambda _: x  # type: ignore[method-assign, assignment]
    output = network(torch.zeros(1, *LARGE.shape, dtype=torch.long), model.told(z))
    row, column = 9, 8
    to_x, to_z = torch.autograd.grad(output[0, 0, row, column], [x, z])
    assert bool(to_z.all())
    i, j = torch.nonzero(to_x[0, 0], as_tuple=True)
    assert int(row - i.min()) == int(column - j.min()) == reach
    assert int(i.max()) <= row
    assert not bool(to_x[0, 0, row, column:].any())


def test_a_code_tells_every_site_and_most_its_own() -> None:
    model = symbolic(LARGE)
    z_q = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    output = model.decoder.network(torch.zeros(1, *LARGE.shape, dtype=torch.long), Condition(maps=model.climb(z_q)))
    for i, j in ((0, 0), (14, 14), (7, 3)):
        (gradient,) = torch.autograd.grad(output[0, 0, i, j], z_q, retain_graph=True)
        assert bool(gradient[0, :, i // 4, j // 4].any())


@every_spec
def test_the_loss_is_the_bound_in_nats(spec: DataSpec) -> None:
    model, x = gaussian(spec, kl=Rising(beta=2.0, warm_up=0.5)), images(spec)
    for progress, weight in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (1.0, 2.0)):
        torch.manual_seed(3)
        losses = model.loss(Batch(x=x, index=torch.arange(5), progress=progress))
        torch.manual_seed(3)
        mean, log_variance = model.posterior(x)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        torch.testing.assert_close(losses["distortion"], model.surprise(x, z).mean())
        torch.testing.assert_close(losses["rate"], gaussian_kl(mean, log_variance).mean())
        torch.testing.assert_close(losses["loss"], losses["distortion"] + weight * losses["rate"])


def test_cycles_rise_in_their_first_half() -> None:
    weight = Cyclic(beta=3.0, cycles=2)
    assert [weight.at(progress) for progress in (0, 0.125, 0.25, 0.4, 0.5, 0.625, 0.99, 1)] == [
        *(0, 1.5, 3, 3),
        *(0, 1.5, 3, 3),
    ]
    assert Rising(warm_up=0.0).at(0.0) == 1


@pytest.mark.parametrize("make", [gaussian, symbolic])
@every_spec
def test_a_version_is_what_was_expected_along_a_draw_by_the_same_noise(make: Any, spec: DataSpec) -> None:
    model, x = make(spec), images(spec, 4)
    with torch.no_grad():
        code = model.encode(x)
        condition = (
            model.told(code)
            if isinstance(model, PixelcnnVae)
            else Condition(maps=model.climb(model.quantiser.lookup(code)))
        )
        head, network = model.decoder.head, model.decoder.network
        noise = noise_for(head, 1, spec.shape[1:], torch.Generator().manual_seed(0)).expand(-1, -1, -1, 4, -1)  # type: ignore[arg-type]
        drawn = draw_plainly(network, head, noise, condition, channels=spec.channels)
        levels = torch.arange(head.levels).double() / (head.levels - 1)
        every = [
            head.surprise(network(drawn, condition), torch.full_like(drawn, level)).neg().exp()
            for level in range(head.levels)
        ]
        expected = sum(value * share for value, share in zip(levels, every, strict=True))
        torch.testing.assert_close(model.decode(code), expected)
        torch.testing.assert_close(model.reconstruct(x), expected)
        same = model.decode(code[:1].repeat(3, *[1] * (code.dim() - 1)))
        torch.testing.assert_close(same, same[:1].expand_as(same))


def test_samples_are_on_the_levels_of_the_data() -> None:
    made = gaussian(COLOUR).sample(6, generator=torch.Generator().manual_seed(0))
    assert made.shape == (6, *COLOUR.shape)
    torch.testing.assert_close(made * 3, (made * 3).round())


def test_both_ends_see_the_same_black_or_white_image() -> None:
    model = gaussian(replace(DIGITS, levels=None), likelihood=Binary(grey="threshold"))
    x = digits()[0][:4].double()
    with torch.no_grad():
        torch.testing.assert_close(model.log_prob(x).value, model.log_prob((x > 0.5).double()).value)


def test_the_bound_of_many_draws_is_the_logarithm_of_their_mean_weight() -> None:
    model, x = gaussian(), images(GREY, 20)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
        one, many = model.log_prob(x), model.log_prob(x, draws=20)
        mean, log_variance = model.posterior(x)
        q = Normal(mean, (log_variance / 2).exp())
        weights = []
        for noise in torch.randn(20, 3, generator=torch.Generator().manual_seed(0)):
            z = q.mean + q.stddev * noise
            weights.append((Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(1) - model.surprise(x, z))
    assert (one.kind, one.draws, many.kind, many.draws) == ("ELBO", 1, "IWAE", 20)
    expected = torch.stack(weights)
    torch.testing.assert_close(many.value, expected.logsumexp(0) - log(20))
    assert bool((many.value > expected.mean(0)).all())


def test_the_score_is_the_bound_at_the_centre_and_the_map_is_made_of_it() -> None:
    model, x = gaussian(), images(GREY)
    with torch.no_grad():
        anomaly, (mean, log_variance) = model.anomaly(x), model.posterior(x)
        kl = gaussian_kl(mean, log_variance)
        torch.testing.assert_close(anomaly.score, kl + model.surprise(x, mean))
        assert anomaly.map is not None
        torch.testing.assert_close(anomaly.map.flatten(1).sum(1), anomaly.score - kl)


@pytest.mark.parametrize("name", ["pixelcnn_vae", "pixelcnn_vqvae"])
def test_bad_options_are_refused_in_a_sentence(name: str) -> None:
    for options, words in (
        ({"kernel": 4}, "kernel must be odd"),
        ({"first_kernel": 1}, "first_kernel must be odd"),
        ({"layers": 0}, "layers must be positive"),
        ({"likelihood": Binary()}, "17 levels"),
    ):
        with pytest.raises(OptionError, match=words):
            build(name, DIGITS, options)
    for weight, words in ((Rising(warm_up=2.0), "warm_up"), (Rising(beta=0), "beta"), (Cyclic(cycles=0), "cycles")):
        with pytest.raises(OptionError, match=words):
            build("pixelcnn_vae", DIGITS, {"kl": weight})
    with pytest.raises(DataError, match="at least 2"):
        gaussian_use(gaussian(), images(GREY, 1))


def one_bit(n: int) -> Tensor:
    """Images of 1 x 8: all black or all white, each pixel flipped with probability .1."""
    generator = torch.Generator().manual_seed(0)
    bit = (torch.rand(n, 1, 1, 1, generator=generator) < 0.5).float()
    flips = (torch.rand(n, 1, 1, 8, generator=generator) < 0.1).float()
    return (bit - flips).abs()


ONE_BIT = DataSpec(shape=(1, 1, 8), kind="image", levels=2)
WIDE: dict[str, Any] = {"latent": 1, "layers": 2, "width": 16, "learning_rate": 0.02}


def test_a_decoder_that_sees_all_needs_no_latent_and_one_that_sees_little_keeps_a_bit() -> None:
    """One global bit: the same nats either way, and the KL tells the decoders apart."""
    torch.set_default_dtype(torch.float32)
    x = one_bit(4000)
    bit = torch.tensor([0.9**k * 0.1 ** (8 - k) for k in range(9)], dtype=torch.float64)
    ones = x[3000:].sum((1, 2, 3)).long()
    exact = float(torch.log((bit[ones] + bit[8 - ones]) / 2).mean())
    use = {}
    for name, options in {
        "all": {"first_kernel": 15, "kernel": 3, "kl": Rising(warm_up=0.0)},
        "little": {"first_kernel": 3, "layers": 1},
    }.items():
        torch.manual_seed(0)
        model = train(build("pixelcnn_vae", ONE_BIT, {**WIDE, **options}), x[:3000], steps=500)
        assert isinstance(model, PixelcnnVae)
        use[name] = gaussian_use(model, x[3000:])
    assert use["all"].kl < 0.05
    assert use["all"].active == 0
    assert use["all"].shuffled < 0.05
    assert use["all"].elbo == pytest.approx(exact, abs=0.05)
    assert use["little"].active == 1
    assert use["little"].kl > 0.6
    assert use["little"].information == pytest.approx(log(2), abs=0.2)
    assert use["little"].shuffled > 3
    assert use["little"].elbo == pytest.approx(exact, abs=0.5), "what the second decoder loses is little"


def test_symbols_stay_in_use_under_a_decoder_that_sees_all() -> None:
    torch.set_default_dtype(torch.float32)
    x = (digits()[0] > 0.5).float()
    spec = replace(DIGITS, levels=2)
    options = {"layers": 3, "width": 16, "first_kernel": 15, "quantiser": Ema(codes=16), "learning_rate": 3e-3}
    model = train(build("pixelcnn_vqvae", spec, options), x[:1400], steps=150)
    assert isinstance(model, PixelcnnVqvae)
    use = symbol_use(model, x[1400:])
    assert use.shuffled > 2
    assert use.perplexity > 3
    assert use.information > 3
