"""What is seen while a run trains: it changes nothing, costs little, and says when a game goes wrong."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import urbild
from urbild.contract import DataSpec
from urbild.data import as_records
from urbild.models.adversarial.game import Game
from urbild.nets.adversaries import Dense
from urbild.nets.games import Rules
from urbild.nets.moves import Adam
from urbild.nets.priors import Normal
from urbild.report import build
from urbild.runs import train_run, watching
from urbild.runs.signs import ROWS, Collapse, Victory
from urbild.runs.watching import ANIMATION, Watcher, drawn, spread
from urbild.training import Row

POINTS = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
PLAIN = DataSpec(shape=(2,), kind="vector")
QUICK = {"batch": 64, "device": "cpu", "seed": 0}


class Deaf(nn.Module):
    """A generator that ignores its latent."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(2))

    def forward(self, z):
        return self.place.expand(len(z), 2)


class Told:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)

    def start(self, stage, steps, done):
        pass

    def step(self, done, losses, rate):
        pass

    def close(self):
        pass


@pytest.fixture(autouse=True)
def at_leisure(monkeypatch):
    """Other work on the machine takes no look away."""
    monkeypatch.setattr(watching, "FREE", 1e9)


def trained(model, tmp_path, **options):
    told = Told()
    records = as_records(POINTS)
    run = train_run(model, records, {**QUICK, **options}, directory=tmp_path, reporter=told)
    return run, [note for note in told.notes if note.startswith("warning")]


def test_a_generator_that_ignores_its_latent_has_collapsed(tmp_path):
    model = Game(PLAIN, Deaf(), Dense(width=16).critic(PLAIN), prior=Normal(2), rules=Rules())
    run, warned = trained(model, tmp_path, steps=30, checkpoint_every=10)
    assert len(warned) == 1
    assert warned[0].startswith("warning: the samples have collapsed (stage game, step 20): two of them are 0 %")
    assert run.training["warnings"] == [warned[0].removeprefix("warning: ")]
    assert json.loads((tmp_path / "urbild.json").read_text())["training"]["warnings"] == run.training["warnings"]
    assert "While it trained: the samples have collapsed" in build(tmp_path).read_text()


def test_a_sound_game_is_left_in_peace(tmp_path):
    run, warned = trained("gan", tmp_path, steps=160, checkpoint_every=40, optimiser=Adam(generator=2e-3, critic=2e-3))
    diversity = [row.value for row in run.rows if row.name == "samples/diversity"]
    assert len(diversity) == 4
    assert 0.5 < diversity[-1] < 2
    assert warned == run.training["warnings"] == []


def row(name: str, value: float, step: int = 1) -> Row:
    return Row("game", step, 0.0, "train", f"critic/{name}", value)


def said(rows) -> int:
    sign = Victory()
    return sum(sign.read(each) is not None for each in rows)


@pytest.mark.parametrize(
    ("fake", "told", "count", "warnings"),
    [
        (0.001, 0.999, ROWS, 1),
        (0.001, 0.999, 5 * ROWS, 1),
        (0.001, 0.999, ROWS - 1, 0),
        (0.3, 0.999, 5 * ROWS, 0),
        (0.001, 0.8, 5 * ROWS, 0),
        (-7.0, 0.999, 5 * ROWS, 1),
    ],
)
def test_a_critic_wins_when_it_does_so_for_long(fake, told, count, warnings):
    rows = [each for step in range(count) for each in (row("fake", fake, step), row("told", told, step))]
    assert said(rows) == warnings


def test_a_critic_that_was_beaten_now_and_then_has_not_won():
    rows = [row("told", 0.9 if step % (ROWS - 1) == 0 else 1.0) for step in range(10 * ROWS)]
    assert said(rows) == 0


def test_a_critic_without_an_opponent_wins(tmp_path):
    generator = Deaf()
    nn.init.constant_(generator.place, 9.0)
    rules = Rules(optimiser=Adam(generator=1e-7, critic=1e-2))
    model = Game(PLAIN, generator, Dense(width=16).critic(PLAIN), prior=Normal(2), rules=rules)
    _, warned = trained(model, tmp_path, steps=80, log_every=2)
    assert len(warned) == 1
    assert warned[0].startswith("warning: the critic has won outright (stage game, step")


def collapses(*values: float) -> list[bool]:
    sign = Collapse()
    texts = [sign.read(Row("game", step, 0.0, "train", "samples/diversity", v)) for step, v in enumerate(values)]
    return [text is not None for text in texts]


def test_collapse_needs_two_looks():
    assert collapses(0.1, 0.9, 0.1, 0.9, 0.1, 0.05, 0.05) == [False] * 5 + [True, False]


def test_samples_that_begin_to_differ_have_not_collapsed():
    assert not any(collapses(0.01, 0.05, 0.1, 0.2, 0.6))


def test_spread_is_the_mean_distance_of_two():
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)
    assert spread(torch.zeros(1, 2)) == 0


def digits():
    return as_records(load_digits().images.astype(np.uint8))


def test_looking_changes_no_weight_and_leaves_an_animation(tmp_path):
    options = {**QUICK, "steps": 12, "checkpoint_every": 4, "batch": 16}
    seen = train_run("dcgan", digits(), options, directory=tmp_path).model.state_dict()
    with_none = train_run("dcgan", digits(), {**options, "frames": 0}, directory=None).model.state_dict()
    assert all(torch.equal(value, with_none[name]) for name, value in seen.items())
    with Image.open(tmp_path / ANIMATION) as film:
        assert film.n_frames == 4  # the start, two checkpoints, the end
        assert film.info["loop"] == 0
    assert (tmp_path / ANIMATION).stat().st_size < 200_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "metrics.csv",
        "model.safetensors",
        "samples.gif",
        "urbild.json",
    ]


def test_frames_are_at_most_as_many_as_asked_for(tmp_path):
    for frames in (3, 0):
        home = tmp_path / str(frames)
        home.mkdir()
        trained("gan", home, steps=6, checkpoint_every=1, frames=frames)
    with Image.open(tmp_path / "3" / ANIMATION) as film:
        assert film.n_frames == 3
    assert not (tmp_path / "0" / ANIMATION).exists()


class Broken(Exception):
    pass


def test_a_run_that_goes_on_keeps_its_frames(tmp_path, monkeypatch):
    class Stopped(Told):
        def note(self, text):
            if text.startswith("look 3"):
                raise Broken

    def look(self, *words, plain=Watcher.look):
        found = plain(self, *words)
        self.looks = getattr(self, "looks", 0) + 1
        self._reporter.note(f"look {self.looks}")
        return found

    monkeypatch.setattr(Watcher, "look", look)
    options = {**QUICK, "steps": 24, "checkpoint_every": 4}
    records = as_records(POINTS)
    with pytest.raises(Broken):
        train_run("gan", records, options, directory=tmp_path, reporter=Stopped())
    assert len(list((tmp_path / "frames").iterdir())) == 3
    train_run("gan", records, options, directory=tmp_path, resume=True)
    with Image.open(tmp_path / ANIMATION) as film:
        assert film.n_frames == 7


def test_slow_samplers_are_left_alone(tmp_path, monkeypatch):
    asked = []

    def slow(model, n):
        asked.append(n)
        time.sleep(0.5)  # which would be 2 % of 25 seconds
        return drawn(model, n)

    monkeypatch.setattr(watching, "FREE", 0.0)
    monkeypatch.setattr(watching, "drawn", slow)
    trained("gan", tmp_path, steps=8, checkpoint_every=2)
    assert asked == [1]  # to find out
    assert not (tmp_path / ANIMATION).exists()


@pytest.mark.parametrize("columns", [1, 3])
def test_other_vectors_have_no_picture(tmp_path, columns):
    points = np.random.default_rng(0).normal(size=(200, columns)).astype(np.float32)
    run = train_run("gan", as_records(points), {**QUICK, "steps": 8, "checkpoint_every": 4}, directory=tmp_path)
    assert not (tmp_path / ANIMATION).exists()
    assert any(row.name == "samples/diversity" for row in run.rows)


def test_systems_that_do_not_sample_are_not_asked(tmp_path):
    run, _ = trained("autoencoder", tmp_path, steps=6, checkpoint_every=2, latent=2)
    assert not (tmp_path / ANIMATION).exists()
    assert run.training["warnings"] == []


def test_the_library_trains_so_too(tmp_path):
    urbild.train("gan", POINTS, steps=6, device="cpu", out=tmp_path / "run")
    assert (tmp_path / "run" / ANIMATION).exists()
