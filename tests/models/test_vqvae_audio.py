"""Facts of the VQ-VAE of sound: what a voice sees, cached decoding, codes that end, and what it learns."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models_kit import Rows
from torch import Tensor
from torch.nn import functional

from urbild.contract import Batch, DataSpec, Model
from urbild.errors import DataError, OptionError, ShapeError
from urbild.models.variational.vqvae_audio import VqvaeAudio, vqvae_audio
from urbild.nets.causal import Cached, CausalStack, Naive
from urbild.nets.companded import generate
from urbild.nets.hearing import jittered
from urbild.nets.quantisers import Ema
from urbild.nets.recurrent import Recurrent
from urbild.nets.voice import Dilated, Gru, Speech
from urbild.training import Plan, fit

HOP, LENGTH = 8, 44
VOICES: dict[str, Speech] = {"wavenet": Dilated(cycles=2, dilations=3), "gru": Gru(units=12)}
HEARD = ("mel", "waveform")
each_voice = pytest.mark.parametrize("voice", VOICES)
each_encoder = pytest.mark.parametrize("encoder", HEARD)


def sound(length: int = LENGTH, classes: int = 0) -> DataSpec:
    names = tuple(f"voice {k}" for k in range(classes))
    return DataSpec(shape=(length, 1), kind="sequence", rate=8000, classes=names)


def shaken(spec: DataSpec | None = None, voice: str = "wavenet", **options: Any) -> VqvaeAudio:
    """A model none of whose weights is zero, with 16 codes."""
    torch.manual_seed(0)
    settings = {"hop": HOP, "width": 8, "quantiser": Ema(codes=16, start="uniform"), "decoder": VOICES[voice]}
    model = vqvae_audio(spec or sound(), **{**settings, **options})
    assert isinstance(model, VqvaeAudio)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.3 * torch.randn_like(parameter) * (1 if "decoder" in name else 0.3))
        model.quantiser.books[0].codes.copy_(torch.randn(16, 8))
    return model.eval()


def waves(n: int, length: int = LENGTH, *, seed: int = 0) -> Tensor:
    """Tones [n, length, 1] in noise; no sample is exactly 0."""
    generator = torch.Generator().manual_seed(seed)
    pitch = 0.1 + 0.4 * torch.rand(n, 1, generator=generator)
    x = 0.4 * torch.sin(pitch * torch.arange(length)) + 0.05 * torch.randn(n, length, generator=generator)
    return torch.where(x == 0, 1e-3, x)[..., None]


def padded(x: Tensor, length: int) -> Tensor:
    return functional.pad(x, (0, 0, 0, length - x.shape[1]))


# Decoders


@each_voice
def test_a_logit_sees_the_symbols_before_it_and_its_own_sites(voice: str) -> None:
    network = shaken(voice=voice).decoder.network.double()
    symbols = torch.randint(256, (1, 40), generator=torch.Generator().manual_seed(0))
    local = torch.randn(1, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = network(symbols, None, local)
        for t in (0, 1, 7, 8, 20, 39):
            other = symbols.clone()
            other[0, t] = 255 - other[0, t]
            moved = (network(other, None, local) - before)[0].abs().amax(1)
            assert not moved[: t + 1].any(), "what comes later is not seen"
            assert t == 39 or moved[t + 1] > 0
        for site in range(5):
            other_local = local.clone()
            other_local[0, site] += 1
            moved = (network(symbols, None, other_local) - before)[0].abs().amax(1)
            assert not moved[: site * HOP].any()
            assert (moved[site * HOP : (site + 1) * HOP] > 0).all()


@pytest.mark.parametrize("hop", [1, 3, 8])
@pytest.mark.parametrize("classes", [0, 3])
def test_queues_give_the_logits_and_symbols_of_plain_decoding(hop: int, classes: int) -> None:
    torch.manual_seed(0)
    stack = CausalStack([1, 2, 4, 8, 1, 2, 4], 6, 7, 16, classes, local=5, hop=hop).double()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    labels = torch.tensor([0, 2, 1]) if classes else None
    local = torch.randn(3, -(-50 // hop), 5, dtype=torch.float64)
    uniform = torch.rand(50, 3, dtype=torch.float64)
    drawn = []
    with torch.no_grad():
        for step in (Cached, Naive):
            columns = step(stack, 3, labels, local)
            logits: list[Tensor] = []

            def choose(t: int, found: Tensor, logits: list[Tensor] = logits) -> Tensor:
                logits.append(found)
                return torch.searchsorted(found.softmax(1).cumsum(1), uniform[t][:, None])[:, 0].clamp(max=15)

            drawn.append(generate(columns, 50, choose))
            torch.testing.assert_close(torch.stack(logits, 1), stack(drawn[-1], labels, local), rtol=0, atol=1e-12)
    assert torch.equal(*drawn)
    assert len(drawn[0].unique()) > 8


@pytest.mark.parametrize("classes", [0, 3])
def test_the_recurrent_columns_are_those_of_one_pass(classes: int) -> None:
    torch.manual_seed(0)
    network = Recurrent(6, 9, 16, classes, local=5, hop=4).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    labels, local = (torch.tensor([0, 2, 1]) if classes else None), torch.randn(3, 8, 5, dtype=torch.float64)
    symbols = torch.randint(16, (3, 30))
    with torch.no_grad():
        whole, columns = network(symbols, labels, local), network.cached(3, labels, local)
        for t in range(30):
            torch.testing.assert_close(columns.logits(), whole[:, t], rtol=0, atol=1e-12)
            columns.push(symbols[:, t])


def test_each_product_of_the_queues_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 64 steps a layer of dilation d multiplies what it saw 64 / d times, d rows at a time."""
    stack = CausalStack([1, 2, 4, 8], 6, 7, 16, local=5, hop=8)
    made = []
    for name in ("mm", "addmm"):
        plain = getattr(torch, name)

        def counted(*given: Any, _plain: Any = plain, _at: int = -2, **more: Any) -> Tensor:
            made.append(len(given[_at]))
            return _plain(*given, **more)

        monkeypatch.setattr(torch, name, counted)
    with torch.no_grad():
        columns = stack.cached(1, None, torch.randn(1, 8, 5))
        for _ in range(64):
            columns.logits()
            columns.push(torch.tensor([3]))
    assert sum(made) == 4 * 64 * 2, "a row for the past and a row for the present, of each layer at each step"


def test_a_code_path_of_weight_zero_is_the_unconditional_wavenet() -> None:
    told, plain = CausalStack([1, 2, 4], 6, 7, 16, 3, local=5, hop=4), CausalStack([1, 2, 4], 6, 7, 16)
    with torch.no_grad():
        for parameter in told.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for layer in told.layers:
            layer.local.weight.zero_()
            layer.given.weight.zero_()
    plain.load_state_dict({k: v for k, v in told.state_dict().items() if ".local." not in k and ".given." not in k})
    symbols = torch.randint(16, (2, 21))
    with torch.no_grad():
        told_logits = told(symbols, torch.tensor([0, 2]), torch.randn(2, 6, 5))
        torch.testing.assert_close(told_logits, plain(symbols))


# Codes


@each_voice
@each_encoder
def test_a_reconstruction_is_the_decoded_codes(encoder: str, voice: str) -> None:
    model, x = shaken(sound(classes=2), voice, encoder=encoder, conditional=True), waves(5)
    x[3, 21:] = 0
    with torch.no_grad():
        z = model.encode(x)
        for given in (torch.zeros(5), torch.tensor([0, 1, 1, 0, 1])):
            assert torch.equal(model.reconstruct(x, given=given), model.decode(z, given=given))
        told = [model.decode(z, given=torch.full((5,), k)) for k in (0, 1)]
    assert (z.dtype, z.shape) == (torch.int64, (5, *model.code_spec.shape))
    assert model.code_spec.levels == 17
    assert not torch.equal(*told), "the voice is heard"
    assert not torch.is_inference(told[0])


@each_encoder
def test_codes_end_with_the_sound_and_decode_to_padding(encoder: str) -> None:
    model, x = shaken(encoder=encoder), waves(4)
    x[1, 24:], x[2, 25:], x[3] = 0, 0, 0
    with torch.no_grad():
        z = model.encode(x)[:, 0, 0]
        made = model.decode(z[:, None, None])
    assert (z < 16).sum(1).tolist() == [6, 3, 4, 6], "silence throughout counts whole"
    assert (z[1, 3:] == 16).all()
    assert made.shape == (4, LENGTH, 1)
    assert made[1, :24].all()
    assert not made[1, 24:].any()
    assert not made[2, 32:].any()
    ended = z.clone()
    ended[0, 2] = 16  # nothing sounds after an end
    assert not model.decode(ended[:, None, None])[0, 16:].any()
    assert not model.decode(torch.full((2, 1, 1, 6), 16)).any()


@each_voice
@each_encoder
def test_padding_has_no_say(encoder: str, voice: str) -> None:
    """But for the decoded end, which comes with the hop."""
    model = shaken(sound(80), voice, encoder=encoder).double()
    x = waves(3).double()
    with torch.no_grad():
        short, long = model.encode(x), model.encode(padded(x, 80))
        assert torch.equal(long[..., : short.shape[3]], short)
        assert (long[..., short.shape[3] :] == 16).all()
        one, other = model.anomaly(x), model.anomaly(padded(x, 80))
        torch.testing.assert_close(one.score, other.score)
        assert one.map is not None
        assert other.map is not None
        torch.testing.assert_close(other.map, padded(one.map[..., None], 80)[..., 0])
        torch.testing.assert_close(model.reconstruct(padded(x, 80))[:, :LENGTH], model.reconstruct(x))


def test_permuting_the_codes_with_their_indices_changes_nothing() -> None:
    model, x = shaken(), waves(4)
    with torch.no_grad():
        z, made, found = model.encode(x), model.reconstruct(x), model.anomaly(x)
        order = torch.randperm(16)
        book = model.quantiser.books[0]
        book.codes.copy_(book.codes[order])
        back = order.argsort()
        assert torch.equal(model.encode(x), back[z])
        assert torch.equal(model.decode(back[z]), made)
        torch.testing.assert_close(model.anomaly(x).score, found.score)


# Losses and scores


@each_voice
@each_encoder
def test_the_loss_heeds_the_mask_and_no_company(encoder: str, voice: str) -> None:
    model, x = shaken(voice=voice, encoder=encoder), waves(4)
    mask = torch.ones(4, LENGTH, dtype=torch.bool)
    mask[:, 32:] = False

    def loss(rows: list[int], values: Tensor = x) -> Tensor:
        return model.loss(Batch(x=values[rows], mask=mask[rows], index=torch.tensor(rows)))["loss"]

    with torch.no_grad():
        torch.testing.assert_close(loss([0, 1, 2, 3]), torch.stack([loss([row]) for row in range(4)]).mean())
        noise = torch.where(mask[..., None], x, torch.randn_like(x))
        torch.testing.assert_close(loss([0, 1, 2, 3], noise), loss([0, 1, 2, 3]))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = loss([0, 1, 2, 3])
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, loss([0, 1, 2, 3]), rtol=0.03, atol=0)


def test_untrained_a_sample_costs_eight_bits() -> None:
    model = vqvae_audio(sound(), hop=HOP, width=8)
    assert isinstance(model, VqvaeAudio)
    with torch.no_grad():
        said = model.loss(Batch(x=waves(3), index=torch.arange(3)))
    assert float(said["bits"]) == pytest.approx(8)


def test_untold_the_class_the_score_is_of_the_mixture() -> None:
    model, x = shaken(sound(classes=3), conditional=True), waves(4)
    model.counts.copy_(torch.tensor([1, 5, 2]))
    with torch.no_grad():
        z, live = model.features(x, torch.ones(4, LENGTH, dtype=torch.bool))
        distance = model.quantiser.distance(z, model.quantiser.indices(z)).mean(1)
        each = torch.stack([model.anomaly(x, given=torch.full((4,), k)).score for k in range(3)]) - distance
        prior = torch.tensor([1 / 8, 5 / 8, 2 / 8]).log()[:, None]
        wanted = -(prior - LENGTH * each).logsumexp(0) / LENGTH + distance
        best = (prior - LENGTH * each).argmax(0)
        torch.testing.assert_close(model.anomaly(x).score, wanted, rtol=1e-4, atol=1e-4)
        assert torch.equal(model.reconstruct(x), model.reconstruct(x, given=best))
        assert torch.equal(model.decode(model.encode(x)), model.reconstruct(x, given=torch.full((4,), 1)))
    assert live.all()


def test_jitter_takes_neighbours_within_the_sound() -> None:
    torch.manual_seed(0)
    z = torch.arange(10.0).expand(2000, 1, 10)
    live = torch.ones(2000, 10, dtype=torch.bool)
    live[:, 7:] = False
    moved = (jittered(z, live, 0.4) - z)[:, 0]
    for shift in (-1, 1):
        assert float((moved[:, 1:6] == shift).float().mean()) == pytest.approx(0.2, abs=0.02)
    assert set(moved[:, 0].tolist()) == {0, 1}
    assert set(moved[:, 6].tolist()) == {-1, 0}
    assert not moved[:, 7:].any()
    assert torch.equal(jittered(z, live, 0.0), z)


# Learning


class Labelled(Rows):
    """Samples in memory with labels."""

    def __init__(self, spec: DataSpec, x: Tensor, labels: Tensor) -> None:
        super().__init__(spec, x)
        self.labels = np.asarray(labels)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        batch = super().fetch(rows, epoch=epoch)
        return replace(batch, y=torch.from_numpy(self.labels)[batch.index])


def hums(n: int = 32, length: int = 96) -> tuple[Tensor, Tensor]:
    """Sounds of one of two pitches in each third [n, length, 1], and which of them are loud [n]."""
    generator = torch.Generator().manual_seed(0)
    pitch = torch.randint(2, (n, 3), generator=generator)
    period = torch.where(pitch == 0, 16, 4).repeat_interleave(length // 3, 1)
    loud = torch.arange(n) % 2
    wave = torch.where(torch.arange(length) % period < period // 2, 1.0, -1.0)
    return (wave * torch.where(loud == 0, 0.1, 0.5)[:, None])[..., None], loud


@each_voice
def test_it_learns_what_is_said_and_in_which_voice(voice: str) -> None:
    x, loud = hums()
    spec = sound(96, 2)
    torch.manual_seed(0)
    part: Speech = Dilated(cycles=1, dilations=4, temperature=0.5) if voice == "wavenet" else Gru(32, temperature=0.5)
    options = {
        "hop": HOP,
        "width": 16,
        "quantiser": Ema(codes=8, decay=0.9),
        "encoder": "waveform",
        "learning_rate": 0.01,
    }
    model: Model = vqvae_audio(spec, decoder=part, conditional=True, **options)  # type: ignore[arg-type]
    fit(
        model,
        Labelled(spec, x, loud),
        Plan(steps=120, batch=16, precision="32", device="cpu"),
    )
    assert isinstance(model, VqvaeAudio)
    assert model.counts.tolist() == [16, 16]
    with torch.no_grad():
        known = model.anomaly(x, given=loud).score.mean()
        assert known < 0.8, "four symbols are as frequent as each other: ln 4 for who knows nothing"
        assert known < model.anomaly(x, given=1 - loud).score.mean(), "the voice is heeded"
        z = model.encode(x)
        local, _ = model._told_by(z)
        other, _ = model._told_by(z.roll(1, 0))
        symbols = model.decoder.symbols(x)
        heeded = model.decoder.nats(symbols, other, loud).mean() - model.decoder.nats(symbols, local, loud).mean()
        assert heeded > 0.05, "and so are the codes"


def test_what_it_cannot_do_it_says_in_one_sentence() -> None:
    with pytest.raises(ShapeError, match="mix the channels down"):
        vqvae_audio(DataSpec(shape=(40, 2), kind="sequence", rate=8000))
    with pytest.raises(ShapeError, match="without a rate"):
        vqvae_audio(DataSpec(shape=(40, 1), kind="sequence"))
    with pytest.raises(OptionError, match="no classes"):
        vqvae_audio(sound(), conditional=True)
    with pytest.raises(OptionError, match="hop=24 is no power of two"):
        vqvae_audio(sound(), hop=24, encoder="waveform")
    with pytest.raises(OptionError, match="take encoder='waveform'"):
        vqvae_audio(DataSpec(shape=(40, 1), kind="sequence", rate=2000))
    with pytest.raises(OptionError, match="jitter=2"):
        vqvae_audio(sound(), jitter=2)
    with pytest.raises(OptionError, match="temperature of Gru"):
        vqvae_audio(sound(), decoder=Gru(temperature=-1.0))
    with pytest.raises(OptionError, match="dilations"):
        vqvae_audio(sound(), decoder=Dilated(dilations=0))
    with pytest.raises(OptionError, match="without classes"):
        shaken().reconstruct(waves(1), given=torch.tensor([0]))
    with pytest.raises(OptionError, match="beyond 0 to 1"):
        shaken(sound(classes=2), conditional=True).reconstruct(waves(1), given=torch.tensor([2]))
    for codes in (torch.full((1, 1, 1, 6), 17), torch.full((1, 1, 1, 6), -1), torch.zeros(1, 6, dtype=torch.long)):
        with pytest.raises(ShapeError, match="symbols 0 to 16"):
            shaken().decode(codes)
    spec = sound(classes=2)
    told, plan = shaken(spec, conditional=True), Plan(steps=1, batch=8, precision="32", device="cpu")
    with pytest.raises(DataError, match="8 of 8 training samples have no label"):
        fit(told, Rows(spec, waves(8)), plan)


def test_a_mode_and_threads() -> None:
    x = waves(2)
    mode = shaken(decoder=Dilated(1, 2, temperature=0.0))
    nearly = shaken(decoder=Dilated(1, 2, temperature=1e-4))
    before = torch.get_num_threads()
    assert torch.equal(mode.reconstruct(x), nearly.reconstruct(x))
    assert torch.get_num_threads() == before
