import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from urbild.data import Reading, as_records, verify
from urbild.errors import DataError, OptionError, ShapeError


def save(path, value=0, size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, dtype=np.uint8)).save(path)


@pytest.fixture
def laid_out(tmp_path):
    for k in range(3):
        save(tmp_path / f"train/good/{k}.png", k)
        save(tmp_path / f"test/good/{k}.png", 10 + k)
        save(tmp_path / f"test/crack/{k}.png", 20 + k)
        mask = np.zeros((8, 6), dtype=np.uint8)
        mask[:, k] = 255
        (tmp_path / "ground_truth/crack").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(tmp_path / f"ground_truth/crack/{k}_mask.png")
    return tmp_path


def test_a_laid_out_folder_has_parts_classes_and_masks(laid_out):
    assert as_records(laid_out, reading=Reading(part="train")).ids == [f"train/good/{k}.png" for k in range(3)]
    test = as_records(laid_out, reading=Reading(part="test"))
    assert test.classes == ("crack", "good")
    assert test.abnormal().tolist() == [True] * 3 + [False] * 3
    assert test.mask(1)[:, 1].all()
    assert test.mask(1).sum() == 8
    assert test.mask(4).shape == (8, 6)
    assert not test.mask(4).any()
    assert len(as_records(laid_out)) == 9


def test_the_test_folder_alone_finds_its_masks(laid_out):
    assert as_records(laid_out / "test").mask(0)[:, 0].all()
    assert as_records(laid_out / "test" / "crack").mask(2)[:, 2].all()
    assert as_records(laid_out / "train").mask(0) is None


def test_sub_folders_are_classes_and_hidden_files_are_not_read(tmp_path):
    save(tmp_path / "ok/a.png")
    save(tmp_path / "bad/deep/b.png")
    save(tmp_path / ".hidden/c.png")
    (tmp_path / "ok/._a.png").write_bytes(b"x")
    records = as_records(tmp_path)
    assert records.ids == ["bad/deep/b.png", "ok/a.png"]
    assert records.abnormal().tolist() == [True, False]


def test_a_flat_folder_is_unlabelled_and_is_every_part(tmp_path):
    save(tmp_path / "a.png")
    for part in ("train", "test", "all"):
        records = as_records(tmp_path, reading=Reading(part=part))
        assert len(records) == 1
        assert records.abnormal() is None
        assert records.normal_rows().tolist() == [0]


def test_single_files_and_lists_of_paths(tmp_path):
    save(tmp_path / "a.png", 3)
    save(tmp_path / "b.png", 4)
    assert as_records(tmp_path / "a.png").read(0).max() == 3
    records = as_records([tmp_path / "b.png", str(tmp_path / "a.png")], y=["bad", "good"], groups=["p", "q"])
    assert [int(records.read(row).max()) for row in range(2)] == [4, 3]
    assert records.abnormal().tolist() == [True, False]
    assert records.groups.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "abnormal"),
    [
        ([0, 1, 0], [False, True, False]),
        ([1, -1, 1], [False, True, False]),
        (["normal", "odd", "Good"], [False, True, False]),
        ([False, True, False], [False, True, False]),
        ([0.0, 1.0, 0.0], [False, True, False]),
        ([0, 0, 0], [False, False, False]),
    ],
)
def test_usual_labels_tell_what_is_normal(y, abnormal):
    assert as_records(np.eye(3), y=y).abnormal().tolist() == abnormal


def test_other_labels_need_a_word(tmp_path):
    records = as_records(np.eye(3), y=["a", "b", "b"])
    with pytest.raises(DataError, match=r"classes of array \(a, b\) do not tell.*--normal"):
        records.abnormal()
    assert records.abnormal(["b"]).tolist() == [True, False, False]
    assert records.normal_rows().tolist() == [0, 1, 2]
    assert records.normal_rows(["b"]).tolist() == [1, 2]
    declared = as_records(np.eye(3), y=["a", "b", "b"], reading=Reading(normal=("a",)))
    assert declared.abnormal().tolist() == [False, True, True]
    with pytest.raises(DataError, match="no class 'c'"):
        records.abnormal(["c"])


def test_missing_labels_are_unlabelled():
    records = as_records(np.eye(4), y=["good", None, float("nan"), "bad"])
    assert records.labels.tolist() == [1, -1, -1, 0]
    assert records.normal_rows().tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="2 of 4 samples have no label, the first is row 1"):
        records.abnormal()
    assert as_records(np.eye(3), y=[-1, 0, 1]).labels.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((5, 7), None),
        ((5, 8, 6), (8, 6, 1)),
        ((5, 8, 6, 3), (8, 6, 3)),
        ((5, 3, 8, 6), (8, 6, 3)),
        ((5, 8, 6, 2), (8, 6, 2)),
    ],
)
def test_the_axes_of_arrays(rng, shape, image):
    x = rng.random(shape).astype(np.float32)
    records = as_records(x)
    assert records.kind == ("vector" if image is None else "image")
    assert records.read(2).shape == (image or (7,))
    assert len(records) == 5


def test_tensors_are_channels_first_where_it_is_not_clear(rng):
    x = rng.random((4, 3, 5, 3)).astype(np.float32)
    assert as_records(x).read(0).shape == (3, 5, 3)
    np.testing.assert_array_equal(as_records(torch.from_numpy(x)).read(0), x[0].transpose(1, 2, 0))


def test_whole_numbers_keep_their_depth(rng):
    for high, dtype in ((255, np.uint8), (65535, np.uint16), (70000, np.float32)):
        x = rng.integers(0, high, (3, 4, 4), endpoint=True)
        x[0, 0, 0] = high
        assert as_records(x).read(0).dtype == dtype


def test_array_files(tmp_path, rng):
    x = rng.random((6, 3))
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(as_records(tmp_path / "a.npy").block(np.arange(6)), x)
    np.savez(tmp_path / "b.npz", X=x, y=np.array([0, 1] * 3), groups=np.array([2, 2, 5, 5, 9, 9]))
    records = as_records(tmp_path / "b.npz")
    assert records.abnormal().tolist() == [False, True] * 3
    assert records.groups.tolist() == [0, 0, 1, 1, 2, 2]


def test_nested_lists():
    assert as_records([[1, 2], [3, 4]]).columns == ("x0", "x1")
    mixed = as_records([["red", 1.5], ["blue", 2.5]])
    assert isinstance(mixed.frame, pd.DataFrame)


def test_selecting_keeps_everything_together(laid_out):
    records = as_records(laid_out, reading=Reading(part="test", group_by=r"(\d)\.png"))
    some = records.select([5, 0])
    assert some.ids == [records.ids[5], records.ids[0]]
    assert some.labels.tolist() == [1, 0]
    assert some.groups.tolist() == [2, 0]
    np.testing.assert_array_equal(some.read(0), records.read(5))
    twice = as_records(np.arange(20.0).reshape(10, 2)).select([8, 3, 5]).select([2, 0])
    assert list(twice.ids) == ["row 5", "row 8"]
    assert twice.read(0).tolist() == [10, 11]


def test_groups_by_parent_expression_and_column(tmp_path):
    for name in ("p1/a.png", "p1/b.png", "p2/a.png"):
        save(tmp_path / name)
    assert as_records(tmp_path, reading=Reading(group_by="parent")).groups.tolist() == [0, 0, 1]
    assert as_records(tmp_path, reading=Reading(group_by=r"/(\w)")).groups.tolist() == [0, 1, 0]
    assert as_records(tmp_path, reading=Reading(group_by="p.")).groups.tolist() == [0, 0, 1]
    table = as_records(pd.DataFrame({"v": [1.0, 2, 3], "part": ["b", "a", "b"]}), reading=Reading(group_by="part"))
    assert table.groups.tolist() == [1, 0, 1]
    assert table.columns == ("v",)
    with pytest.raises(DataError, match=r"matches nothing in 'p1/a.png'"):
        as_records(tmp_path, reading=Reading(group_by="z(.)"))
    with pytest.raises(OptionError, match="neither 'parent' nor a regular expression"):
        as_records(tmp_path, reading=Reading(group_by="("))


def test_checksums_follow_the_data(laid_out, rng):
    first = as_records(laid_out).checksum
    assert as_records(laid_out).checksum == first
    save(laid_out / "train/good/9.png")
    assert as_records(laid_out).checksum != first
    x = rng.random((5, 3))
    frame = pd.DataFrame(x, columns=list("abc"))
    for one in (x, frame):
        assert as_records(one).checksum == as_records(one.copy()).checksum
        assert as_records(one).checksum != as_records(one * 2).checksum


def test_unreadable_images_are_counted_and_named(laid_out):
    (laid_out / "test/good/0.png").write_bytes(b"")
    (laid_out / "test/crack/1.png").write_bytes((laid_out / "test/crack/1.png").read_bytes()[:50])
    records = as_records(laid_out, reading=Reading(part="test"))
    with pytest.raises(DataError, match=r"2 of 6 images .*crack/1\.png is corrupt.*good/0\.png.*--skip-bad"):
        verify(records)
    kept = verify(records, skip_bad=True)
    assert len(kept) == 4
    assert kept.skipped == ("test/crack/1.png", "test/good/0.png")
    only = as_records(laid_out / "test/good/0.png")
    with pytest.raises(DataError, match=r"0\.png is empty \(zero bytes\)\.$"):
        verify(only, skip_bad=True)


def test_workers_find_the_same_unreadable_images(tmp_path, rng):
    for k in range(40):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{k:02d}.png")
    for k in (3, 17, 31, 39):
        (tmp_path / f"{k:02d}.png").write_bytes(b"")
    found = [verify(as_records(tmp_path, reading=Reading(workers=w)), skip_bad=True).skipped for w in (0, 2)]
    assert found[0] == found[1] == ("03.png", "17.png", "31.png", "39.png")
    with pytest.raises(DataError, match=r"4 of 40 images.*03\.png is empty.*also 17\.png, 31\.png and 1 more"):
        verify(as_records(tmp_path, reading=Reading(workers=2)))


def test_too_few_and_identical_samples(tmp_path):
    save(tmp_path / "one/a.png")
    records = as_records(tmp_path / "one")
    assert len(verify(records, training=False)) == 1
    with pytest.raises(DataError, match="1 sample, but at least two"):
        verify(records)
    for k in range(3):
        save(tmp_path / f"same/{k}.png", 7)
    for same in (
        tmp_path / "same",
        np.ones((4, 3)),
        np.ones((4, 5, 5)),
        pd.DataFrame({"a": [1.0, 1], "b": ["x", "x"]}),
    ):
        with pytest.raises(DataError, match=r"all \d samples of .* are identical"):
            verify(as_records(same))
    assert len(verify(as_records(pd.DataFrame({"a": [1.0, 1], "b": ["x", "y"]})))) == 2


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def objects(folder):
    np.save(folder / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    return folder / "o.npy"


def nameless(folder):
    np.savez(folder / "n.npz", a=np.ones(3), b=np.ones(3))
    return folder / "n.npz"


def holed(shape, at, value):
    x = np.zeros(shape)
    x[at] = value
    return x


BAD = {
    "a folder that is empty": (lambda d: d, r"is empty; put images .* into it"),
    "a folder without images": (
        lambda d: write(d / "f/notes.txt", "x").parent,
        r"holds no image or sound, only one other file notes\.txt; known suffixes: .* \.flac .* \.wav",
    ),
    "a file of unknown type": (lambda d: write(d / "a.docx", "x"), r"a\.docx is of no known type; known suffixes"),
    "an empty npy": (lambda d: write(d / "a.npy", ""), r"a\.npy is empty"),
    "a truncated npz": (lambda d: write(d / "a.npz", "PK\3\4xx"), r"a\.npz is corrupt or truncated"),
    "python objects": (objects, "Python objects, which are never unpickled"),
    "an npz without x": (nameless, "holds a, b, but no array 'x'"),
    "a list with a missing path": (lambda d: [write(d / "ab.png", "x"), d / "aB.pmg"], r"aB\.pmg does not exist"),
}
BAD_VALUES = {
    "a path that does not exist": ("no/such/place", "neither a path that exists nor a known data set"),
    "a misspelt data set": ("surfacs", "did you mean surfaces"),
    "an empty array": (np.zeros((0, 3)), "holds no sample"),
    "words in an array": (np.array(["a"]), "not real numbers"),
    "lists of different lengths": ([[1, 2], [3]], "differ in length"),
    "NaN in an array": (holed((4, 3), (2, 1), np.nan), "holds nan in row 2, column 1"),
    "infinity in images": (holed((4, 3, 3), (1, 2, 0), np.inf), r"holds inf in row 1, pixel \(2, 0\)"),
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_bad_values_are_refused_in_one_sentence(what):
    value, message = BAD_VALUES[what]
    with pytest.raises(DataError, match=message) as caught:
        as_records(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_in_one_sentence(tmp_path, what):
    make, message = BAD[what]
    with pytest.raises(DataError, match=message) as caught:
        as_records(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_wrong_axes_labels_and_options(laid_out):
    with pytest.raises(ShapeError, match=r"has shape \(3,\)"):
        as_records(np.ones(3))
    with pytest.raises(DataError, match="3 labels for 4 samples"):
        as_records(np.ones((4, 2)), y=[1, 2, 3])
    with pytest.raises(DataError, match="fractions"):
        as_records(np.ones((2, 2)), y=[0.5, 1])
    with pytest.raises(OptionError, match="part='tset'"):
        Reading(part="tset")
    shutil.rmtree(laid_out / "train")
    with pytest.raises(DataError, match="no folder 'train', only test"):
        as_records(laid_out, reading=Reading(part="train"))
