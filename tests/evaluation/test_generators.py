"""Measures of samples: closed forms, null values, spaces, and an evaluation of generators whose faults are known."""

import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from urbild import runs
from urbild.contract import Conditional, DataSpec, Model, Samples, Stage
from urbild.data import Preparation, Reading, as_records
from urbild.errors import DataError, ExtraError, OptionError
from urbild.evaluation import Evaluation, evaluate
from urbild.evaluation.generators import (
    Generation,
    Shelf,
    by_classifier,
    compare,
    inception_score,
    kernel_distance,
    nearest_of,
    neighbourhoods,
    raw,
    see,
    space_of,
)
from urbild.evaluation.generators.networks import by_backbone, by_onnx, fitted, pooled

VECTORS = Preparation.fit(as_records(np.random.default_rng(0).normal(size=(50, 3))))


@pytest.fixture
def seen(tmp_path):
    """Makes what a space of vectors sees, in blocks."""
    numbers = iter(range(100))

    def make(x, block=100):
        return see(iter(torch.split(x, block)), raw(VECTORS), VECTORS, tmp_path / str(next(numbers)))

    return make


def test_a_shelf_keeps_what_is_put_on_it(tmp_path):
    shelf, x = Shelf(tmp_path / "shelf"), torch.randn(50, 7)
    for part in torch.split(x, 13):
        shelf.add(part)
    assert (len(shelf), shelf.size) == (50, 7)
    torch.testing.assert_close(shelf[10:20], x[10:20])
    torch.testing.assert_close(shelf[45:60], x[45:])
    torch.testing.assert_close(shelf.take(np.array([9, 3, 30])), x[[3, 9, 30]])


def test_kid_in_closed_form(seen):
    for n, m in ((30, 30), (600, 600), (40, 300)):
        assert kernel_distance(seen(torch.zeros(n, 1)), seen(torch.ones(m, 1))).value == pytest.approx(7, abs=1e-12)


def test_kid_is_unbiased(seen):
    torch.manual_seed(0)
    found = [kernel_distance(seen(torch.randn(500, 64)), seen(torch.randn(500, 64)), seed) for seed in range(4)]
    values = [each.value for each in found]
    assert abs(np.mean(values)) < 0.006, "the biased estimate is near .029"
    assert all(each.low < 0 < each.high for each in found)


def test_the_inception_score_at_its_ends(tmp_path):
    constant, certain = Shelf(tmp_path / "constant"), Shelf(tmp_path / "certain")
    constant.add(torch.tensor([[0.7, 0.2, 0.1]]).log().expand(200, -1))
    certain.add((torch.eye(4).repeat(50, 1) + 1e-30).log())
    assert inception_score(constant).value == pytest.approx(1, abs=1e-6)
    assert inception_score(certain).value == pytest.approx(4, rel=1e-5)


def test_the_same_set_and_a_far_one(seen):
    torch.manual_seed(0)
    x = torch.randn(300, 3)
    same = neighbourhoods(seen(x), seen(x))
    assert (same["precision"].value, same["recall"].value, same["coverage"].value) == (1, 1, 1)
    far = neighbourhoods(seen(x + 100), seen(x))
    assert [interval.value for interval in far.values()] == [0, 0, 0, 0]


def test_blocks_are_the_whole(seen):
    torch.manual_seed(0)
    x, y = torch.randn(250, 3), 1.5 * torch.randn(250, 3) + 1
    one, other = compare(seen(x, 7), seen(y, 250)), compare(seen(x), seen(y, 31))
    for name, interval in one.items():
        assert interval.value == pytest.approx(other[name].value, rel=1e-9), name
    assert one["fid"].value > 3


def test_features_that_are_no_numbers_are_refused(seen):
    with pytest.raises(DataError, match="not finite"):
        seen(torch.full((5, 3), torch.nan))


def test_the_nearest_training_sample():
    torch.manual_seed(0)
    train, x = torch.randn(100, 2, 3), torch.randn(20, 2, 3)
    x[4] = train[71]
    found = nearest_of(x, torch.split(train, 17))
    all_pairs = torch.cdist(x.flatten(1).double(), train.flatten(1).double())
    torch.testing.assert_close(found.distance, all_pairs.min(1).values)
    torch.testing.assert_close(found.x, train[all_pairs.argmin(1)])
    assert found.distance[4] == 0


class Draws(Model, Samples, Conditional):
    """Draws from given samples [M, *sample], of classes [M] if there are any."""

    def __init__(self, spec: DataSpec, pool: Tensor, classes: Tensor | None = None) -> None:
        super().__init__()
        self.spec, self.labels = spec, spec.classes if classes is not None else ()
        self.register_buffer("pool", pool)
        self.register_buffer("classes", classes)

    def stages(self) -> Sequence[Stage]:
        return []

    def sample(self, n, *, given=None, temperature=1.0, generator=None):
        if given is None:
            return self.pool[torch.randint(len(self.pool), (n,), generator=generator)]
        places = [torch.nonzero(self.classes == label).flatten() for label in given]
        return self.pool[torch.stack([of[torch.randint(len(of), (), generator=generator)] for of in places])]


@pytest.fixture(scope="module")
def judge() -> runs.Run:
    train = as_records("digits", reading=Reading(part="train"))
    return runs.train_run("classifier", train, {"width": 16, "steps": 150, "seed": 0})


@pytest.fixture(scope="module")
def digits():
    return as_records("digits", reading=Reading(part="train")), as_records("digits", reading=Reading(part="test"))


def run_of(records, pool=None, labels=None):
    """A run that draws from the records themselves, or from `pool`."""
    preparation = Preparation.fit(records)
    x = torch.cat([batch.x for batch in preparation.source(records).batches()]) if pool is None else pool
    return runs.train_run(Draws(preparation.spec, x, labels), records, {})


def test_copies_are_found_and_shown(digits, judge, tmp_path):
    train, test = digits
    run = run_of(train, labels=torch.from_numpy(train.labels))
    space = by_classifier(judge, run.preparation, "judge")
    found = evaluate(run, test, generation=Generation(space=space, training=train), samples=6)
    value = {name: interval.value for name, interval in found.metrics.items()}
    assert value["fid"] < 3 * value["fid_real"]
    assert value["wanted_class"] > 0.9
    assert value["wanted_class_real"] > 0.9
    assert 5 < value["inception_score"] <= 10
    assert value["nearest_training"] == 0 < value["nearest_training_real"]
    assert value["distinct"] > 0.5
    assert found.nearest is not None
    assert found.samples is not None
    np.testing.assert_array_equal(found.nearest, found.samples)
    assert found.nearest_distance.tolist() == [0] * 6
    assert found.protocol["samples_measured"] == 300
    assert "classifier judge: 128 values a sample, 10 classes" in found.protocol["feature_space"]
    found.save(tmp_path)
    back = Evaluation.load(tmp_path)
    assert back.metrics == found.metrics
    np.testing.assert_array_equal(back.nearest, found.nearest)
    again = evaluate(run, test, generation=Generation(space=space, training=train), samples=6)
    assert again.metrics == found.metrics


def test_a_collapsed_generator_is_precise_and_forgets(digits):
    train, test = digits
    ones = train.select(np.flatnonzero(train.labels == 1)[:5])
    run = run_of(train)
    pool = torch.cat([batch.x for batch in run.preparation.source(ones).batches()])
    narrow = runs.train_run(Draws(run.preparation.spec, pool), train, {})
    found = evaluate(narrow, test, generation=Generation(space=raw(narrow.preparation), samples=200))
    value = {name: interval.value for name, interval in found.metrics.items()}
    assert value["fid"] > 5 * value["fid_real"]
    assert value["kid"] > 0
    assert value["coverage"] < 0.1
    assert value["coverage_real"] > 0.9
    assert value["distinct"] == 5 / 200
    assert "inception_score" not in value
    assert "nearest_training" not in value
    assert any("copies of it were not sought" in note for note in found.notes)
    assert "pixels themselves: 64 values" in found.protocol["feature_space"]


def test_points_are_measured_with_their_modes():
    test = as_records("ring8", reading=Reading(part="test"))
    run = run_of(test.select(np.arange(4000)))
    half = test.select(np.arange(4000, 9000))
    found = evaluate(run, half, generation=Generation(space=raw(run.preparation), samples=800))
    value = {name: interval.value for name, interval in found.metrics.items()}
    assert value["modes"] == value["modes_held"] == 8
    assert value["good_samples"] == pytest.approx(0.989, abs=0.012)
    assert value["kl_of_modes"] < 0.02
    assert abs(value["fid"]) < 0.01


def test_stacked_digits_are_read_one_by_one(digits, judge):
    from urbild.data.stacked import stack_digits

    train, test = digits
    stacks = stack_digits(test, 600, digits=2)
    run = run_of(stack_digits(train, 600, digits=2))
    space = by_classifier(judge, run.preparation, "judge", stacked=True)
    assert len(space.classes) == 100
    x = torch.cat([batch.x for batch in run.preparation.source(stacks).batches()])
    seen = space.of(x)
    assert seen.values.shape == (600, 256)
    assert (seen.log_probs.argmax(1).numpy() == stacks.labels).mean() > 0.8
    torch.testing.assert_close(seen.log_probs.exp().sum(1), torch.ones(600))
    found = evaluate(run, stacks, generation=Generation(space=space, samples=290))
    assert found.metrics["modes"].value > 60


def test_too_few_samples_are_one_sentence(digits):
    train, test = digits
    run = run_of(train)
    space = raw(run.preparation)
    with pytest.raises(
        DataError, match=r"more than 64 samples a side; of digits these are 50 of at most 300; give --samples 65"
    ):
        evaluate(run, test, generation=Generation(space=space, samples=50))
    with pytest.raises(DataError, match=r"--samples 400 needs twice as many.* has 600; give --samples 300 or less"):
        evaluate(run, test, generation=Generation(space=space, samples=400))
    with pytest.raises(DataError, match="too few to measure"):
        evaluate(run, test.select(np.arange(8)), generation=Generation(space=space))


def test_spaces_that_are_not_at_hand(digits, tmp_path):
    run = run_of(digits[0])
    with pytest.raises(OptionError, match=r"inception: is not at hand; give a network .* ONNX .* classifier DATA"):
        space_of("inception", run)
    (tmp_path / "notes.txt").write_text("no network")
    with pytest.raises(OptionError, match="gives no features of image samples"):
        space_of(tmp_path / "notes.txt", run)
    (tmp_path / "pca").mkdir()
    runs.train_run("pca", digits[0], {"components": 4}, directory=tmp_path / "pca")
    with pytest.raises(OptionError, match="holds a pca, which tells no classes"):
        space_of(tmp_path / "pca", run)


def test_networks_need_their_extras(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ExtraError, match=r"urbild\[onnx\]"):
        by_onnx(tmp_path / "net.onnx")
    with pytest.raises(ExtraError, match=r"urbild\[backbones\]"):
        by_backbone(tmp_path)


def test_an_onnx_network_gets_what_it_wants(tmp_path, monkeypatch):
    """With a stand-in that has the documented interface; the real one is tested where it is installed."""

    class Session:
        def __init__(self, path, providers):
            assert providers == ["CPUExecutionProvider"]

        def get_inputs(self):
            return [SimpleNamespace(name="image", shape=["N", 3, 16, 16])]

        def run(self, outputs, feed):
            assert feed["image"].shape[1:] == (3, 16, 16)
            assert feed["image"].dtype == np.float32
            return [feed["image"][:, :2] * 2]

    module = ModuleType("onnxruntime")
    module.InferenceSession = Session
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    x = torch.rand(5, 1, 8, 8)
    found = by_onnx(tmp_path / "net.onnx").of(x)
    assert found.values.shape == (5, 2)
    torch.testing.assert_close(found.values[:, 0], fitted(2 * x, 1, (16, 16)).mean((1, 2, 3)))
    with pytest.raises(OptionError, match="3 channels, and these have 2"):
        by_onnx(tmp_path / "net.onnx").of(torch.rand(5, 2, 8, 8))


@pytest.mark.parametrize("count", [2, 4, 11])
def test_an_onnx_network_of_a_fixed_batch_takes_any_number_of_images(tmp_path, monkeypatch, count):
    class Session:
        def __init__(self, path, providers):
            pass

        def get_inputs(self):
            return [SimpleNamespace(name="image", shape=[4, 1, 8, 8])]

        def run(self, outputs, feed):
            assert feed["image"].shape == (4, 1, 8, 8)
            return [feed["image"].reshape(4, 64)]

    module = ModuleType("onnxruntime")
    module.InferenceSession = Session
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    x = torch.rand(count, 1, 8, 8)
    assert torch.equal(by_onnx(tmp_path / "net.onnx").of(x).values, x.flatten(1))


def test_outputs_are_averaged_over_their_sites():
    maps, tokens, vectors = torch.rand(2, 5, 3, 4), torch.rand(2, 7, 5), torch.rand(2, 5)
    assert torch.allclose(pooled(maps), maps.mean((2, 3)))
    assert torch.equal(pooled(tokens), tokens.mean(1))
    assert torch.equal(pooled(vectors), vectors)


def test_a_real_onnx_network(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra [onnx])")
    pytest.importorskip("onnxscript", reason="onnxscript, which torch exports ONNX with, is not installed")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    x = torch.rand(6, 3, 16, 16)
    torch.onnx.export(network, (x,), tmp_path / "net.onnx", dynamo=True)
    torch.testing.assert_close(by_onnx(tmp_path / "net.onnx").of(x).values, network(x).mean((2, 3)).detach())
