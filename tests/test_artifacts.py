import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from urbild import artifacts
from urbild.errors import ArtifactError, OutputError


def saved(directory):
    artifacts.save(directory, {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}, {"note": "hello"})
    return directory


def test_what_was_saved_comes_back(tmp_path):
    tensors, manifest = artifacts.load(saved(tmp_path / "run"))
    assert torch.equal(tensors["a"], torch.arange(6.0).view(2, 3))
    assert tensors["b"].dtype == torch.int64
    assert manifest["note"] == "hello"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["model.safetensors", "urbild.json"]


def test_the_same_content_gives_the_same_bytes(tmp_path):
    one, two = saved(tmp_path / "one"), saved(tmp_path / "two")
    for name in ("model.safetensors", "urbild.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_tied_tensors_are_saved_whole(tmp_path):
    shared = torch.randn(3)
    artifacts.save(tmp_path, {"one": shared, "two": shared, "view": shared[:2]}, {})
    tensors, _ = artifacts.load(tmp_path)
    assert torch.equal(tensors["two"], shared)
    assert torch.equal(tensors["view"], shared[:2])


def damage(directory, kind):
    weights, manifest = directory / "model.safetensors", directory / "urbild.json"
    match kind:
        case "no manifest":
            manifest.unlink()
        case "no weights":
            weights.unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-4])
        case "flipped weights":
            data = bytearray(weights.read_bytes())
            data[-1] ^= 1
            weights.write_bytes(data)
        case "cut manifest":
            manifest.write_text(manifest.read_text()[:40])
        case "edited manifest":
            manifest.write_text(manifest.read_text().replace("hello", "hallo"))
        case "newer":
            content = json.loads(manifest.read_text())
            manifest.write_text(json.dumps({**content, "format": artifacts.FORMAT + 1}))
        case "foreign":
            manifest.write_text("[1, 2]")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no manifest", "holds no saved model"),
        ("no weights", "cannot be read"),
        ("cut weights", "truncated or was changed"),
        ("flipped weights", "truncated or was changed"),
        ("cut manifest", "cannot be read"),
        ("edited manifest", "was changed after it was saved"),
        ("newer", "newer release"),
        ("foreign", "not a file of this library"),
    ],
)
def test_damage_is_refused_in_one_sentence(kind, message, tmp_path):
    damage(saved(tmp_path), kind)
    with pytest.raises(ArtifactError, match=message) as caught:
        artifacts.load(tmp_path)
    assert "\n" not in str(caught.value)


def full_disk(monkeypatch, *, after):
    """The disk is full from the `after`-th write to it on."""
    original, count = os.fsync, 0

    def fsync(number):
        nonlocal count
        count += 1
        if count > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(number)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("after", [0, 1])
def test_a_full_disk_leaves_the_former_model(after, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in saved(tmp_path).iterdir()}
    full_disk(monkeypatch, after=after)
    with pytest.raises(OutputError, match="the disk is full"):
        artifacts.save(tmp_path, {"a": torch.zeros(4)}, {"note": "new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_leaves_nothing_where_nothing_was(tmp_path, monkeypatch):
    full_disk(monkeypatch, after=1)
    with pytest.raises(OutputError):
        saved(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_place_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot make the directory"):
        saved(tmp_path / "file" / "run")
    with pytest.raises(OutputError, match="cannot make the directory"):
        artifacts.fresh_directory(tmp_path / "file" / "run")


def test_fresh_directories(tmp_path):
    names = [artifacts.fresh_directory(None, root=tmp_path, stem="digits").name for _ in range(3)]
    assert names == ["digits-001", "digits-002", "digits-003"]
    assert artifacts.fresh_directory(tmp_path / "new" / "deep") == tmp_path / "new" / "deep"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        artifacts.fresh_directory(tmp_path / "full")
    assert artifacts.fresh_directory(tmp_path / "full", resume=True) == tmp_path / "full"
    with pytest.raises(OutputError, match="no run to resume"):
        artifacts.fresh_directory(tmp_path / "none", resume=True)


def test_new_files_have_the_usual_mode(tmp_path):
    artifacts.write_atomically(tmp_path / "file", "text")
    (tmp_path / "plain").write_text("text")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert Path(tmp_path / "file").read_text() == "text"


class Grown(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.layer.register_buffer("memory", torch.empty(0, 2))


def test_restore_lets_buffers_grow_and_refuses_other_weights():
    model = Grown()
    state = {**model.state_dict(), "layer.memory": torch.ones(5, 2)}
    artifacts.restore(model, state)
    assert torch.equal(model.layer.memory, torch.ones(5, 2))
    with pytest.raises(ArtifactError, match=r"layer\.weight does not fit"):
        artifacts.restore(model, {**state, "layer.weight": torch.ones(3, 2)})
    with pytest.raises(ArtifactError, match="another model"):
        artifacts.restore(model, {"other": torch.ones(1)})
