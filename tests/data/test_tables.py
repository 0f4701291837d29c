import builtins
import json

import numpy as np
import pandas as pd
import pytest

from urbild.data import Preparation, Reading, as_records
from urbild.errors import DataError, ExtraError, OptionError, ShapeError


@pytest.fixture
def frame(rng):
    return pd.DataFrame(
        {
            "height": rng.normal(170, 10, 40),
            "colour": rng.choice(["red", "green", "blue"], 40),
            "count": rng.integers(0, 9, 40),
            "works": rng.random(40) < 0.5,
            "same": np.full(40, 3.3),
        }
    )


def test_numbers_are_standardised_and_words_one_hot(frame):
    records = as_records(frame)
    preparation = Preparation.fit(records)
    spec = preparation.spec
    assert spec.kind == "vector"
    assert spec.columns == ("height", "colour", "colour", "colour", "count", "works", "same")
    x = preparation.source(records).fetch(range(40)).x.numpy()
    assert x.dtype == np.float32
    height = frame["height"].to_numpy()
    np.testing.assert_allclose(x[:, 0], (height - height.mean()) / height.std(), atol=1e-5)
    np.testing.assert_array_equal(x[:, 1:4], np.stack([frame["colour"] == c for c in ("blue", "green", "red")], axis=1))
    works = frame["works"].to_numpy(dtype=float)
    np.testing.assert_allclose(x[:, 5], (works - works.mean()) / works.std(), atol=1e-5)
    assert np.abs(x[:, 6]).max() < 1e-5
    assert preparation.describe() == "40 rows, 4 columns of numbers and 1 of words; 7 values a row"


def test_only_the_training_rows_decide(frame):
    records = as_records(frame)
    rows = np.arange(10)
    preparation = Preparation.fit(records, rows)
    height = frame["height"].to_numpy()
    x = preparation.source(records).fetch([20]).x
    assert float(x[0, 0]) == pytest.approx((height[20] - height[:10].mean()) / height[:10].std(), abs=1e-5)


def test_a_word_that_training_never_saw_gives_zeros(frame):
    preparation = Preparation.fit(as_records(frame))
    later = frame.iloc[:2].assign(colour=["violet", "red"])
    x = preparation.source(as_records(later)).fetch([0, 1]).x
    assert x[:, 1:4].tolist() == [[0, 0, 0], [0, 0, 1]]


def test_restoring_gives_the_table_back(frame):
    records = as_records(frame)
    preparation = Preparation.fit(records)
    back = preparation.restore(preparation.source(records).fetch(range(40)).x)
    assert list(back.columns) == list(frame.columns)
    assert back["colour"].tolist() == frame["colour"].tolist()
    np.testing.assert_allclose(back["height"], frame["height"], rtol=1e-5)
    np.testing.assert_allclose(back["count"], frame["count"], atol=1e-5)


def test_json_gives_the_same_bits(frame):
    for records in (as_records(frame), as_records(frame[["height", "count"]].to_numpy())):
        preparation = Preparation.fit(records)
        again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
        assert again == preparation
        one, two = (p.source(records).fetch(range(40)).x for p in (preparation, again))
        assert one.numpy().tobytes() == two.numpy().tobytes()


def test_streaming_rows_gives_the_same_bits(frame):
    records = as_records(frame)
    preparation = Preparation.fit(records)
    kept, streamed = (preparation.source(records, memory=m).fetch([3, 1, 39]) for m in (1 << 30, 0))
    assert kept.x.numpy().tobytes() == streamed.x.numpy().tobytes()
    assert kept.index.tolist() == [3, 1, 39]


def test_columns_may_stand_in_another_order(frame):
    preparation = Preparation.fit(as_records(frame))
    turned = frame[frame.columns[::-1]]
    one = preparation.source(as_records(frame)).fetch(range(5)).x
    two = preparation.source(as_records(turned)).fetch(range(5)).x
    assert one.tolist() == two.tolist()


def test_other_columns_are_named(frame):
    preparation = Preparation.fit(as_records(frame))
    with pytest.raises(ShapeError, match=r"lacks the column 'height'.*did you mean height_"):
        preparation.check(as_records(frame.rename(columns={"height": "height_"})))
    with pytest.raises(ShapeError, match="has the column 'more'"):
        preparation.check(as_records(frame.assign(more=1.0)))
    with pytest.raises(ShapeError, match="holds image data, but the model was trained on vector data"):
        preparation.check(as_records(np.zeros((2, 4, 4))))
    numbers = Preparation.fit(as_records(np.ones((3, 4)) * [[1], [2], [3]]))
    with pytest.raises(ShapeError, match="has 5 columns, but the training data had 4"):
        numbers.source(as_records(np.ones((2, 5))))
    with pytest.raises(ShapeError, match="'height'"):
        Preparation.fit(as_records(frame[["height"]])).check(as_records(frame[["count"]]))


def test_words_where_numbers_were(frame):
    preparation = Preparation.fit(as_records(frame))
    with pytest.raises(DataError, match="'count' of table holds words such as 'many'"):
        preparation.source(as_records(frame.assign(count="many")))
    with pytest.raises(OptionError, match="options for images"):
        Preparation.fit(as_records(frame), size=8)


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_text_files(tmp_path, frame, suffix, separator):
    path = tmp_path / f"t{suffix}"
    frame.assign(label=["good", "bad"] * 20).to_csv(path, sep=separator, index=separator == ";")
    records = as_records(path)
    assert records.columns == tuple(frame.columns)
    assert records.abnormal().tolist() == [False, True] * 20
    np.testing.assert_allclose(records.frame["height"], frame["height"])


def test_a_file_of_numbers_alone_has_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("1,2\n3,4\n5,6\n")
    records = as_records(tmp_path / "t.csv")
    assert len(records) == 3
    assert records.columns == ("x0", "x1")


def test_another_label_column(tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    records = as_records(tmp_path / "t.csv", reading=Reading(label_column="works"))
    assert records.classes == ("False", "True")
    assert "works" not in records.columns
    with pytest.raises(DataError, match=r"t\.csv has no column 'clour' for the labels; did you mean colour"):
        as_records(tmp_path / "t.csv", reading=Reading(label_column="clour"))


def test_parquet(tmp_path, frame):
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(as_records(tmp_path / "t.parquet").frame["height"], frame["height"])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"bad\.parquet is no readable Parquet file"):
        as_records(tmp_path / "bad.parquet")


def test_parquet_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").touch()
    whole = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pyarrow":
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraError, match=r"pip install 'urbild\[parquet\]'"):
        as_records(tmp_path / "t.parquet")


BAD = {
    "a,b\n1,2\n3,\n": r"has no value \(empty or NaN\) in column 'b', row 1",
    "a,b\n1,2\n3,inf\n": r"holds inf in column 'b', row 1",
    "a,b\n1,2\n3,?\n5,6\n": r"has '\?' among the numbers of column 'b', row 1",
    "a,a\n1,2\n": None,
    "": r"no readable table \(zero bytes\)",
    "a,b\n": r"0 rows",
    "label\n1\n2\n": r"0 columns besides the label",
    'a,b\n1,2\n1,2,3,4\n"': r"no readable table",
    "name\n" + "\n".join(f"w{k}" for k in range(1500)): r"1500 different words.*drop it",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_tables_are_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    if BAD[text] is None:
        assert as_records(tmp_path / "t.csv").columns == ("a", "a.1")
        return
    with pytest.raises(DataError, match=BAD[text]) as caught:
        as_records(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_bad_columns(frame):
    with pytest.raises(DataError, match="holds dates"):
        as_records(frame.assign(day=pd.Timestamp("2020-01-01")))
    with pytest.raises(DataError, match="complex"):
        as_records(frame.assign(z=1j))
    with pytest.raises(DataError, match="two columns named 'height'"):
        as_records(frame.rename(columns={"count": "height"}))
    with pytest.raises(DataError, match=r"no value \(empty or NaN\) in column 'colour', row 5"):
        as_records(frame.assign(colour=frame["colour"].where(frame.index != 5)))


def test_categories_and_binary_files(tmp_path, frame):
    coded = frame.assign(colour=frame["colour"].astype("category"))
    assert Preparation.fit(as_records(coded)).spec == Preparation.fit(as_records(frame)).spec
    (tmp_path / "t.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="no readable table"):
        as_records(tmp_path / "t.csv")
