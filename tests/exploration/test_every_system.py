"""Every system of the catalogue that decodes can be explored, or is refused for its symbols."""

import pytest
import torch
from explore_kit import model

from urbild import catalogue
from urbild.contract import DataSpec, Discrete, Encodes, in_turn
from urbild.errors import OptionError
from urbild.exploration import code_shape, continuous, decoded, encoded, interpolate, own_law

SPECS = {
    "vector": DataSpec(shape=(6,), kind="vector", classes=("a", "b")),
    "image": DataSpec(shape=(1, 8, 8), kind="image", levels=256, classes=("a", "b")),
    "sequence": DataSpec(shape=(24, 1), kind="sequence", rate=8000, classes=("a", "b")),
}
DECODING = [card for card in catalogue.cards().values() if "decode" in card.verbs]
GAMES = [card for card in DECODING if card.family == "adversarial" and "sample" in card.verbs]


@pytest.fixture(scope="module", params=DECODING, ids=lambda card: card.name)
def made(request):
    return model(request.param.name, SPECS[request.param.kinds[0]])


def codes(made):
    law = own_law(made)
    if law is not None:
        return law.draw(4, generator=torch.Generator().manual_seed(0)).reshape(4, *code_shape(made))
    return encoded(made, torch.rand(4, *made.spec.shape))


def test_it_can_be_walked_or_its_symbols_are_named(made):
    if isinstance(made, Discrete):
        with pytest.raises(OptionError, match="are symbols"):
            continuous(made)
        return
    z = codes(made)
    with torch.no_grad():
        shown = interpolate(made, z[:2], z[2:], steps=3, given=in_turn(made, 2))
    assert shown.shape == (2, 3, *made.spec.shape)
    assert shown.isfinite().all()


def test_a_model_without_encoder_has_a_law_to_search_from(made):
    assert isinstance(made, Encodes) or own_law(made) is not None


@pytest.mark.parametrize("made", GAMES, indirect=True, ids=lambda card: card.name)
def test_draws_of_the_law_of_a_game_are_its_samples(made):
    z = own_law(made).draw(4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        sampled = made.sample(4, given=in_turn(made, 4), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(decoded(made, z, given=in_turn(made, 4)), sampled)
