"""Facts of the models of pixels: causality, normalisation, cached sampling, and that they learn."""

from itertools import product
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from models_kit import DIGITS, Rows, digits, train
from torch import Tensor, nn

from urbild.catalogue import build
from urbild.contract import Batch, DataSpec
from urbild.errors import DataError, OptionError
from urbild.models.autoregressive.raster import MUTATED, Raster
from urbild.models.autoregressive.raster_drawing import draw, draw_plainly, noise_for
from urbild.models.autoregressive.raster_network import Condition
from urbild.nets.symbols import Binary, Mixture, Softmax
from urbild.ops.complexity import compressed_bits

GREY = DataSpec(shape=(1, 6, 7), kind="image", levels=2)
COLOUR = DataSpec(shape=(3, 4, 5), kind="image", levels=4, classes=("cat", "dog"))
SYSTEMS: dict[str, dict[str, Any]] = {
    "pixelcnn": {"blocks": 2, "width": 6},
    "gated_pixelcnn": {"layers": 3, "width": 6},
    "pixel_rnn": {"layers": 2, "width": 6},
    "pixelcnn_pp": {"blocks": 1, "width": 6, "dropout": 0.1},
}
CASES = [
    *((name, spec, options) for name, options in SYSTEMS.items() for spec in (GREY, COLOUR)),
    *((name, COLOUR, {**options, "embedding": 3}) for name, options in SYSTEMS.items()),
    ("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "conditional": True}),
    ("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "kernel": 5}),
    ("pixelcnn", GREY, {**SYSTEMS["pixelcnn"], "kernel": 5}),
    ("pixelcnn", DIGITS, {**SYSTEMS["pixelcnn"], "kernel": 9}),
    ("pixelcnn", DataSpec(shape=(1, 5, 2), kind="image", levels=3), {**SYSTEMS["pixelcnn"], "kernel": 5}),
    ("pixelcnn", DataSpec(shape=(1, 2, 5), kind="image", levels=256), SYSTEMS["pixelcnn"]),
    ("pixel_rnn", GREY, {**SYSTEMS["pixel_rnn"], "kind": "row"}),
    ("pixel_rnn", COLOUR, {**SYSTEMS["pixel_rnn"], "kind": "row"}),
    ("pixelcnn", COLOUR, {**SYSTEMS["pixelcnn"], "likelihood": Mixture(components=3)}),
    ("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "likelihood": Mixture(components=3)}),
    ("pixel_rnn", COLOUR, {**SYSTEMS["pixel_rnn"], "likelihood": Mixture(components=3)}),
    ("pixelcnn_pp", COLOUR, {**SYSTEMS["pixelcnn_pp"], "conditional": True}),
    ("pixelcnn_pp", COLOUR, {**SYSTEMS["pixelcnn_pp"], "blocks": 2, "likelihood": Mixture(components=2)}),
    ("pixelcnn_pp", GREY, {**SYSTEMS["pixelcnn_pp"], "likelihood": Binary()}),
    ("pixelcnn_pp", DIGITS, SYSTEMS["pixelcnn_pp"]),
    ("pixelcnn_pp", DataSpec(shape=(1, 9, 13), kind="image", levels=3), SYSTEMS["pixelcnn_pp"]),
    ("pixelcnn_pp", DataSpec(shape=(3, 1, 2), kind="image", levels=3), SYSTEMS["pixelcnn_pp"]),
]


def made(name: str, spec: DataSpec, options: dict[str, Any], *, gain: float = 2.0) -> Raster:
    """An untrained model in float64, with weights large enough for its opinions to differ from site to site."""
    model = build(name, spec, options).double().eval()
    assert isinstance(model, Raster)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(gain)
    return model


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_symbols(spec: DataSpec, n: int = 3) -> Tensor:
    assert spec.levels is not None
    return torch.randint(spec.levels, (n, *spec.shape), generator=torch.Generator().manual_seed(1))


def place(spec: DataSpec, groups: int, channel: int, i: int, j: int) -> int:
    """In the order in which entries are drawn; channels of a group are drawn at once."""
    return (i * spec.shape[2] + j) * groups + channel * groups // spec.channels


@pytest.mark.parametrize(("name", "spec", "options"), CASES)
def test_an_output_depends_on_earlier_entries_and_on_them_alone(
    name: str, spec: DataSpec, options: dict[str, Any]
) -> None:
    """The gradient of each output with respect to the input entries, at the inputs' features."""
    model = made(name, spec, options)
    network = model.network
    symbols = some_symbols(spec, 1)
    features: list[Tensor] = []

    def keep(module: nn.Module, given: Any, found: Tensor) -> Tensor:
        features.append(found.detach().requires_grad_())
        return features[0]

    network.inputs.register_forward_hook(keep)  # type: ignore[operator, union-attr]
    output = network(symbols, model.condition(torch.zeros(1, dtype=torch.long) if model.classes else None, 1))
    size, groups = features[0].shape[1] // spec.channels, model.head.groups
    seen_before = 0
    for group, i, j in product(range(groups), *map(range, spec.shape[1:])):
        numbers = output[0, group * model.head.outputs : (group + 1) * model.head.outputs, i, j]
        (gradient,) = torch.autograd.grad(numbers.sum() + numbers.square().sum(), features[0], retain_graph=True)
        own = place(spec, groups, group * spec.channels // groups, i, j)
        for c, k, m in product(*map(range, spec.shape)):
            moved = bool(gradient[0, c * size : (c + 1) * size, k, m].any())
            if place(spec, groups, c, k, m) >= own:
                assert not moved, f"output {group, i, j} sees {c, k, m}"
            seen_before += moved
    earlier = groups * spec.sites[0] * spec.sites[1] * spec.size / 2
    assert seen_before > 0.3 * earlier, "much of what came before is seen"


def test_the_gated_stacks_have_no_blind_spot_and_the_masked_stack_has_one() -> None:
    spec = DataSpec(shape=(1, 12, 12), kind="image", levels=2)
    corner = {}
    for name, options in (("pixelcnn", {"blocks": 3, "width": 4}), ("gated_pixelcnn", {"layers": 4, "width": 4})):
        model = made(name, spec, options)
        x = torch.randn(1, 1, 12, 12, requires_grad=True)
        model.network.inputs.forward = lambda _, x=x: x  # type: ignore[assignment, union-attr]
        output = model.network(some_symbols(spec, 1), Condition())
        (gradient,) = torch.autograd.grad(output[0, 0, 9, 4], x)
        corner[name] = bool(gradient[0, 0, 8, 10] != 0)  # one row up, six to the right: inside either reach
    assert corner == {"pixelcnn": False, "gated_pixelcnn": True}


@pytest.mark.parametrize(("name", "options"), SYSTEMS.items())
def test_the_probabilities_of_all_images_sum_to_one(name: str, options: dict[str, Any]) -> None:
    spec = DataSpec(shape=(1, 3, 3), kind="image", levels=2)
    every = torch.tensor(list(product((0.0, 1.0), repeat=9))).reshape(-1, 1, 3, 3)
    with torch.no_grad():
        total = made(name, spec, options).log_prob(every).value.exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-12)


def test_the_probabilities_of_all_small_colours_sum_to_one() -> None:
    spec = DataSpec(shape=(3, 1, 2), kind="image", levels=3)
    every = torch.tensor(list(product((0, 1, 2), repeat=6))).reshape(-1, 3, 1, 2) / 2
    for name, options in SYSTEMS.items():
        with torch.no_grad():
            total = made(name, spec, options).log_prob(every).value.exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("name", "spec", "options"), CASES)
def test_cached_sampling_draws_the_symbols_of_plain_sampling(
    name: str, spec: DataSpec, options: dict[str, Any]
) -> None:
    model = made(name, spec, options)
    noise = noise_for(model.head, 4, (spec.shape[1], spec.shape[2]), torch.Generator().manual_seed(0))
    condition = model.condition(None, 4)
    kept = torch.rand(4, *spec.shape[1:], generator=torch.Generator().manual_seed(2)) < 0.3
    for settings in ({}, {"temperature": 0.5, "clamp": (some_symbols(spec, 4), kept)}):
        fast = draw(model.network, model.head, noise, condition, channels=spec.channels, **settings)
        plain = draw_plainly(model.network, model.head, noise, condition, channels=spec.channels, **settings)
        assert torch.equal(fast, plain)
    assert len(fast.unique()) > 1


@pytest.mark.parametrize(("name", "spec", "options"), CASES)
def test_cached_outputs_are_the_network_s(
    name: str, spec: DataSpec, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All numbers of all sites, in whatever order sites are drawn, while every site is kept as it is."""
    model = made(name, spec, options, gain=1.0)
    symbols, condition = some_symbols(spec), model.condition(None, 3)
    kept = torch.ones(3, *spec.shape[1:], dtype=torch.bool)
    noise = noise_for(model.head, 3, (spec.shape[1], spec.shape[2]), torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    own = model.head.draw

    def watched(output: Tensor, *rest: Any) -> Tensor:
        seen.append(output)
        return own(output, *rest)

    monkeypatch.setattr(model.head, "draw", watched)
    drawn = draw(model.network, model.head, noise, condition, channels=spec.channels, clamp=(symbols, kept))
    assert torch.equal(drawn, symbols)
    with torch.inference_mode():
        whole = model.network(symbols, condition).flatten().sort().values
    assert torch.allclose(torch.cat(seen).flatten().sort().values, whole, atol=1e-12)


@pytest.mark.parametrize("name", ["gated_pixelcnn", "pixelcnn"])
def test_completion_keeps_what_is_observed_and_follows_it(name: str) -> None:
    """By one that draws site by site, and by one that draws fronts."""
    model = made(name, COLOUR, SYSTEMS[name])
    x = some_symbols(COLOUR, 4) / 3
    observed = torch.zeros(4, 4, 5, dtype=torch.bool)
    observed[:, :2] = True

    def complete(x: Tensor, seed: int) -> Tensor:
        return model.complete(x, observed, generator=torch.Generator().manual_seed(seed))

    first = complete(x, 0)
    assert torch.equal(first[:, :, :2], x[:, :, :2])
    assert torch.equal(first, complete(x, 0))
    assert not torch.equal(first, complete(x, 1))
    assert not torch.equal(first[:, :, 2:], complete(1 - x, 0)[:, :, 2:]), "the rest follows what is seen"
    assert torch.equal(complete(x, 0), complete(torch.where(observed[:, None], x, 1 - x), 0)), "and nothing else"


def test_the_code_length_is_the_bits_per_dimension() -> None:
    model = made("gated_pixelcnn", COLOUR, SYSTEMS["gated_pixelcnn"])
    x = some_symbols(COLOUR) / 3
    with torch.no_grad():
        anomaly, nats = model.anomaly(x), -model.log_prob(x).value
    assert anomaly.map is not None
    assert torch.allclose(anomaly.map.flatten(1).sum(1) / COLOUR.size, anomaly.score)
    assert torch.allclose(nats / (COLOUR.size * log(2)), anomaly.score)


def test_the_loss_does_not_depend_on_the_size_of_the_batch() -> None:
    model = made("pixelcnn", COLOUR, SYSTEMS["pixelcnn"])
    x = some_symbols(COLOUR, 8) / 3
    whole = model.loss(Batch(x=x, index=torch.arange(8)))["loss"].detach()
    parts = [model.loss(Batch(x=part, index=torch.arange(4)))["loss"].detach() for part in x.split(4)]
    assert float(whole) == pytest.approx(float(sum(parts)) / 2, rel=1e-12)


def test_classes_change_the_samples_and_the_likelihood() -> None:
    model = made("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "conditional": True})
    cats, dogs = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)

    def draw(given: Tensor) -> Tensor:
        return model.sample(4, given=given, generator=torch.Generator().manual_seed(0))

    assert not torch.equal(draw(cats), draw(dogs))
    x = draw(cats)
    with torch.no_grad():
        each = torch.stack([model.log_prob(x, given=given).value for given in (cats, dogs)])
        assert torch.allclose(model.log_prob(x).value, each.logsumexp(0) - log(2)), "without a class, their mixture"
    with pytest.raises(OptionError, match="not one of the 2"):
        model.sample(1, given=torch.tensor([2]))


def test_a_class_without_a_sample_in_training_is_no_part_of_the_mixture() -> None:
    model = made("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "conditional": True})
    x = some_symbols(COLOUR) / 3
    source = Rows(COLOUR, x)
    source.labels = np.ones(len(x), dtype=np.int64)
    look = model.stages()[0].solve
    assert look is not None
    look(source)
    with pytest.raises(OptionError, match="had no sample in training"):
        model.sample(1, given=torch.tensor([0]))
    given = torch.ones(len(x), dtype=torch.long)
    with torch.no_grad():
        assert torch.equal(model.log_prob(x).value, model.log_prob(x, given=given).value)
    drawn, asked = (
        model.sample(3, given=classes, generator=torch.Generator().manual_seed(0)) for classes in (None, given[:3])
    )
    assert torch.equal(drawn, asked)


def test_a_class_of_weight_zero_is_no_condition() -> None:
    plain = made("gated_pixelcnn", COLOUR, SYSTEMS["gated_pixelcnn"])
    told = made("gated_pixelcnn", COLOUR, {**SYSTEMS["gated_pixelcnn"], "conditional": True})
    told.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in told.named_parameters():
            if "told" in name:
                parameter.zero_()
        x = some_symbols(COLOUR) / 3
        assert torch.allclose(told.log_prob(x).value, plain.log_prob(x).value)


def test_binary_models_refuse_grey_data() -> None:
    with pytest.raises(OptionError, match="the data have 17 levels"):
        build("pixelcnn", DIGITS, {"likelihood": Binary()})
    model = made("pixelcnn", GREY, SYSTEMS["pixelcnn"])
    with pytest.raises(DataError, match="grey values"):
        model.log_prob(torch.full((1, *GREY.shape), 0.5))
    with pytest.raises(OptionError, match="number of levels"):
        Softmax().head(DataSpec(shape=(1, 2, 2), kind="image"))


def test_dynamic_binarisation_follows_the_grey_values() -> None:
    head = Binary(grey="dynamic").head(DIGITS)
    x = torch.full((1, 1, 8, 8), 0.3).expand(500, 1, 8, 8)
    torch.manual_seed(0)
    drawn = head.symbols(x, training=True).double()
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.01)
    assert drawn.std(0).min() > 0.3, "anew for every image"
    still = head.symbols(x)
    assert torch.equal(still, still[:1].expand_as(still)), "the same for every image where nothing is drawn"


def test_the_background_learns_drawn_images_of_which_a_share_is_mutated() -> None:
    model = made(
        "pixelcnn", GREY, {**SYSTEMS["pixelcnn"], "likelihood": Binary(grey="dynamic"), "correction": "background"}
    )
    assert model.background is not None
    seen: list[Tensor] = []
    model.background.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    model.background_loss(Batch(x=torch.full((2000, *GREY.shape), 0.3), index=torch.arange(2000)))
    chance = MUTATED / 2  # of another symbol: one of two is added, and zero changes nothing
    white = float(seen[0].double().mean())
    assert white == pytest.approx(0.3 * (1 - chance) + 0.7 * chance, abs=0.006)


def test_a_corrected_score_is_the_bits_less_those_of_what_any_such_image_costs() -> None:
    x = some_symbols(GREY).double()
    plain = made("pixelcnn", GREY, SYSTEMS["pixelcnn"])
    squeezed = made("pixelcnn", GREY, {**SYSTEMS["pixelcnn"], "correction": "compressor"})
    squeezed.load_state_dict(plain.state_dict())
    bits = plain.anomaly(x).score
    with torch.no_grad():
        less = compressed_bits(x, 2) / GREY.size
        assert torch.allclose(squeezed.anomaly(x).score, bits - less)
        both = made("pixelcnn", GREY, {**SYSTEMS["pixelcnn"], "correction": "background"})
        assert both.background is not None
        usual = both.nats(x, None, both.background)[0]
        own = -both.log_prob(x).value
        assert torch.allclose(both.anomaly(x).score, (own - usual) / (log(2) * GREY.size))
        both.background.load_state_dict(both.network.state_dict())
        assert torch.allclose(both.anomaly(x).score, torch.zeros(len(x))), "nothing is stranger than usual"


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_learns_the_digits(name: str) -> None:
    """Fewer bits than independent pixels, whose probabilities are counted."""
    torch.set_default_dtype(torch.float32)
    x, _ = digits()
    train_x, test_x = x[:1400], x[1400:]
    model = train(build(name, DIGITS, {**SYSTEMS[name], "width": 24, "learning_rate": 5e-3}), train_x, steps=400)
    assert isinstance(model, Raster)
    with torch.no_grad():
        nats = -float(model.log_prob(test_x).value.mean())
    levels = (train_x * 16).round().long().flatten(1)
    counts = np.stack([np.bincount(column, minlength=17) + 1 for column in levels.T.numpy()])
    chances = torch.from_numpy(counts / counts.sum(1, keepdims=True))
    test = (test_x * 16).round().long().flatten(1)
    floor = -float(torch.log(chances[torch.arange(64), test]).sum(1).mean())
    assert nats < 0.9 * floor
