"""A command line as a test calls it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from urbild.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr of a command that was refused."""
        assert self.code == 2
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert self.err.startswith("urbild: ")
        return self.err.strip()


Cli = Callable[..., Answer]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path) -> Cli:
    """Runs a command line in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    return call


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """Scikit-learn's zeros as normal and its sevens as abnormal images, laid out as a user's folder."""
    images, labels = load_digits(return_X_y=True)
    root = tmp_path_factory.mktemp("digits")
    zeros, sevens = images[labels == 0], images[labels == 7]
    for part, rows in {"train/good": zeros[:120], "test/good": zeros[120:150], "test/seven": sevens[:30]}.items():
        (root / part).mkdir(parents=True)
        for number, row in enumerate(rows):
            Image.fromarray((row.reshape(8, 8) * 255 / 16).astype(np.uint8)).save(root / part / f"{number:03d}.png")
    return root


@pytest.fixture(scope="session")
def fitted(digits, tmp_path_factory) -> Path:
    """A detector of `digits`; tests that change it copy it first."""
    run = tmp_path_factory.mktemp("runs") / "pca"
    words = ["fit", digits, "--model", "pca", "--components", "8", "--out", run, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return run


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """A table of two correlated columns, one of words and a label; abnormal rows break the correlation."""
    random = np.random.default_rng(0)
    length = random.normal(10, 2, size=200)
    frame = pd.DataFrame({"length": length, "weight": 3 * length + random.normal(0, 0.2, size=200)})
    frame["colour"] = random.choice(["red", "green"], size=200)
    frame["label"] = "normal"
    frame.loc[180:, "weight"] = frame.loc[180:, "weight"] * 1.5
    frame.loc[180:, "label"] = "heavy"
    path = tmp_path_factory.mktemp("table") / "parts.csv"
    frame.to_csv(path, index=False)
    return path
