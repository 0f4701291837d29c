"""The pictures that teach: what they show is true, and each is made by one command."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    yield import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_jensen_shannon_stops_at_ln_2_and_the_earth_mover_does_not(script):
    apart = script("divergences")
    x, dx = np.linspace(-1, 11, 120_001, retstep=True)
    for gap in (0.0, 0.25, 1.0, 5.0, 9.0):
        boxes = [((x >= start) & (x < start + 1)).astype(float) for start in (0.0, gap)]
        closed = min(gap, 1.0) * np.log(2)
        assert apart.jensen_shannon(*boxes, dx) == pytest.approx(closed, abs=2e-4)
        assert apart.boxes_apart(gap) == pytest.approx((closed, gap))
        assert apart.normals_apart(gap)[1] == pytest.approx(gap)
    assert apart.normals_apart(0.0)[0] == pytest.approx(0, abs=1e-9)
    # near 0 it grows as an eighth of the squared gap, a quarter of the mean of both KL divergences
    assert apart.normals_apart(0.1)[0] == pytest.approx(0.1**2 / 8, rel=0.01)
    assert apart.normals_apart(12.0)[0] == pytest.approx(np.log(2), abs=1e-6)
    assert apart.points_apart(1e-9)[0] == pytest.approx(np.log(2))


def test_the_critic_at_its_best_values_the_game_by_the_divergence(script):
    apart = script("divergences")
    x, dx = np.linspace(-12, 14, 8001, retstep=True)
    p, q = (np.exp(-((x - centre) ** 2) / 2) / np.sqrt(2 * np.pi) for centre in (0.0, 2.0))
    best = p / (p + q)
    value = float((p * np.log(best) + q * np.log1p(-best)).sum() * dx)
    assert value == pytest.approx(2 * apart.normals_apart(2.0)[0] - 2 * np.log(2), abs=1e-9)


def test_minimax_learns_nothing_from_a_sure_critic(script):
    losses = script("generator_losses")
    belief = np.array([1e-4, 0.5, 0.9])
    slopes = {name: losses.value_and_slope(loss, belief)[1] for name, loss in losses.LOSSES.items()}
    minimax, other = slopes.values()
    np.testing.assert_allclose(minimax, -belief, rtol=1e-9)
    np.testing.assert_allclose(other, belief - 1, rtol=1e-9)


def test_early_learning_is_slow_under_minimax_alone(script):
    losses = script("generator_losses")
    minimax, other = (losses.descent(loss) for loss in losses.LOSSES.values())
    when = [int(np.flatnonzero(means < losses.START / 2)[0]) for means in (minimax, other)]
    assert when[0] > 5 * when[1]
    assert max(minimax[-1], other[-1]) < 0.2


def test_the_best_critic_between_two_normals_is_the_closed_one(script):
    losses = script("generator_losses")
    gap = 1.3
    x = gap + torch.randn(400_000, generator=torch.Generator().manual_seed(0)).double().numpy()
    belief = 1 / (1 + np.exp(x**2 / 2 - (x - gap) ** 2 / 2))
    sampled = -gap * belief.mean()
    assert losses.pull(next(iter(losses.LOSSES.values())), gap) == pytest.approx(sampled, abs=5e-3)


def test_still_pictures_are_written(script, tmp_path):
    for name in ("divergences", "generator_losses"):
        script(name).main(tmp_path)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size[0] == 900


def test_a_game_on_a_line_ends_in_a_draw(script, tmp_path, monkeypatch):
    line = script("one_dimension")
    monkeypatch.setattr(line, "FRAMES", 4)
    last = line.main(tmp_path)
    assert line.uncertainty(last) < 0.05
    assert line.distance(last) < 0.2
    with Image.open(tmp_path / "one_dimension.gif") as film:
        assert film.n_frames >= 4


def test_games_on_the_ring_are_drawn(script, tmp_path, capsys):
    found = script("critic_wins").main(tmp_path, 4)
    assert set(found) == set(script("critic_wins").CASES)
    assert len(capsys.readouterr().out.splitlines()) == len(found)
    assert (tmp_path / "critic_wins.png").stat().st_size > 1000


def test_committed_pictures_are_small():
    folder = FOLDER.parent / "images" / "adversarial"
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [
        "critic_wins.png",
        "divergences.png",
        "generator_losses.png",
        "one_dimension.gif",
    ]
    assert max(path.stat().st_size for path in paths) < 200_000
