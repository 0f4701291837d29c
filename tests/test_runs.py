import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import urbild
from urbild import runs
from urbild.contract import Model
from urbild.errors import ArtifactError, OptionError

X = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)


def test_train_gives_a_model_in_evaluation_mode():
    model = urbild.train("vae", X, steps=5, seed=1, latent=2)
    assert isinstance(model, Model)
    assert not model.training
    assert model.sample(3, generator=torch.Generator().manual_seed(0)).shape == (3, 5)


def test_unknown_options_show_the_nearest():
    with pytest.raises(OptionError, match=r"unknown option 'stepz'; did you mean steps"):
        urbild.train("vae", X, stepz=3)


def test_a_run_comes_back_bit_identical_in_a_fresh_process(tmp_path):
    model = urbild.train("autoencoder", X, steps=8, seed=1, latent=2, out=tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "metrics.csv",
        "model.safetensors",
        "urbild.json",
    ]
    with torch.no_grad():
        scores = model.anomaly(torch.from_numpy(X)).score
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, numpy, torch, urbild; run = urbild.load(sys.argv[1], device='cpu'); torch.set_grad_enabled(False);"
        "print(run.model.anomaly(torch.from_numpy(numpy.load(sys.argv[2]))).score.numpy().tobytes().hex())"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "x.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == scores.numpy().tobytes().hex()


def test_the_manifest_says_how_it_was_made(tmp_path):
    urbild.train("vae", X, steps=6, seed=4, latent=2, beta=0.5, out=tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "urbild.json").read_text())
    assert manifest["model"] == {"name": "vae", "class": "Vae", "options": {"latent": 2, "beta": 0.5}}
    assert manifest["training"]["seed"] == 4
    assert manifest["training"]["steps"] == {"vae": 6}
    assert manifest["data"]["samples"] == 120
    assert manifest["training"]["versions"]["torch"] == torch.__version__


def test_patience_holds_out_a_validation_part(tmp_path):
    urbild.train("autoencoder", X, steps=30, patience=2, check_every=1, seed=0, latent=2, out=tmp_path / "run")
    training = json.loads((tmp_path / "run" / "urbild.json").read_text())["training"]
    assert training["samples"] + training["validation_samples"] == 120
    assert training["validation_samples"] == 12


class Own(Model):
    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.layer = torch.nn.Linear(5, 5)

    def stages(self):
        from urbild.contract import Stage, Turn

        loss = lambda batch: {"loss": (self.layer(batch.x) - batch.x).square().mean()}  # noqa: E731
        return [Stage(name="own", turns=[Turn(name="fit", modules=[self.layer], loss=loss)])]


def test_a_model_of_ones_own_needs_an_instance_to_load(tmp_path):
    from urbild.contract import DataSpec

    spec = DataSpec(shape=(5,), kind="vector")
    trained = urbild.train(Own(spec), X, steps=4, out=tmp_path / "run")
    with pytest.raises(ArtifactError, match="your own class Own"):
        runs.load(tmp_path / "run")
    loaded = runs.load(tmp_path / "run", model=Own(spec), device="cpu").model
    assert torch.equal(loaded.layer.weight, trained.layer.weight)
