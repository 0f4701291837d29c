"""A prior over codes of every kind: of two maps, of a decoder that draws pixels, and of sound that ends."""

from dataclasses import MISSING, fields, replace
from itertools import product
from typing import get_type_hints

import pytest
import torch
from models_kit import DIGITS, Rows, digits, train
from torch import Tensor

from urbild.catalogue import build, parameters
from urbild.contract import Batch, DataSpec
from urbild.errors import OptionError, ShapeError
from urbild.models.autoregressive.code_parts import AudioCodes, Codes, PixelcnnVqvaeCodes, Vqvae2Codes, VqvaeCodes
from urbild.models.autoregressive.code_priors import GatedPrior, MaskedPrior, Prior, RecurrentPrior
from urbild.models.autoregressive.code_sites import Hops
from urbild.models.autoregressive.latent_prior import LatentPrior
from urbild.models.variational.vqvae_audio import VqvaeAudio
from urbild.nets.quantisers import Ema
from urbild.nets.voice import Dilated
from urbild.training import Plan, fit

CLASSES = tuple("0123456789")
PRIOR = GatedPrior(layers=2, width=16, learning_rate=5e-3)
TWO_MAPS = Vqvae2Codes(quantiser=Ema(codes=16), hidden=16, residual=1, code_size=8, learning_rate=2e-3)
PIXELS = PixelcnnVqvaeCodes(quantiser=Ema(codes=8), layers=2, width=8, kernel=3, first_kernel=3)
VOICES = AudioCodes(
    quantiser=Ema(codes=2, start="uniform"),
    hop=8,
    width=8,
    decoder=Dilated(cycles=1, dilations=3),
    conditional=True,
    classes=("high", "low"),
)
SOUND = DataSpec(shape=(20, 1), kind="sequence", rate=8000, classes=("one", "two", "three"))


def made(spec: DataSpec, autoencoder: Codes, prior: Prior = PRIOR, **options: object) -> LatentPrior:
    model = build("latent_prior", spec, {"autoencoder": autoencoder, "prior": prior, **options})
    assert isinstance(model, LatentPrior)
    return model.eval()


def shaken(model: LatentPrior) -> LatentPrior:
    """A prior none of whose weights is 0."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.chain.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def codes_of(rows: int, levels: int, size: int) -> Tensor:
    """All codes of a size, or as many as there are rows."""
    return torch.tensor(list(product(range(levels), repeat=size))[:rows])


@pytest.mark.parametrize("part", [VqvaeCodes, Vqvae2Codes, PixelcnnVqvaeCodes, AudioCodes])
def test_a_part_has_the_options_of_its_system(part: type[Codes]) -> None:
    known, hints = parameters(part.system), get_type_hints(part)
    own = {field.name: field for field in fields(part) if field.name != "classes"}  # type: ignore[arg-type]
    assert list(own) == list(known)
    for name, field in own.items():
        assert (field.default, hints[name]) == (known[name].default, known[name].annotation)
        assert field.default is not MISSING


@pytest.mark.parametrize("conditional", [False, True])
def test_probabilities_of_all_codes_of_two_maps_sum_to_one(conditional: bool) -> None:
    spec = DataSpec(shape=(1, 4, 4), kind="image", levels=256, classes=("a", "b", "c"))
    model = shaken(made(spec, replace(TWO_MAPS, quantiser=Ema(codes=2)), conditional=conditional))
    codes = codes_of(32, levels=2, size=1 + 4).view(-1, 1, 1, 5)
    for given in (None, torch.full((32,), 1)) if conditional else (None,):
        with torch.no_grad():
            nats, sites = model.chain.nats(codes, given)
        assert [one.shape for one in sites] == [(32, 1, 1), (32, 2, 2)]
        torch.testing.assert_close((-nats).exp().sum(), torch.ones(()), atol=1e-5, rtol=0)


def test_probabilities_of_all_sounds_sum_to_one_however_long() -> None:
    """Codes of three sites: those that end before are shorter, and what follows the end does not count."""
    model = shaken(made(SOUND, VOICES)).double()
    codes = codes_of(27, levels=3, size=3).view(-1, 1, 1, 3)
    counted = model.sites.counted(codes)
    different = (codes * counted).flatten(1).unique(dim=0, return_inverse=True)[1]
    with torch.no_grad():
        nats, _ = model.chain.nats(codes)
    total = sum((-nats[different == each][0]).exp() for each in different.unique())
    assert len(different.unique()) == 1 + 2 * (1 + 2 * 3)
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64))


def test_training_counts_the_symbols_of_sounds_alone() -> None:
    model = shaken(made(SOUND, VOICES))
    codes = torch.tensor([[0, 2, 2], [1, 0, 2], [2, 2, 2]]).view(3, 1, 1, 3)
    with torch.no_grad():
        (turn,) = model.chain.stage().turns
        expected = model.chain.nats(codes)[0].mean()
        shorter = turn.loss(Batch(x=codes[[0, 2]] / 2, index=torch.arange(2)))["loss"]
        whole = turn.loss(Batch(x=codes / 2, index=torch.arange(3)))["loss"]
        padded = torch.where(torch.arange(3) > 1, 0, codes[[0, 2]])  # behind the end, where nothing counts
        again = turn.loss(Batch(x=padded / 2, index=torch.arange(2)))["loss"]
    torch.testing.assert_close(whole, expected)
    torch.testing.assert_close(shorter, again)


def test_the_finer_map_is_told_the_coarser_one_and_not_the_reverse() -> None:
    model = shaken(made(DIGITS, TWO_MAPS))
    codes = model.encode(digits()[0][:6])
    other = codes.clone()
    other[..., :4] = (codes[..., :4] + 1) % 16  # the top map of 2 x 2
    with torch.no_grad():
        _, (top, bottom) = model.chain.nats(codes)
        assert not torch.isclose(model.chain.nats(other)[1][1], bottom).all()
        other = codes.clone()
        other[..., 4:] = (codes[..., 4:] + 1) % 16
        assert torch.equal(model.chain.nats(other)[1][0], top)


def test_two_maps_cost_less_in_a_chain() -> None:
    """Fresh digits: the chain knows more than how often symbols are used, and the bottom map more by the top one."""
    model, x = made(DIGITS, TWO_MAPS), digits()[0]
    train(model, x[:1400], steps=250)
    with torch.no_grad():
        seen, fresh = model.encode(x[:1400]), model.encode(x[1400:])
        nats, (top, bottom) = model.chain.nats(fresh)
        mixed_up = torch.cat([fresh[..., :4].roll(1, 0), fresh[..., 4:]], -1)
        _, (_, lost) = model.chain.nats(mixed_up)
    unigram = torch.zeros(len(fresh))
    for part in (slice(0, 4), slice(4, 20)):
        share = torch.bincount(seen[..., part].flatten(), minlength=16) + 1.0
        unigram -= (share / share.sum()).log()[fresh[..., part]].flatten(1).sum(1)
    torch.testing.assert_close(nats, top.flatten(1).sum(1) + bottom.flatten(1).sum(1))
    assert nats.mean() < unigram.mean() - 3
    assert lost.flatten(1).sum(1).mean() > bottom.flatten(1).sum(1).mean() + 1
    drawn = model.sample(32, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (32, 1, 8, 8)
    assert len(drawn.unique(dim=0)) > 30


@pytest.mark.parametrize("codes", [TWO_MAPS, PIXELS], ids=lambda codes: codes.system)
def test_images_are_decoded_codes_of_a_class_and_completed(codes: Codes) -> None:
    spec = replace(DIGITS, classes=CLASSES)
    model = shaken(made(spec, codes, conditional=True))
    given = torch.tensor([3, 3, 7])
    drawn = model.draw(3, given=given, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (3, *model.code_spec.shape)
    sampled = model.sample(3, given=given, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampled, model.decode(drawn))
    x = digits()[0][:3]
    observed = torch.zeros(3, 8, 8, dtype=torch.bool)
    observed[:, :4] = True
    made_whole = model.complete(x, observed, given=given, generator=torch.Generator().manual_seed(0))
    again = model.complete(x * observed[:, None], observed, given=given, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made_whole[:, :, :4], x[:, :, :4])
    assert torch.equal(made_whole, again), "what is hidden has no say"


def test_only_a_prior_that_takes_maps_makes_a_chain() -> None:
    for prior in (MaskedPrior(), RecurrentPrior()):
        with pytest.raises(OptionError, match=r"coarser map.*take GatedPrior"):
            made(DIGITS, TWO_MAPS, prior)


def test_codes_of_other_data_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"VqvaeCodes is of image data.*take AudioCodes"):
        made(SOUND, VqvaeCodes())
    with pytest.raises(ShapeError, match=r"AudioCodes is of sequence data.*take VqvaeCodes"):
        made(DIGITS, VOICES)


# Sound


class Ringing(Rows):
    """Tones of three words: the higher, the shorter; the rest is padding. Their labels are words or voices."""

    def __init__(self, n: int, classes: int = 3) -> None:
        time, word = torch.arange(20), torch.arange(n) % 3
        phase = 6 * torch.rand(n, 1, generator=torch.Generator().manual_seed(0))
        x = 0.5 * torch.sin((0.4 + 0.8 * word[:, None]) * time + phase) + 0.01
        super().__init__(SOUND, (x * (time < (20 - 8 * word[:, None])))[..., None])
        self.labels = (torch.arange(n) % classes).numpy()

    def fetch(self, rows, *, epoch: int = 0) -> Batch:  # type: ignore[no-untyped-def]
        return replace(super().fetch(rows, epoch=epoch), y=torch.from_numpy(self.labels)[list(rows)])


@pytest.fixture(scope="module")
def speaking() -> LatentPrior:
    """A prior by three words over the codes of a decoder that knows two voices."""
    plan = Plan(steps=250, batch=32, precision="32", device="cpu")
    codes = replace(VOICES, quantiser=Ema(codes=8), learning_rate=5e-3)
    voices = codes.build(SOUND)
    assert isinstance(voices, VqvaeAudio)
    fit(voices, Ringing(97, classes=2), plan)
    model = made(SOUND, codes, conditional=True)
    model.adopt(voices)
    fit(model, Ringing(96), replace(plan, steps=600))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # the voices are alike in these sounds, and are made to differ
        for parameter in voices.decoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
        model.autoencoder.load_state_dict(voices.state_dict())
    return model.eval()


def test_sampled_sounds_end_where_those_of_their_class_do(speaking: LatentPrior) -> None:
    given = torch.arange(60) % 3
    with torch.no_grad():
        drawn = speaking.draw(60, given=given, generator=torch.Generator().manual_seed(0))
        sounds = speaking.sample(60, given=given, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (60, 1, 1, 3)
    assert torch.equal(sounds, speaking.codes.decode(drawn)), "in the usual voice"
    assert isinstance(speaking.sites, Hops)
    lengths = 8 * (drawn[:, 0, 0] < speaking.sites.end).long().cumprod(1).sum(1)
    after = torch.arange(20) >= lengths[:, None]
    assert not sounds[..., 0][after].any()
    assert sounds.shape == (60, 20, 1)
    right = (lengths == torch.tensor([24, 16, 8])[given]).float().mean()
    assert right > 0.9, "the longest have three symbols, the shortest one"


def test_the_decoder_has_classes_of_its_own(speaking: LatentPrior) -> None:
    assert speaking.labels == SOUND.classes
    with torch.no_grad():
        drawn = speaking.draw(4, given=torch.zeros(4, dtype=torch.long), generator=torch.Generator().manual_seed(0))
        usual, other = (speaking.codes.decode(drawn, given=torch.full((4,), voice)) for voice in (0, 1))
        assert torch.equal(speaking.decode(drawn, given=torch.full((4,), 2)), usual), "the most frequent"
    assert not torch.equal(usual, other)
    same = made(SOUND, replace(VOICES, classes=()), conditional=True)
    assert same._voice(torch.tensor([2])) is not None, "it knows the prior's classes, so it is told them"


def test_padding_counts_nowhere_in_a_score_by_codes(speaking: LatentPrior) -> None:
    x = Ringing(6).x
    with torch.no_grad():
        anomaly = speaking.anomaly(x)
        bits, symbols, _ = speaking.code_bits(x)
        told = speaking.anomaly(x, given=torch.arange(6) % 3)
    assert anomaly.map is not None
    assert symbols.tolist() == [3, 3, 2, 3, 3, 2]
    torch.testing.assert_close(anomaly.score, bits / symbols)
    assert not anomaly.map[2, 16:].any(), "one symbol, then the end"
    assert torch.equal(anomaly.map[0, :8], anomaly.map[0, :1].expand(8))
    assert (told.score < anomaly.score).all(), "a class that is told costs nothing"


def test_a_sound_is_completed_from_its_beginning(speaking: LatentPrior) -> None:
    x = Ringing(6).x
    observed = torch.arange(20).expand(6, 20) < 10
    with torch.no_grad():
        made_whole = speaking.complete(
            x, observed, given=torch.zeros(6, dtype=torch.long), generator=torch.Generator().manual_seed(0)
        )
        loud = torch.where(observed[..., None], x, 0.9)
        again = speaking.complete(
            loud, observed, given=torch.zeros(6, dtype=torch.long), generator=torch.Generator().manual_seed(0)
        )
        codes = speaking.encode(torch.where(observed[..., None], x, 0.0))
    assert torch.equal(made_whole[:, :10], x[:, :10])
    assert torch.equal(made_whole, again), "what is hidden has no say"
    seen = speaking.sites.seen(observed, (1, 3))
    assert seen[0, 0].tolist() == [True, False, False], "a symbol is kept where all its samples are seen"
    drawn = speaking.chain.draw(
        6, torch.zeros(6, dtype=torch.long), generator=torch.Generator().manual_seed(0), kept=(codes, [seen])
    )
    assert torch.equal(drawn[:, 0], codes[:, 0, 0, 0])


def test_silence_where_the_observed_part_ends_is_no_end_of_the_sound(speaking: LatentPrior) -> None:
    x, observed = Ringing(6).x[:1].clone(), torch.arange(20)[None] < 16
    x[:, 8:16] = 0
    with torch.no_grad():
        end = speaking.sites.end  # type: ignore[attr-defined]
        assert speaking.encode(speaking.sites.blank(x, observed))[0, 0, 0, 1] != end
        assert speaking.encode(x)[0, 0, 0, 1] != end, "as it is in the whole sound"
        whole = torch.ones_like(observed)
        assert torch.equal(speaking.sites.blank(Ringing(6).x[2:3], whole), Ringing(6).x[2:3]), "which ended at 8"
        made_whole = speaking.complete(x, observed, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made_whole[:, :16], x[:, :16])


def test_a_decoder_that_never_heard_a_class_of_the_prior_is_not_told_it() -> None:
    model = made(SOUND, replace(VOICES, classes=()), conditional=True)
    model.prior.seen.fill_(True)
    assert isinstance(model.autoencoder, VqvaeAudio)
    model.autoencoder.counts.copy_(torch.tensor([3, 1, 0]))
    assert model._voice(torch.tensor([0])) is None
    model.prior.seen[2] = False
    assert model._voice(torch.tensor([0])) is not None
