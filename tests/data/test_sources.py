import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

from urbild.data import Preparation, Reading, as_records
from urbild.errors import DataError, OptionError, ShapeError


def folder_of(path, images):
    path.mkdir(parents=True, exist_ok=True)
    for at, image in enumerate(images):
        Image.fromarray(image).save(path / f"{at:03d}.png")
    return path


@pytest.fixture
def grey(tmp_path, rng):
    sizes = rng.integers(20, 60, (30, 2))
    return folder_of(tmp_path / "grey", [rng.integers(0, 256, tuple(s), dtype=np.uint8) for s in sizes])


def bits(batches):
    return [(b.x.numpy().tobytes(), b.index.tolist()) for b in batches]


PLAN = [(0, [3, 1, 2]), (0, [29, 0]), (1, list(range(30))), (1, [5, 5, 7]), (2, [3, 1])]


@pytest.mark.parametrize("options", [{"size": 16}, {"size": (12, 20), "normalise": "image"}, {"patch": 16}])
def test_memory_streaming_and_workers_give_the_same_bits(grey, options):
    records = as_records(grey)
    preparation = Preparation.fit(records, **options)
    crops = 3 if "patch" in options else None
    found = [
        bits(preparation.source(records, memory=memory, workers=workers, crops=crops, seed=5).stream(PLAN))
        for memory in (0, 1 << 30)
        for workers in (0, 1, 2)
    ]
    assert all(one == found[0] for one in found)


def test_a_source_that_became_full_goes_on_from_memory(grey):
    records = as_records(grey)
    source = Preparation.fit(records, size=16).source(records, workers=2)
    first = bits(source.batches(7))
    for path in grey.iterdir():
        path.unlink()
    assert bits(source.batches(7)) == first


def test_a_stream_may_be_left_early(grey):
    records = as_records(grey)
    source = Preparation.fit(records, size=16).source(records, workers=2, memory=0)
    for _ in range(3):
        assert len(next(source.batches(4))) == 4
    assert len(list(source.batches(4))) == 8


def test_workers_leave_the_global_generators_alone(grey):
    records = as_records(grey)
    source = Preparation.fit(records, size=16).source(records, workers=2, memory=0)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(source.batches(8))
    assert torch.equal(before, torch.get_rng_state())


def test_an_error_in_a_worker_is_one_sentence(grey):
    records = as_records(grey)
    preparation = Preparation.fit(records, size=16)
    (grey / "011.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"^\S*011\.png is empty \(zero bytes\); replace it, or leave it out with --skip-bad\.$"
    ):
        list(preparation.source(records, workers=2).batches(8))


def test_images_are_divided_by_their_full_scale(rng):
    x = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    records = as_records(x)
    preparation = Preparation.fit(records)
    assert preparation.spec.shape == (3, 8, 8)
    assert preparation.spec.levels == 256
    batch = preparation.source(records).fetch([4, 2])
    np.testing.assert_array_equal(batch.x.numpy(), np.moveaxis(x[[4, 2]], 3, 1).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(preparation.restore(batch.x), x[[4, 2]])


@pytest.mark.parametrize(("high", "levels"), [(900, 1024), (4000, 4096), (16000, 16384), (65535, 65536)])
def test_sixteen_bits_keep_their_values(tmp_path, rng, high, levels):
    images = [rng.integers(0, high, (8, 8), dtype=np.uint16, endpoint=True) for _ in range(5)]
    images[3][0, 0] = high
    records = as_records(folder_of(tmp_path / "deep", images))
    preparation = Preparation.fit(records)
    assert preparation.spec.levels == levels
    x = preparation.source(records).fetch(range(5)).x
    assert x.max() <= 1
    np.testing.assert_array_equal(np.rint(x[:, 0].double().numpy() * (levels - 1)), np.stack(images))
    assert "16-bit grey" in preparation.describe()


def test_every_image_gets_the_same_mean_and_contrast(rng):
    x = (rng.normal(90, 10, (4, 32, 32)) * [[[0.5]], [[1]], [[1.5]], [[2]]]).clip(0, 255).astype(np.uint8)
    records = as_records(x)
    preparation = Preparation.fit(records, normalise="image")
    assert preparation.spec.levels is None
    z = preparation.source(records).fetch(range(4)).x
    np.testing.assert_allclose(z.mean((1, 2, 3)), 0.5, atol=2e-3)
    np.testing.assert_allclose(z.std((1, 2, 3)), 0.125, atol=2e-3)
    flat = as_records(np.full((2, 8, 8), 9, dtype=np.uint8))
    assert (Preparation.fit(flat, normalise="image").source(flat).fetch([0]).x == 0.5).all()


def test_floats_outside_the_unit_interval_take_the_range_of_the_training_rows():
    x = np.linspace(-5, 15, 4 * 16).reshape(4, 4, 4)
    records = as_records(x)
    preparation = Preparation.fit(records, [1, 2])
    z = preparation.source(records).fetch(range(4)).x
    assert float(z[1:3].min()) == 0
    assert float(z[1:3].max()) == 1
    assert (z[0] == 0).all()
    inside = as_records(x / 30 + 0.3)
    np.testing.assert_allclose(Preparation.fit(inside).source(inside).fetch([2]).x[0, 0], x[2] / 30 + 0.3, atol=1e-6)


def test_preparing_does_not_write_into_the_data(rng):
    x = rng.random((3, 6, 6)).astype(np.float32) * 9
    before = x.copy()
    records = as_records(x)
    preparation = Preparation.fit(records, normalise="image")
    preparation.image(records, 0)
    preparation.source(records, memory=0).fetch([0, 1, 2])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("sizes", "working"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(63, 41)] * 3, (63, 41)),
        ([(300, 300)] * 3, (128, 128)),
        ([(300, 200)] * 3, (128, 88)),
        ([(100, 800)] * 3, (64, 128)),
        ([(30, 30), (33, 33), (40, 40)], (32, 32)),
        ([(20, 90), (24, 100), (28, 110)], (48, 96)),
    ],
)
def test_the_working_size(tmp_path, sizes, working):
    records = as_records(folder_of(tmp_path / "f", [np.zeros(size, dtype=np.uint8) for size in sizes]))
    preparation = Preparation.fit(records)
    assert preparation.spec.shape == (1, *working)
    assert f"working size {working[0]} x {working[1]}" in preparation.describe()


def test_one_colour_image_makes_all_colour(tmp_path, rng):
    one, two = rng.integers(0, 256, (2, 8, 8), dtype=np.uint8)
    folder = folder_of(tmp_path / "f", [one, np.stack([one, two, one], axis=2)])
    records = as_records(folder)
    preparation = Preparation.fit(records)
    x = preparation.source(records).fetch([0, 1]).x
    assert x.shape == (2, 3, 8, 8)
    assert torch.equal(x[0, 0], x[0, 1])
    grey = Preparation.fit(records, [0])
    with pytest.raises(ShapeError, match=r"001\.png has 3 channels of different content"):
        grey.source(records).fetch([1])
    Image.fromarray(np.stack([two] * 3, axis=2)).save(folder / "002.png")
    assert grey.source(as_records(folder)).fetch([2]).x.shape == (1, 1, 8, 8)


def test_json_gives_the_same_bits(grey, rng):
    for records, options in (
        (as_records(grey), {"size": 24, "normalise": "image"}),
        (as_records(grey), {"patch": 12}),
        (as_records(rng.normal(0, 3, (5, 9, 7))), {}),
    ):
        preparation = Preparation.fit(records, **options)
        again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
        assert again == preparation
        assert bits(again.source(records).batches(3)) == bits(preparation.source(records).batches(3))


def test_crops_are_a_function_of_seed_epoch_and_row(grey):
    records = as_records(grey)
    preparation = Preparation.fit(records, patch=16)
    source = preparation.source(records, crops=4, seed=1)
    assert len(source) == 120
    assert source.spec.shape == (1, 16, 16)
    whole = source.fetch(range(120), epoch=3)
    some = source.fetch([7, 100], epoch=3)
    assert torch.equal(whole.x[[7, 100]], some.x)
    assert some.index.tolist() == [7, 100]
    part = preparation.source(records, [25, 1], crops=4, seed=1).fetch([0, 7], epoch=3)
    assert torch.equal(part.x, whole.x[[100, 7]])
    assert not torch.equal(source.fetch(range(120), epoch=4).x, whole.x)
    assert not torch.equal(preparation.source(records, crops=4, seed=2).fetch(range(120), epoch=3).x, whole.x)


def test_crops_are_parts_of_their_image_and_reach_everywhere(tmp_path):
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    records = as_records(folder_of(tmp_path / "f", [image, image]))
    source = Preparation.fit(records, patch=8).source(records, crops=200)
    values = (source.fetch(range(400)).x[:, 0] * 255).round().int()
    corners = values[:, 0, 0]
    assert sorted(set(corners.tolist())) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    for crop, corner in zip(values, corners.tolist(), strict=True):
        top, left = divmod(corner, 10)
        np.testing.assert_array_equal(crop, image[top : top + 8, left : left + 8])


def test_images_at_their_own_size(grey):
    records = as_records(grey)
    preparation = Preparation.fit(records, patch=16)
    for workers in (0, 2):
        found = list(preparation.images(records, [4, 9], workers=workers))
        for row, image in zip([4, 9], found, strict=True):
            assert image.shape == (1, *records.size(row))
            assert torch.equal(image, preparation.image(records, row))
            np.testing.assert_array_equal(image[0], records.read(row)[..., 0].astype(np.float32) / 255)


def test_what_does_not_fit_is_named(grey, rng):
    records = as_records(grey)
    with pytest.raises(ShapeError, match="smaller than the patch of 60"):
        Preparation.fit(records, patch=60)
    with pytest.raises(OptionError, match="patch=32 is larger than size"):
        Preparation.fit(records, patch=32, size=16)
    with pytest.raises(OptionError, match="size=0"):
        Preparation.fit(records, size=0)
    with pytest.raises(OptionError, match="normalise='all'"):
        Preparation.fit(records, normalise="all")
    with pytest.raises(OptionError, match="workers=-1"):
        Preparation.fit(records).source(records, workers=-1)
    with pytest.raises(OptionError, match="crops=2 needs a patch"):
        Preparation.fit(records).source(records, crops=2)
    with pytest.raises(DataError, match="no sample to train on"):
        Preparation.fit(records, [])
    small = as_records(np.zeros((3, 8, 8), dtype=np.uint8))
    with pytest.raises(ShapeError, match=r"shape \(9, 8, 1\), but the training images had \(8, 8, 1\)"):
        Preparation.fit(small).check(as_records(np.zeros((3, 9, 8), dtype=np.uint8)))
    with pytest.raises(ShapeError, match="float32 values, but the training images had uint8"):
        Preparation.fit(small).check(as_records(rng.random((3, 8, 8))))


def test_labels_go_with_their_samples(rng):
    records = as_records(rng.random((5, 4, 4)), y=["a", "b", "a", None, "b"])
    source = Preparation.fit(records).source(records, [4, 3, 2])
    assert source.labels.tolist() == [1, -1, 0]
    assert source.fetch([2, 0]).y.tolist() == [0, 1]
    assert source.spec.classes == ("a", "b")


def test_many_files_cost_their_index_when_they_stream(tmp_path, rng):
    import tracemalloc

    image = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256, (64, 64), dtype=np.uint8)).save(image)
    (tmp_path / "many").mkdir()
    for at in range(2000):
        (tmp_path / "many" / f"{at:05d}.png").hardlink_to(image)
    tracemalloc.start()
    records = as_records(tmp_path / "many")
    source = Preparation.fit(records, size=64).source(records, workers=0, memory=0)
    for _ in source.batches(32):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All pixels would take 8 MB as bytes and 33 MB as floats.
    assert peak < 4e6


def test_a_batch_from_memory_is_fast(rng):
    records = as_records(rng.integers(0, 256, (2000, 28, 28), dtype=np.uint8))
    source = Preparation.fit(records).source(records)
    rows = rng.integers(0, 2000, 128)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        source.fetch(rows)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 2e-3


def test_a_reading_may_set_the_workers(grey):
    assert as_records(grey, reading=Reading(workers=2)).workers == 2
