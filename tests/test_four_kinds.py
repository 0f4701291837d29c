"""The claim about four kinds of generative model runs through, on small data, and measures what it says."""

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image


@pytest.fixture
def claim(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    from benchmarks.reproduce import four_kinds

    yield four_kinds
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def test_sharpness_is_the_variance_of_the_laplacian(claim):
    ramp = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert claim.sharpness(ramp) == pytest.approx(0, abs=1e-9)
    x = torch.randn(200, 1, 30, 30, generator=torch.Generator().manual_seed(0))
    assert claim.sharpness(x) == pytest.approx(20, rel=0.02)  # 4^2 + 4, of white noise
    assert claim.sharpness(x.movedim(0, 1)[:, :3]) == pytest.approx(20, rel=0.1)


def test_all_four_are_measured(claim, tmp_path):
    few = {"steps": 2, "batch": 16, "device": "cpu"}
    names = (claim.AUTOENCODER, claim.VAE, claim.CODES, claim.GAN)
    settings = {"data": "digits", "samples": 40, "classifier": few, **dict.fromkeys(names, few)}
    lines = list(claim.measure(settings, 0, tmp_path / "four.png"))
    found = {(line.system, line.metric): line.value for line in lines}
    assert {system for system, _ in found} == {"training images", *names}
    for name in names:
        assert found[name, "FID"] > found["training images", "FID"]
        assert found[name, "sharpness"] >= 0
        assert ((name, "squared error") in found) == (name != claim.GAN)
    with Image.open(tmp_path / "four.png") as picture:
        assert picture.width > picture.height
