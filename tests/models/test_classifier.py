"""Facts of the classifier: it judges images, tables and sound as it was taught, and refuses what teaches nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from models_kit import DIGITS, digits
from torch import Tensor
from torch.nn import functional

from urbild.contract import Batch, DataSpec, Source
from urbild.errors import DataError, OptionError
from urbild.models.representation.classifier import (
    FEATURES,
    Classifier,
    Spectral,
    classifier,
    labelled,
    pooled,
)
from urbild.ops.sources import Chosen
from urbild.training import Plan, fit

TEN = replace(DIGITS, classes=tuple("0123456789"))
TABLE = DataSpec(shape=(6,), kind="vector", classes=("left", "right"))
SOUND = DataSpec(shape=(2000, 1), kind="sequence", rate=8000, classes=("low", "high"))


class Taught(Source):
    """Samples in memory with their labels."""

    def __init__(self, spec: DataSpec, x: Tensor, labels: "np.ndarray[Any, Any] | None") -> None:
        self.spec, self.x, self.labels = spec, x, labels

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, rows: Sequence[int], *, epoch: int = 0) -> Batch:
        index = torch.as_tensor(np.asarray(rows))
        y = None if self.labels is None else torch.from_numpy(self.labels)[index]
        return Batch(x=self.x[index], index=index, y=y)


def taught(spec: DataSpec, x: Tensor, y: "np.ndarray[Any, Any]", *, steps: int = 150, **options: Any) -> Classifier:
    torch.manual_seed(0)
    model = classifier(spec, **options)
    assert isinstance(model, Classifier)
    fit(model, Taught(spec, x, y), Plan(steps=steps, batch=64, precision="32", device="cpu"))
    return model


def accuracy(model: Classifier, x: Tensor, y: "np.ndarray[Any, Any]") -> float:
    with torch.no_grad():
        return float((model.classify(x).argmax(1).numpy() == y).mean())


def tones(n: int, *, seed: int = 0) -> "tuple[Tensor, np.ndarray[Any, Any]]":
    """Noisy tones of random phase and loudness, below 600 Hz or above 900 Hz."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    hertz = np.where(y == 0, rng.uniform(200, 600, n), rng.uniform(900, 1600, n))
    time = np.arange(SOUND.shape[0]) / 8000
    waves = np.sin(2 * np.pi * hertz[:, None] * time + rng.uniform(0, 6.28, (n, 1))) * rng.uniform(0.05, 0.8, (n, 1))
    return torch.from_numpy(waves + rng.normal(0, 0.02, waves.shape)).float()[..., None], y


@pytest.mark.parametrize(("network", "least"), [("auto", 0.95), ("dense", 0.92)])
def test_it_reads_digits(network: Any, least: float) -> None:
    x, y = digits()
    model = taught(TEN, x[:1300], y[:1300], steps=250, network=network)
    assert accuracy(model, x[1300:], y[1300:]) >= least
    assert accuracy(model, x[1300:], y[1300:]) > np.bincount(y[1300:]).max() / len(y[1300:]) + 0.5


def test_labels_that_say_nothing_teach_nothing() -> None:
    x, y = digits()
    shuffled = np.random.default_rng(0).permutation(y[:1300])
    model = taught(TEN, x[:1300], shuffled, steps=100)
    assert accuracy(model, x[1300:], y[1300:]) < 0.25


def test_it_tells_rows_of_a_table_and_tones_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 6, generator=generator)
    y = (x[:, 0] * x[:, 1] > 0).long().numpy()  # no linear rule tells them apart
    assert accuracy(taught(TABLE, x[:400], y[:400], steps=300), x[400:], y[400:]) > 0.9
    waves, high = tones(200)
    fresh, truth = tones(100, seed=1)
    assert accuracy(taught(SOUND, waves, high, steps=60, width=8), fresh, truth) > 0.95


def test_sound_of_a_low_rate_and_other_sequences_are_told_apart_too() -> None:
    waves, high = tones(200)
    fresh, truth = tones(100, seed=1)
    for rate in (None, 2000):
        model = taught(replace(SOUND, rate=rate), waves, high, steps=80, width=8)
        assert accuracy(model, fresh, truth) > 0.9, rate


def test_sound_of_any_length_is_judged_and_padding_has_no_say() -> None:
    waves, high = tones(200)
    fresh, truth = tones(100, seed=1)
    for rate in (8000, 2000):
        model = taught(replace(SOUND, rate=rate), waves, high, steps=80, width=8)
        whole = accuracy(model, fresh, truth)
        assert accuracy(model, fresh[:, :1200], truth) > 0.9
        padded = functional.pad(fresh, (0, 0, 0, 3000))
        assert accuracy(model, padded, truth) >= whole - 0.02
        with torch.no_grad():
            near = (model.encode(padded) - model.encode(fresh)).abs().mean()
            far = (model.encode(fresh[1:]) - model.encode(fresh[:-1])).abs().mean()
        assert near < 0.2 * far
        assert torch.isfinite(model.classify(torch.zeros(2, 500, 1))).all(), "silence has a class, too"


def test_pooling_takes_the_means_of_quarters_and_the_maximum_of_what_sounds() -> None:
    steps = torch.tensor(
        [[[1.0, 3.0, 5.0, 9.0, 2.0, 4.0, 70.0, 80.0]], [[4.0, 8.0, 90.0, 90.0, 90.0, 90.0, 90.0, 90.0]]]
    )
    quarters = pooled(steps, torch.tensor([0.75, 0.25]))
    first = [(1 + 3 / 2) / 1.5, (3 / 2 + 5) / 1.5, (9 + 2 / 2) / 1.5, (2 / 2 + 4) / 1.5, 9]
    torch.testing.assert_close(quarters, torch.tensor([first, [4, 4, 8, 8, 8]]))


def test_silence_is_black_in_the_spectrogram() -> None:
    for rate in (4000, 8000, 11_025, 16_000, 44_100):
        seen = Spectral(rate, width=2)
        image = seen.image(torch.zeros(2, rate // 2, 1))
        assert image.shape == (2, 1, 40, rate // 2 // (rate // 100) + 1)
        assert image.abs().max() < 1e-6


def test_the_loss_is_the_mean_over_the_labelled() -> None:
    torch.manual_seed(0)
    model = classifier(TABLE, dropout=0.0)
    assert isinstance(model, Classifier)
    x, y = torch.randn(5, 6), torch.tensor([0, -1, 1, 1, -1])
    losses = model.loss(Batch(x=x, index=torch.arange(5), y=y))
    said = model.classify(x)
    torch.testing.assert_close(losses["loss"], functional.nll_loss(said[[0, 2, 3]], y[[0, 2, 3]]))
    assert float(losses["accuracy"]) == pytest.approx(float((said.argmax(1) == y)[[0, 2, 3]].float().mean()))
    torch.testing.assert_close(losses["loss"], model.loss(Batch(x=x[[0, 2, 3]], index=x, y=y[[0, 2, 3]]))["loss"])
    empty = model.loss(Batch(x=x, index=torch.arange(5), y=torch.full((5,), -1)))["loss"]
    assert empty.item() == 0, "no label, no loss"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = model.loss(Batch(x=x, index=torch.arange(5), y=y))["loss"]
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow, losses["loss"], rtol=0.02, atol=0.01)


def test_it_speaks_in_log_probabilities_of_the_named_classes() -> None:
    model = classifier(TEN, width=4).eval()
    assert isinstance(model, Classifier)
    said = model.classify(digits()[0][:7])
    assert said.shape == (7, 10)
    torch.testing.assert_close(said.exp().sum(1), torch.ones(7))
    assert model.encode(digits()[0][:7]).shape == (7, FEATURES)


def test_unlabelled_samples_take_no_part() -> None:
    x, y = digits()
    partly = np.where(np.arange(1300) % 2, -1, y[:1300])
    source = Taught(TEN, x[:1300], partly)
    kept = labelled(source)
    assert isinstance(kept, Chosen)
    assert len(kept) == 650
    batches: Iterator[Batch] = kept.batches(100)
    found = torch.cat([batch.index for batch in batches])
    assert (found % 2 == 0).all()
    assert torch.equal(kept.fetch([3, 1]).index, torch.tensor([6, 2]))
    everything = Taught(TEN, x, y)
    assert labelled(everything) is everything
    assert accuracy(taught(TEN, x[:1300], partly), x[1300:], y[1300:]) > 0.8


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (28, 28), (37, 64), (65, 3)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    model = classifier(DataSpec(shape=(3, *size), kind="image", classes=("a", "b")), width=4)
    assert isinstance(model, Classifier)
    model.eval()
    assert model.classify(torch.rand(2, 3, *size)).shape == (2, 2)


@pytest.mark.parametrize(("classes", "what"), [((), "no classes"), (("scratch",), "only one class, 'scratch'")])
def test_data_without_two_classes_are_refused(classes: tuple[str, ...], what: str) -> None:
    with pytest.raises(DataError, match=what):
        classifier(replace(TABLE, classes=classes))


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (None, "none of the 4 training samples has one"),
        (np.full(4, -1), "none of the 4 training samples has one"),
        (np.array([1, -1, 1, -1]), "all 2 labelled samples are of the class 'right'"),
        (np.array([0, 1, 2, 1]), "from 0 to 2, but only 2 classes"),
        (np.array([0, 1, -7, 1]), "from -7 to 1"),
    ],
)
def test_labels_that_cannot_teach_are_refused(labels: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        fit(classifier(TABLE), Taught(TABLE, torch.zeros(4, 6), labels), Plan(steps=2, device="cpu"))


@pytest.mark.parametrize("option", [{"dropout": 1.0}, {"dropout": -0.1}, {"width": 0}, {"learning_rate": -1.0}])
def test_options_out_of_range(option: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        classifier(TABLE, **option)


def test_networks_that_do_not_go_with_the_data() -> None:
    with pytest.raises(OptionError, match="no neighbourhoods"):
        classifier(TABLE, network="convolutional")
    with pytest.raises(OptionError, match="sequences have any"):
        classifier(SOUND, network="dense")
