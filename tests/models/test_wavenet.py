"""Facts of WaveNet: what each logit sees, sampling from queues, exact likelihoods, and what it learns."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from models_kit import Rows
from torch import Tensor
from torch.nn import functional

from urbild.contract import Batch, DataSpec, Model
from urbild.errors import DataError, OptionError, ShapeError
from urbild.models.autoregressive.wavenet import WaveNet, wavenet
from urbild.nets.causal import Cached, Naive
from urbild.nets.companded import crop, draw
from urbild.ops.sound import mu_law_decode
from urbild.training import Plan, fit

SMALL = {"cycles": 2, "dilations": 3, "residual": 6, "skip": 7, "levels": 16}
FIELD = 2 * 7 + 2


def sound(length: int = 40, classes: int = 0) -> DataSpec:
    names = tuple(f"voice {k}" for k in range(classes))
    return DataSpec(shape=(length, 1), kind="sequence", rate=8000, classes=names)


def shaken(spec: DataSpec, **options: object) -> WaveNet:
    """A model none of whose weights is zero."""
    torch.manual_seed(0)
    model = wavenet(spec, **{**SMALL, **options})  # type: ignore[arg-type]
    assert isinstance(model, WaveNet)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def waves(n: int, length: int = 40, *, seed: int = 0) -> Tensor:
    """Waves [n, length, 1] of which every sample is some code, so none is exactly 0."""
    codes = torch.randint(0, 16, (n, length), generator=torch.Generator().manual_seed(seed))
    return mu_law_decode(codes, 16)[..., None]


def test_a_logit_sees_just_the_receptive_field_before_it() -> None:
    model = shaken(sound(), levels=16).double()
    stack = model.stack
    assert stack.field == FIELD
    one_hot = functional.one_hot(model.symbols(waves(1)), 16).double().requires_grad_(True)
    h = stack.enter(one_hot @ stack.newest.weight, one_hot @ stack.before.weight)
    logits = stack.logits(h)
    torch.testing.assert_close(logits, stack(model.symbols(waves(1))))
    for t in (0, 1, 20, 39):
        (gradient,) = torch.autograd.grad(logits[0, t].square().sum(), one_hot, retain_graph=True)
        seen = gradient[0].abs().sum(1) > 0  # [T]
        wanted = torch.zeros(40, dtype=torch.bool)
        wanted[max(0, t - FIELD) : t] = True
        assert torch.equal(seen, wanted), t


def test_the_default_sees_1024_samples() -> None:
    model = wavenet(sound(8000))
    assert isinstance(model, WaveNet)
    assert model.stack.field == 1024


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("classes", [0, 3])
def test_queues_give_the_naive_samples_symbol_by_symbol(classes: int, temperature: float) -> None:
    model = shaken(sound(60, classes), conditional=classes > 0).double()
    labels = torch.tensor([0, 2, 1, 2]) if classes else None
    drawn = [
        model.generate(4, labels, temperature=temperature, generator=torch.Generator().manual_seed(3), step=step)
        for step in (Cached, Naive)
    ]
    assert torch.equal(*drawn)
    assert len(drawn[0].unique()) > 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_queued_logits_are_those_of_one_pass(dtype: torch.dtype) -> None:
    model = shaken(sound(200, 2), conditional=True, dilations=5).to(dtype)
    symbols = torch.randint(0, 16, (3, 200), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 1])
    with torch.no_grad():
        whole = model.stack(symbols, labels)
        for step in (Cached, Naive):
            columns = step(model.stack, 3, labels)
            for t in range(200):
                difference = float((columns.logits() - whole[:, t]).abs().max())
                assert difference < (1e-4 if dtype == torch.float32 else 1e-12)
                columns.push(symbols[:, t])


def test_conditioning_of_weight_zero_is_none() -> None:
    plain, told = shaken(sound()), shaken(sound(classes=3), conditional=True)
    told.load_state_dict(plain.state_dict() | {"counts": torch.zeros(3, dtype=torch.long)}, strict=False)
    for layer in told.stack.layers:
        layer.given.weight.data.zero_()
    x = waves(5)
    with torch.no_grad():
        wanted = plain.log_prob(x).value
        torch.testing.assert_close(told.log_prob(x, given=torch.tensor([0, 1, 2, 1, 0])).value, wanted)
        torch.testing.assert_close(told.log_prob(x).value, wanted)
        other = shaken(sound(classes=3), conditional=True)
        assert (other.log_prob(x, given=torch.zeros(5)).value - other.log_prob(x, given=torch.ones(5)).value).all()


def test_untold_the_class_the_likelihood_is_the_mixture() -> None:
    model = shaken(sound(classes=3), conditional=True)
    model.counts.copy_(torch.tensor([1, 5, 2]))
    x = waves(4)
    with torch.no_grad():
        each = torch.stack([model.log_prob(x, given=torch.full((4,), k)).value for k in range(3)])
        prior = torch.tensor([1 / 8, 5 / 8, 2 / 8]).log()[:, None]
        torch.testing.assert_close(model.log_prob(x).value, (prior + each).logsumexp(0))


def test_all_short_sounds_share_a_probability_of_one() -> None:
    model = shaken(sound(4), levels=4)
    every = torch.cartesian_prod(*[torch.arange(4)] * 4)
    with torch.no_grad():
        total = model.log_prob(mu_law_decode(every, 4)[..., None]).value.exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_code_lengths_sum_to_the_likelihood_and_average_to_the_score() -> None:
    model = shaken(sound())
    x = waves(3)
    x[1, 25:] = 0  # padding
    with torch.no_grad():
        found, value = model.anomaly(x), model.log_prob(x)
        short = model.anomaly(x[1:2, :25])
    assert found.map is not None
    assert (value.kind, value.draws) == ("exact", 0)
    torch.testing.assert_close(found.map.sum(1) * math.log(2), -value.value)
    torch.testing.assert_close(found.score, -value.value / torch.tensor([40, 25, 40]))
    torch.testing.assert_close(found.score[1:2], short.score)
    assert not found.map[1, 25:].any()


def test_the_loss_heeds_the_mask_and_no_company() -> None:
    model = shaken(sound())
    x = waves(4)
    x[2, 10:] = 0
    mask = torch.ones(4, 40, dtype=torch.bool)
    mask[2, 10:] = False

    def loss(rows: list[int]) -> Tensor:
        return model.loss(Batch(x=x[rows], mask=mask[rows], index=torch.tensor(rows)))["loss"]

    with torch.no_grad():
        torch.testing.assert_close(loss([0, 1, 2, 3]), torch.stack([loss([row]) for row in range(4)]).mean())
        torch.testing.assert_close(loss([0, 1, 2, 3]), model.anomaly(x).score.mean())
        torch.testing.assert_close(loss([0, 1]), model.loss(Batch(x=x[:2], index=torch.arange(2)))["loss"])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = loss([0, 1, 2, 3])
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, loss([0, 1, 2, 3]), rtol=0.03, atol=0)


def test_of_a_long_sound_the_loss_sees_a_random_part() -> None:
    x = torch.arange(1.0, 51)[None, :, None].repeat(300, 1, 1)
    mask = torch.ones(300, 50, dtype=torch.bool)
    mask[:100, 30:], mask[100:200, 7:] = False, False
    torch.manual_seed(0)
    part = crop(Batch(x=x, mask=mask, index=torch.arange(300)), 10)
    assert part.mask is not None
    assert part.x.shape == (300, 10, 1)
    starts = part.x[:, 0, 0].long() - 1
    assert torch.equal(part.x[..., 0], starts[:, None] + torch.arange(1.0, 11))
    assert set(starts[:100].tolist()) == set(range(21))
    assert set(starts[200:].tolist()) <= set(range(41))
    assert starts[200:].max() > 35
    assert not starts[100:200].any()
    assert part.mask.sum(1).tolist() == [10] * 100 + [7] * 100 + [10] * 100
    short = Batch(x=x, index=torch.arange(300))
    assert crop(short, 50) is short


def test_untrained_it_is_uniform() -> None:
    model = wavenet(sound())
    assert isinstance(model, WaveNet)
    x = waves(2)
    with torch.no_grad():
        assert float(model.loss(Batch(x=x, index=torch.arange(2)))["loss"]) == pytest.approx(math.log(256))


def test_completion_keeps_what_is_observed_and_draws_the_rest_given_the_past() -> None:
    model = shaken(sound(classes=2), conditional=True)
    x = waves(6)
    observed = torch.zeros(6, 40, dtype=torch.bool)
    observed[:, :15] = True
    observed[:, 30] = True
    made = [model.complete(x, observed, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(made[0][observed], x[observed])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    whole = model.complete(x, torch.ones_like(observed))
    assert torch.equal(whole, x)


def test_what_is_observed_first_tells_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shaken(sound(30, 2), conditional=True)
    model.counts.copy_(torch.tensor([3, 1]))
    x, lengths = waves(3, 30), torch.tensor([0, 12, 30])
    weights = []
    draw_classes = model._draw_classes
    monkeypatch.setattr(model, "_draw_classes", lambda w, g: weights.append(w) or draw_classes(w, g))
    model.complete(x, torch.arange(30) < lengths[:, None])
    with torch.no_grad():
        for row, length in enumerate(lengths.tolist()):
            for k, prior in enumerate((3 / 4, 1 / 4)):
                given = torch.tensor([k])
                begun = model.log_prob(x[row : row + 1, :length], given=given).value if length else torch.zeros(1)
                assert float(weights[0][row, k]) == pytest.approx(math.log(prior) + float(begun), abs=1e-4)


def square(n: int = 16, length: int = 64) -> Tensor:
    """Square waves [n, length, 1] of period 8 and amplitude 1/2, each at a phase of its own."""
    phase = torch.arange(n)[:, None] % 8
    return torch.where((torch.arange(length) + phase) % 8 < 4, 0.5, -0.5)[..., None]


class Labelled(Rows):
    """Samples in memory with labels."""

    def __init__(self, spec: DataSpec, x: Tensor, labels: Tensor) -> None:
        super().__init__(spec, x)
        self.labels = np.asarray(labels)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        batch = super().fetch(rows, epoch=epoch)
        return replace(batch, y=torch.from_numpy(self.labels)[batch.index])


def train(model: Model, x: Tensor, *, steps: int, labels: Tensor | None = None) -> WaveNet:
    source = Rows(model.spec, x) if labels is None else Labelled(model.spec, x, labels)
    fit(model, source, Plan(steps=steps, batch=8, precision="32", device="cpu"))
    assert isinstance(model, WaveNet)
    return model


def test_it_learns_a_square_wave_by_heart() -> None:
    """But for the phase, whose 3 bits are not foreseen: ln 8 nats a wave."""
    torch.manual_seed(0)
    model = train(
        wavenet(sound(64), cycles=1, dilations=4, residual=16, skip=32, learning_rate=0.01), square(), steps=150
    )
    with torch.no_grad():
        bits = model.anomaly(square()).map
        assert bits is not None
        assert float(bits[:, 8:].mean()) * math.log(2) < 0.01
        assert float(bits.sum(1).mean()) * math.log(2) < math.log(8) + 0.5
        made = model.sample(8, generator=torch.Generator().manual_seed(0))
        told = model.complete(square()[:4], torch.arange(64)[None] < 12).round(decimals=2)
    assert set(made[..., 0].abs().round(decimals=1).flatten().tolist()) == {0.5}
    assert torch.equal(told.sign(), square()[:4].sign())


def test_it_learns_what_each_class_sounds_like() -> None:
    x = torch.cat([square(8), -square(8).abs()])
    labels = torch.tensor([0] * 8 + [1] * 8)
    spec = sound(64, 3)
    torch.manual_seed(0)
    model = wavenet(spec, cycles=1, dilations=3, residual=16, skip=16, levels=16, conditional=True, learning_rate=0.01)
    model = train(model, x, steps=200, labels=labels)
    assert model.counts.tolist() == [8, 8, 0]
    given = torch.tensor([1, 1, 1, 0, 0, 0])
    made = model.sample(6, given=given, temperature=0.5, generator=torch.Generator().manual_seed(0))
    assert made[:3].max() < 0 < made[3:].max()
    with pytest.raises(OptionError, match="'voice 2' had no sample in training"):
        model.sample(1, given=torch.tensor([2]))
    with pytest.raises(OptionError, match="beyond 0 to 2"):
        model.sample(1, given=torch.tensor([3]))


def test_what_it_cannot_do_it_says_in_one_sentence() -> None:
    with pytest.raises(ShapeError, match="one channel"):
        wavenet(DataSpec(shape=(40, 2), kind="sequence"))
    with pytest.raises(OptionError, match="no classes"):
        wavenet(sound(), conditional=True)
    with pytest.raises(OptionError, match="levels=1"):
        wavenet(sound(), levels=1)
    with pytest.raises(OptionError, match="without classes"):
        shaken(sound()).sample(1, given=torch.tensor([0]))
    with pytest.raises(OptionError, match="temperature"):
        shaken(sound()).sample(1, temperature=0.0)
    with pytest.raises(DataError, match="8 of 8 training samples have no label"):
        train(wavenet(sound(40, 2), conditional=True, **SMALL), waves(8), steps=1)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="1 of 8 training samples"):
        train(
            wavenet(sound(40, 2), conditional=True, **SMALL),  # type: ignore[arg-type]
            waves(8),
            steps=1,
            labels=torch.tensor([0, 1, 0, 1, -1, 0, 0, 0]),
        )


def test_sampling_leaves_the_number_of_threads_and_plain_tensors() -> None:
    before = torch.get_num_threads()
    made = shaken(sound()).sample(2)
    assert torch.get_num_threads() == before
    assert not made.is_inference()


def test_drawing_inverts_the_distribution() -> None:
    p = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).log()
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999])
    assert draw(p.expand(6, -1), uniform, 1.0).tolist() == [0, 0, 2, 2, 3, 3]
