import subprocess
import sys
from dataclasses import dataclass

import pytest

from urbild import catalogue
from urbild.catalogue import Card
from urbild.contract import DataSpec
from urbild.errors import OptionError, ShapeError

VECTOR = DataSpec(shape=(6,), kind="vector")


def test_the_catalogue_imports_nothing_heavy():
    code = "import urbild.catalogue as c, sys; c.cards(); print('torch' in sys.modules or 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_unknown_names_show_the_nearest():
    with pytest.raises(OptionError, match="did you mean autoencoder"):
        catalogue.card("autoencodr")
    with pytest.raises(OptionError, match="did you mean latent"):
        catalogue.build("vae", VECTOR, {"latnt": 3})


def test_a_system_refuses_data_that_it_cannot_take():
    with pytest.raises(ShapeError, match="not sequence"):
        catalogue.build("vae", DataSpec(shape=(5, 2), kind="sequence"), {})


def test_building_is_a_function_of_the_seed():
    import torch

    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, two, other = (catalogue.build("autoencoder", VECTOR, {}, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_parts_survive_json():
    import json

    from urbild.nets.observations import Discretised

    options = {"latent": 3, "likelihood": Discretised(levels=16)}
    text = json.dumps(catalogue.encode_options(options))
    assert catalogue.decode_options("vae", json.loads(text)) == options


@pytest.mark.parametrize(
    "part", [{"part": "Popen"}, {"part": "Discretised", "levels": 16, "shell": True}, {"part": "Model"}]
)
def test_only_parts_that_the_builder_names_are_made(part):
    with pytest.raises(OptionError):
        catalogue.decode_options("vae", {"likelihood": part})


@dataclass
class Point:
    card: Card

    def load(self):
        return self.card


def test_other_packages_register_systems(monkeypatch):
    own = catalogue.card("vae")
    other = Card(**{**{name: getattr(own, name) for name in own.__slots__}, "name": "their_vae"})
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [Point(other)] if group == "urbild.systems" else [])
    catalogue.cards.cache_clear()
    try:
        assert catalogue.card("their_vae") is other
    finally:
        catalogue.cards.cache_clear()
