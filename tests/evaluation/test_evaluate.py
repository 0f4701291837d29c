"""What a model can do is measured, what it cannot is said, and labels are asked for where they are needed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from urbild import runs
from urbild.contract import DataSpec, Model, Reconstructs, Stage, Tensor
from urbild.data import Records, as_records
from urbild.data.sounds import SoundArrays
from urbild.detection import Detector
from urbild.errors import DataError, ShapeError
from urbild.evaluation import Evaluation, brightness, evaluate, floors, local_contrast
from urbild.evaluation.examples import LONGEST, shown, shown_mask, strangest_and_least
from urbild.ops.sound import sounding


def stripes(n: int, seed: int, *, shape: tuple[int, int] = (48, 56)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6.28, size=(n, 1, 1))
    wave = 120 + 60 * np.sin(np.arange(shape[1]) / 3 + phase) + np.zeros((n, shape[0], 1))
    return (wave + rng.normal(0, 4, size=(n, *shape))).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/good, test/good, test/hole and ground_truth/hole."""
    root = tmp_path_factory.mktemp("factory")
    holes = stripes(12, 2)
    holes[:, 20:28, 30:38] = 250
    mask = np.zeros((48, 56), np.uint8)
    mask[20:28, 30:38] = 255
    parts = {"train/good": stripes(60, 0), "test/good": stripes(25, 1), "test/hole": holes}
    for part, images in {**parts, "ground_truth/hole": np.stack([mask] * 12)}.items():
        (root / part).mkdir(parents=True)
        for row, image in enumerate(images):
            Image.fromarray(image).save(root / part / f"{row:02d}{'_mask' if 'truth' in part else ''}.png")
    return root


@pytest.fixture(scope="module")
def detector(factory: Path) -> Detector:
    return Detector("pca", components=6, alpha=0.1, random_state=0).fit(factory)


@pytest.fixture(scope="module")
def held_out(factory: Path) -> Records:
    from urbild.data import Reading

    return as_records(factory, reading=Reading(part="test"))


@pytest.fixture(scope="module")
def found(detector: Detector, held_out: Records) -> Evaluation:
    return evaluate(detector, held_out, part="test", resamples=100)


def test_detection_is_measured_on_raw_scores(found: Evaluation, detector: Detector, held_out: Records) -> None:
    assert found.score is not None
    assert found.abnormal is not None
    assert found.p_value is not None
    np.testing.assert_array_equal(found.score, -detector.score_samples(held_out))
    assert set(found.metrics) == {
        *("image_auroc", "image_aupr", "f1_max", "fpr95", "pixel_auroc", "pro"),
        *("false_alarm_rate", "hit_rate", "reconstruction_error"),
    }
    assert found.metrics["image_auroc"].value == pytest.approx(roc_auc_score(found.abnormal, found.score), abs=1e-6)
    assert found.metrics["image_auroc"].value > 0.95
    assert found.metrics["false_alarm_rate"].value == (found.p_value[~found.abnormal] <= 0.1).mean()
    assert found.metrics["hit_rate"].value == (found.p_value[found.abnormal] <= 0.1).mean()
    np.testing.assert_array_equal(found.p_value <= 0.1, found.score > found.threshold)
    np.testing.assert_array_equal(found.display > found.threshold_display, found.score > found.threshold)
    assert set(found.curves) == {"roc", "pr"}


def test_pixels_are_those_of_maps_at_the_size_of_the_images(
    found: Evaluation, detector: Detector, held_out: Records
) -> None:
    maps = detector.heatmaps(held_out)
    masks = [held_out.mask(row) for row in range(len(held_out))]
    truth = np.concatenate([np.asarray(mask).ravel() for mask in masks])
    exact = roc_auc_score(truth, np.concatenate([heat.ravel() for heat in maps]))
    assert found.metrics["pixel_auroc"].value == pytest.approx(exact, abs=5e-4)
    assert found.metrics["pixel_auroc"].value > 0.9
    assert found.data["n_masks"] == len(held_out) == 37


def test_the_gallery_holds_the_strangest_and_the_least(found: Evaluation) -> None:
    assert found.score is not None
    scores = [example.score for example in found.gallery]
    assert scores == sorted(scores, reverse=True)
    assert scores[:6] == sorted(found.score, reverse=True)[:6]
    assert scores[6:] == sorted(found.score, reverse=True)[-6:]
    first, last = found.gallery[0], found.gallery[-1]
    assert first.label == "hole"
    assert first.abnormal
    assert not last.abnormal
    assert first.input is not None
    assert first.input.shape == (48, 56, 1)
    assert first.map is not None
    assert first.map.shape == (48, 56)
    assert first.mask is not None
    assert first.mask.dtype == bool
    assert first.mask.sum() == 64
    assert first.map[first.mask].mean() > 3 * first.map[~first.mask].mean()
    assert first.reconstruction is not None
    assert first.reconstruction.dtype == np.uint8
    assert last.mask is not None
    assert not last.mask.any()


def test_the_protocol_goes_with_it_and_all_survives_the_disk(found: Evaluation, tmp_path: Path) -> None:
    assert found.data["n"] == 37
    assert found.data["n_abnormal"] == 12
    assert found.data["part"] == "test"
    assert found.protocol["model"] == "pca"
    assert found.protocol["reduction"] == "max"
    assert "100 resamples, seed 0" in found.protocol["intervals"]
    found.save(tmp_path)
    back = Evaluation.load(tmp_path)
    assert back.metrics == found.metrics
    assert back.data == found.data
    assert back.protocol == found.protocol


def test_the_same_seed_gives_the_same_evaluation(found: Evaluation, detector: Detector, held_out: Records) -> None:
    assert evaluate(detector, held_out, resamples=100).metrics == found.metrics


def test_labels_are_asked_for_where_detection_is_all_there_is(detector: Detector) -> None:
    bare = as_records(stripes(8, 5))
    with pytest.raises(DataError, match=r"no labels.*--label-column"):
        evaluate(detector, bare)
    found = evaluate(detector, bare, labelled=False, resamples=10)
    assert set(found.metrics) == {"reconstruction_error"}
    assert any("no labels" in note for note in found.notes)
    assert len(found.gallery) == 8
    with pytest.raises(DataError, match="--normal"):
        evaluate(detector, as_records(stripes(8, 5), y=[3, 4] * 4))


def test_normals_alone_give_a_false_alarm_rate(detector: Detector) -> None:
    found = evaluate(detector, as_records(stripes(30, 6), y=np.zeros(30, int)), resamples=50)
    assert set(found.metrics) == {"false_alarm_rate", "reconstruction_error"}
    assert any("all samples are normal" in note for note in found.notes)
    assert found.curves == {}


def test_other_verbs_need_no_labels() -> None:
    images = stripes(60, 0, shape=(16, 16))
    detector = Detector("vae", latent=4, width=8, steps=10, random_state=0).fit(images)
    found = evaluate(detector, as_records(images[:20]), resamples=50, samples=5)
    assert found.likelihood is not None
    assert found.likelihood.kind == "ELBO"
    assert found.likelihood.values.shape == (20,)
    assert found.likelihood.nats.value == pytest.approx(found.likelihood.values.mean())
    assert found.likelihood.bits.value == pytest.approx(-found.likelihood.nats.value / 256 / np.log(2))
    assert found.likelihood.bits.low <= found.likelihood.bits.value <= found.likelihood.bits.high
    assert found.samples is not None
    assert found.samples.shape == (5, 16, 16, 1)
    assert found.samples.dtype == np.uint8
    again = evaluate(detector, as_records(images[:20]), resamples=50, samples=5)
    np.testing.assert_array_equal(again.samples, found.samples)
    assert evaluate(detector, as_records(images[:20]), resamples=50, samples=5, seed=1).samples is not None


class Echo(Model, Reconstructs):
    """Gives back what it was given, one half too much where a sound sounds or an image is."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    def stages(self) -> Sequence[Stage]:
        return []

    def reconstruct(self, x: Tensor, *, given: Tensor | None = None) -> Tensor:
        return x + 0.5 * (sounding(x[..., 0])[..., None] if self.spec.kind == "sequence" else 1.0)


def test_a_run_that_does_not_score_is_measured_by_what_it_can() -> None:
    images = as_records(stripes(20, 0, shape=(16, 16)))
    run = runs.train_run(Echo(DataSpec(shape=(1, 16, 16), kind="image")), images, {})
    found = evaluate(run, images, resamples=20)
    assert found.score is None
    assert found.metrics["reconstruction_error"].value == pytest.approx(0.25)
    assert any("no anomaly score" in note for note in found.notes)


def test_padding_of_sound_has_no_say_in_its_reconstruction_error() -> None:
    waves = [0.1 * np.random.default_rng(n).normal(size=n).astype(np.float32) for n in (100, 20, 20)]
    records = SoundArrays(ids=["a", "b", "c"], waves=waves, rate=8000)
    run = runs.train_run(Echo(DataSpec(shape=(100, 1), kind="sequence", rate=8000)), records, {})
    assert evaluate(run, records, resamples=20).metrics["reconstruction_error"].value == pytest.approx(0.25)


def test_tables_show_the_columns_that_contributed() -> None:
    rng = np.random.default_rng(0)
    size = rng.normal(size=200)
    frame = pd.DataFrame({"size": size, "weight": 2 * size + 0.1 * rng.normal(size=200), "kind": ["a", "b"] * 100})
    detector = Detector("pca", components=2, random_state=0).fit(frame)
    strange = frame[:40].copy()
    strange.loc[0:4, "weight"] += 20
    found = evaluate(detector, as_records(strange, y=(np.arange(40) < 5).astype(int)), resamples=20)
    first = found.gallery[0]
    assert first.input is None
    assert {name for name, _, _ in first.columns} == {"size", "weight", "kind"}
    assert [share for _, _, share in first.columns] == sorted((s for _, _, s in first.columns), reverse=True)
    values = {name: value for name, value, _ in first.columns}
    row = int(first.id.split()[-1])
    assert values["kind"] == strange["kind"][row]
    assert float(values["weight"]) == pytest.approx(strange["weight"][row], rel=1e-3)
    assert found.metrics["image_auroc"].value == pytest.approx(1)
    assert not any("pixel" in note for note in found.notes)


def test_samples_that_do_not_fit_are_refused(detector: Detector) -> None:
    with pytest.raises(DataError, match="no samples"):
        evaluate(detector, as_records(stripes(3, 0)).select([]))
    with pytest.raises(ShapeError):
        evaluate(detector, as_records(np.zeros((4, 3)), y=[0, 0, 1, 1]))


def test_a_tiled_model_says_what_is_left_out(factory: Path, held_out: Records) -> None:
    detector = Detector("pca", components=6, patch=16, random_state=0).fit(factory)
    found = evaluate(detector, held_out, resamples=20)
    assert {"image_auroc", "pixel_auroc", "pro"} <= set(found.metrics)
    assert "reconstruction_error" not in found.metrics
    assert any("windows" in note for note in found.notes)
    assert found.gallery[0].map is not None
    assert found.gallery[0].reconstruction is None


def test_shown_pictures() -> None:
    assert shown(np.full((10, 20, 3), 7, np.uint8)).tolist() == np.full((10, 20, 3), 7).tolist()
    assert shown(np.zeros((2000, 1000, 1), np.uint8)).shape == (LONGEST, LONGEST // 2, 1)
    assert shown(np.full((4, 4, 1), 65535, np.uint16)).max() == 255
    assert shown(np.full((4, 4, 1), 32768, np.uint16)).max() == 128
    floats = shown(np.linspace(-3, 3, 16, dtype=np.float32).reshape(4, 4, 1))
    assert (floats.min(), floats.max()) == (0, 255)
    assert shown(np.zeros((4, 4, 5), np.uint8)).shape == (4, 4, 1)
    mask = np.zeros((1000, 1000), bool)
    mask[501, 501] = True
    assert shown_mask(mask, (100, 100)).sum() == 1


def test_rows_of_the_gallery() -> None:
    score = np.array([1.0, 5.0, 3.0, 2.0, 4.0])
    assert strangest_and_least(score, 3, 5).tolist() == [1, 4, 0]
    assert strangest_and_least(score, 10, 5).tolist() == [1, 4, 2, 3, 0]
    assert strangest_and_least(None, 2, 5).tolist() == [0, 1]


def test_floors_are_distances_from_what_is_usual() -> None:
    flat = np.full((16, 16, 1), 100, np.uint8)
    board = (np.indices((16, 16)).sum(0) % 2 * 200)[..., None].astype(np.uint8)
    assert brightness(flat) == brightness(board) == 100
    assert local_contrast(flat) == 0
    assert local_contrast(board) == 100
    assert local_contrast(np.array([[[0.0], [2.0]]])) == 1
    train = stripes(20, 0)
    dark, flat_ones = stripes(5, 1) // 2, np.full((5, 48, 56), 120, np.uint8)
    found = floors(as_records(train), as_records(np.concatenate([stripes(5, 2), dark, flat_ones])))
    assert set(found) == {"mean brightness", "local contrast"}
    assert found["mean brightness"][5:10].min() > found["mean brightness"][:5].max()
    assert found["local contrast"][10:].min() > found["local contrast"][:5].max()
    rows = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 1000]
    table = floors(as_records(rows), as_records(np.concatenate([rows[:5], rows[:5] + np.array([9, 90, 900, 9000])])))
    assert table["mean brightness"][5:].min() > table["mean brightness"][:5].max()
