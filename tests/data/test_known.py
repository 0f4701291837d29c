import time

import numpy as np
import pytest
from PIL import Image

from urbild.data import KNOWN, Preparation, Reading, as_records, write_folder
from urbild.data.surfaces import CLASSES, draw_all, draw_surface
from urbild.errors import DataError, OutputError


def test_digits_are_whole_and_in_two_parts():
    train, test, whole = (as_records("digits", reading=Reading(part=p)) for p in ("train", "test", "all"))
    assert len(train) + len(test) == len(whole) == 1797
    assert not set(train.ids) & set(test.ids)
    assert whole.classes == tuple("0123456789")
    assert whole.read(0).shape == (8, 8, 1)
    assert whole.block(np.arange(1797)).max() == 255


def test_surfaces_have_every_defect_with_a_mask():
    test = as_records("surfaces", reading=Reading(part="test"))
    abnormal = test.abnormal()
    assert (len(test), abnormal.sum()) == (100, 60)
    assert set(test.classes) == set(CLASSES)
    for row in range(len(test)):
        share = test.mask(row).mean()
        assert share == 0 if not abnormal[row] else 0.001 < share < 0.1
    train = as_records("surfaces", reading=Reading(part="train"))
    assert len(train) == 200
    assert not train.abnormal().any()
    assert min(train.size(0)) >= 128


def test_surfaces_are_a_function_of_their_seed():
    one, same = (draw_surface("scratch", 4, seed=2, side=64) for _ in range(2))
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != draw_surface("scratch", 4, seed=3, side=64).image).any()
    assert (one.image != draw_surface("scratch", 6, seed=2, side=64).image).any()


def test_a_defect_changes_its_image_where_its_mask_says():
    for kind in CLASSES:
        for number in range(4):
            drawn = draw_surface(kind, number)
            inside = drawn.image[drawn.mask].astype(float)
            if kind == "good":
                assert not drawn.mask.any()
            else:
                ring = drawn.image[np.roll(drawn.mask, 12, axis=0) & ~drawn.mask].astype(float)
                assert abs(inside.mean() - ring.mean()) > 3 or inside.std() > 1.2 * ring.std()


def test_brightness_and_contrast_do_not_tell_the_defects():
    from sklearn.metrics import roc_auc_score

    images, _, kinds, _ = draw_all(0)
    abnormal = np.asarray(kinds[200:]) != "good"
    for trait in (images.mean((1, 2)), images.std((1, 2))):
        assert roc_auc_score(abnormal, np.abs(trait[200:] - trait[:200].mean())) < 0.65


def test_principal_components_find_the_defects():
    from scipy.ndimage import gaussian_filter
    from sklearn.decomposition import PCA
    from sklearn.metrics import roc_auc_score

    train, test = (as_records("surfaces", reading=Reading(part=p)) for p in ("train", "test"))
    preparation = Preparation.fit(train, size=64)
    x, z = (preparation.source(r).fetch(range(len(r))).x.flatten(1).numpy() for r in (train, test))
    pca = PCA(24, random_state=0).fit(x)
    residual = ((z - pca.inverse_transform(pca.transform(z))) ** 2).reshape(-1, 64, 64)
    score = gaussian_filter(residual, (0, 2, 2)).max((1, 2))
    assert roc_auc_score(test.abnormal(), score) > 0.9


def test_drawing_is_fast():
    start = time.process_time()
    for number in range(10):
        draw_surface(CLASSES[number % 5], number)
    assert (time.process_time() - start) * 30 < 12


def test_a_data_set_is_written_as_a_folder(tmp_path):
    root = write_folder("surfaces", tmp_path / "s", most=2)
    names = {str(path.relative_to(root)) for path in root.rglob("*.png")}
    assert {name.rpartition("/")[0] for name in names} == {
        "train/good",
        "test/good",
        *(f"{top}/{kind}" for top in ("test", "ground_truth") for kind in CLASSES if kind != "good"),
    }
    written, drawn = (as_records(where, reading=Reading(part="test")) for where in (root, "surfaces"))
    row = written.ids.index("test/dent/0000.png")
    original = drawn.ids.index("test/dent/000")
    np.testing.assert_array_equal(written.read(row), drawn.read(original))
    np.testing.assert_array_equal(written.mask(row), drawn.mask(original))
    with pytest.raises(OutputError, match="is not empty"):
        write_folder("surfaces", root)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_folder("surfaces", tmp_path / "file" / "s")


def test_a_folder_whose_writing_fails_is_not_left_half_written(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    count = 0

    def full(self, path):
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(28, "No space left on device")
        path.touch()

    monkeypatch.setattr(Image.Image, "save", full)
    for name in ("empty", "new"):
        with pytest.raises(OutputError, match=r"cannot be written .No space left on device"):
            write_folder("digits", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_digits_are_written_with_one_of_them_abnormal(tmp_path):
    root = write_folder("digits", tmp_path / "d")
    train, test = (as_records(root, reading=Reading(part=p)) for p in ("train", "test"))
    assert train.classes == ("good",)
    assert test.classes == ("4", "good")
    assert 40 < test.abnormal().sum() < 80
    other = write_folder("digits", tmp_path / "e", normal=("7",), most=3)
    assert len(as_records(other)) == 3 + 3 + 9 * 3


@pytest.mark.data
def test_tables_have_no_folder(tmp_path, real_data):
    with pytest.raises(DataError, match="is a table"):
        write_folder("adbench/14_glass", tmp_path / "x")


def test_every_name_has_a_line():
    assert {"digits", "surfaces", "mnist", "fashion_mnist", "cifar10", "kddcup99", "adbench/38_thyroid"} <= set(KNOWN)
    assert all(known.title and len(known.title) < 90 for known in KNOWN.values())
    with pytest.raises(DataError, match="did you mean fashion_mnist"):
        as_records("fashionmnist")


def test_without_a_copy_or_a_network_the_place_is_named(monkeypatch, tmp_path):
    import pooch

    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", fail)
    monkeypatch.setenv("URBILD_DATA", str(tmp_path))
    for name in ("mnist", "cifar10", "kddcup99", "adbench/38_thyroid"):
        with pytest.raises(DataError, match=f"{name.partition('/')[0]}.*URBILD_DATA"):
            as_records(name)
    with pytest.raises(DataError, match="no table '38_thyriod'; did you mean 38_thyroid"):
        as_records("adbench/38_thyriod")


def test_the_binary_version_of_cifar10(monkeypatch, tmp_path, rng):
    import io
    import tarfile

    images = rng.integers(0, 256, (6, 10, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, (6, 10), dtype=np.uint8)
    (tmp_path / "cifar10").mkdir()
    with tarfile.open(tmp_path / "cifar10/cifar-10-binary.tar.gz", "w:gz") as tar:
        for at, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
            planes = images[at].transpose(0, 3, 1, 2).reshape(10, -1)
            content = np.concatenate([labels[at][:, None], planes], axis=1).tobytes()
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    monkeypatch.setenv("URBILD_DATA", str(tmp_path))
    records = as_records("cifar10")
    np.testing.assert_array_equal(records.block(np.arange(60)), images.reshape(60, 32, 32, 3))
    assert records.labels.tolist() == labels.reshape(-1).tolist()
    assert len(as_records("cifar10", reading=Reading(part="test"))) == 10


@pytest.mark.data
@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion_mnist", 0.2860)])
def test_the_mnists(real_data, name, mean):
    records = as_records(name, reading=Reading(part="train"))
    assert len(records) == 60_000
    assert np.bincount(records.labels).min() > 5_000
    assert records.block(np.arange(60_000)).mean() / 255 == pytest.approx(mean, abs=1e-4)
    assert len(as_records(name, reading=Reading(part="test"))) == 10_000


@pytest.mark.data
def test_the_sheets_of_cifar10(real_data):
    test = as_records("cifar10", reading=Reading(part="test"))
    assert np.bincount(test.labels).tolist() == [1000] * 10
    train = as_records("cifar10", reading=Reading(part="train"))
    assert "first 20,000" in train.origin
    means = train.block(np.arange(len(train))).mean((0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=3e-3)


@pytest.mark.data
def test_kddcup99(real_data):
    records = as_records("kddcup99")
    assert len(records) == 494_021
    assert (~records.abnormal()).sum() == 97_278
    assert len(records.columns) == 41
    some = records.select(np.arange(0, 494_021, 100))
    assert Preparation.fit(some).spec.columns.count("protocol_type") == 3


@pytest.mark.data
def test_adbench(real_data):
    records = as_records("adbench/38_thyroid")
    assert (len(records), len(records.columns), records.abnormal().sum()) == (3772, 6, 93)


@pytest.mark.data
def test_magnetic_tiles(real_data):
    root = real_data / "magnetic_tile"
    test = as_records(root, reading=Reading(part="test"))
    abnormal = test.abnormal()
    assert (len(test), abnormal.sum()) == (578, 388)
    for row in (0, 100, 300, 577):
        assert test.mask(row).shape == test.size(row)
        assert test.mask(row).any() == abnormal[row]
    train = as_records(root, reading=Reading(part="train"))
    assert Preparation.fit(train).describe().startswith("762 grey images, 114 to 617 px a side")


def test_image_files_of_one_pixel(tmp_path):
    Image.fromarray(np.array([[7]], dtype=np.uint8)).save(tmp_path / "a.png")
    records = as_records(tmp_path / "a.png")
    assert Preparation.fit(records, size=4).source(records).fetch([0]).x.shape == (1, 1, 4, 4)
