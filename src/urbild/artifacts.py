"""Saved models and checkpoints: safetensors and JSON, written whole or not at all, checked when read. Never pickle."""

import errno
import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from urbild.errors import ArtifactError, OutputError

FORMAT = 1
WEIGHTS, MANIFEST = "model.safetensors", "urbild.json"


def fresh_directory(
    path: str | Path | None, *, resume: bool = False, root: str | Path = "urbild-runs", stem: str = "run"
) -> Path:
    """Makes an empty directory: `path`, or the next free `root/stem-NNN`.

    Args:
        path: where the user wants it, or None.
        resume: whether a directory that holds an interrupted run is wanted instead.
        root: where directories without a name of their own are made.
        stem: how their names begin.

    Raises:
        OutputError: the directory holds something already, cannot be made, or (to resume) does not exist.
    """
    if resume:
        if path is None or not Path(path).is_dir():
            msg = f"there is no run to resume at {path or 'the given place'}; name its directory with --out."
            raise OutputError(msg)
        return Path(path)
    try:
        if path is None:
            return _numbered(Path(root), stem)
        directory = Path(path)
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            msg = f"{directory} is not empty; give another --out, or --resume to go on with a run that is there."
            raise OutputError(msg)
    except OSError as error:
        msg = f"cannot make the directory {path or root}: {error.strerror}; give another place with --out."
        raise OutputError(msg) from error
    return directory


def _numbered(root: Path, stem: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    taken = [int(end) for entry in root.glob(f"{stem}-*") if (end := entry.name[len(stem) + 1 :]).isdigit()]
    number = max(taken, default=0) + 1
    while True:
        directory = root / f"{stem}-{number:03d}"
        try:
            directory.mkdir()
        except FileExistsError:
            number += 1
        else:
            return directory


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes a whole file, or leaves what was there.

    Raises:
        OutputError: the disk is full, or the place cannot be written.
    """
    write_together({Path(path): data.encode() if isinstance(data, str) else data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Writes several files that belong together; none is replaced before all are safely on the disk.

    Raises:
        OutputError: the disk is full, or the place cannot be written.
    """
    ready: list[tuple[str, Path]] = []
    try:
        for path, data in files.items():
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
                ready.append((file.name, path))
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        mode = 0o666 & ~_umask()
        for name, path in ready:
            Path(name).chmod(mode)
            Path(name).replace(path)
    except OSError as error:
        place = ready[-1][1] if ready else next(iter(files))
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        msg = f"cannot write {place}: {reason}; what was there before is unchanged."
        raise OutputError(msg) from error
    finally:
        for name, _ in ready:
            Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save(directory: str | Path, tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> None:
    """Writes a model's tensors and its manifest, with checksums of both.

    Raises:
        OutputError: the disk is full, or the place cannot be written; a model that was there stays whole.
    """
    directory = Path(directory)
    weights = _pack(tensors)
    content = {"format": FORMAT, **manifest, "checksums": {WEIGHTS: sha256(weights).hexdigest()}}
    content["checksum"] = _digest(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the directory {directory}: {error.strerror}."
        raise OutputError(msg) from error
    write_together({directory / WEIGHTS: weights, directory / MANIFEST: text.encode()})


def load_manifest(directory: str | Path) -> dict[str, Any]:
    """The manifest of a saved model.

    Raises:
        ArtifactError: there is none, it is damaged or was changed, or a newer release wrote it.
    """
    path = Path(directory) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        msg = f"{directory} holds no saved model ({MANIFEST} is missing); name the directory that fit or train made."
        raise ArtifactError(msg) from None
    except (UnicodeDecodeError, json.JSONDecodeError, OSError) as error:
        msg = f"{path} cannot be read ({error}); restore it from a copy, or fit again."
        raise ArtifactError(msg) from None
    _check_format(content, path)
    if content.pop("checksum", None) != _digest(content):
        msg = f"{path} was changed after it was saved (its checksum differs); restore it from a copy, or fit again."
        raise ArtifactError(msg)
    return dict(content)


def load(directory: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the manifest of a saved model.

    Raises:
        ArtifactError: one of them is missing, damaged, was changed, or comes from a newer release.
    """
    content = load_manifest(directory)
    path = Path(directory) / WEIGHTS
    try:
        weights = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); restore it from a copy, or fit again."
        raise ArtifactError(msg) from None
    if sha256(weights).hexdigest() != content["checksums"][WEIGHTS]:
        msg = f"{path} is truncated or was changed (its checksum differs); restore it from a copy, or fit again."
        raise ArtifactError(msg)
    return safetensors.torch.load(weights), content


def save_state(path: str | Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Writes a checkpoint as a single file: tensors, with the state as JSON in the header.

    Raises:
        OutputError: the disk is full, or the place cannot be written; the former checkpoint stays whole.
    """
    content = {"format": FORMAT, **state, "tensors": _sum_of(tensors)}
    content["checksum"] = _digest(content)
    write_atomically(path, _pack(tensors, {"urbild": json.dumps(content)}))


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state of a checkpoint.

    Raises:
        ArtifactError: it is missing, truncated, was changed, or comes from a newer release.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["urbild"])
        tensors = safetensors.torch.load(data)
    except FileNotFoundError:
        msg = f"there is no checkpoint at {path}; start the run without --resume."
        raise ArtifactError(msg) from None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        msg = f"the checkpoint {path} is truncated or damaged; start the run again without --resume."
        raise ArtifactError(msg) from None
    _check_format(content, path)
    if content.pop("checksum", None) != _digest(content) or content["tensors"] != _sum_of(tensors):
        msg = f"the checkpoint {path} was changed after it was saved; start the run again without --resume."
        raise ArtifactError(msg)
    return tensors, dict(content)


def _pack(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    # clone: safetensors refuses tensors that share memory, as tied weights do
    whole = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    packed: bytes = safetensors.torch.save(whole, metadata)
    return packed


def _sum_of(tensors: Mapping[str, Tensor]) -> str:
    """A checksum of names, kinds, shapes and bytes."""
    digest = sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _check_format(content: Any, path: Path) -> None:
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        msg = f"{path} is not a file of this library; name the directory that fit or train made."
        raise ArtifactError(msg)
    if content["format"] > FORMAT:
        msg = f"{path} comes from a newer release (format {content['format']}, this one reads {FORMAT}); update urbild."
        raise ArtifactError(msg)


def restore(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Gives a model the tensors of `state_dict`. A buffer that a solver filled may have grown since `__init__`.

    Raises:
        ArtifactError: names or shapes do not fit the model.
    """
    state = model.state_dict()
    parameters = {name for name, _ in model.named_parameters()}
    wrong = sorted(set(state) ^ set(tensors))
    wrong += [name for name in set(state) & set(tensors) & parameters if state[name].shape != tensors[name].shape]
    if wrong:
        msg = f"the saved weights are of another model ({wrong[0]} does not fit); give the same model and options."
        raise ArtifactError(msg)
    for name, saved in tensors.items():
        home, _, leaf = name.rpartition(".")
        present = state[name]
        if present.shape == saved.shape:
            with torch.no_grad():
                present.copy_(saved)
        else:
            setattr(model.get_submodule(home), leaf, saved.to(present.device, present.dtype))
