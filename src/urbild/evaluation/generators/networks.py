"""Feature spaces of networks that a user brings as files: ONNX through onnxruntime, folders through transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from urbild.errors import DataError, ExtraError, OptionError
from urbild.evaluation.generators.spaces import Features, Space


def by_onnx(path: Path) -> Space:
    """The first output of a network that takes images [N, C, H, W] in [0, 1].

    Images are brought to its H and W by antialiased bilinear interpolation, grey ones to three equal channels where it
    wants three; an output with sites, maps [N, D, H, W] or tokens [N, T, D], is averaged over them. A scale other than
    [0, 1] belongs into the network itself.

    Raises:
        ExtraError: onnxruntime is not installed.
        DataError: the file is no network of images.
    """
    try:
        import onnxruntime
    except ImportError:
        msg = f"{path.name} is read by onnxruntime, which is not installed; pip install 'urbild[onnx]'."
        raise ExtraError(msg) from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base
        msg = f"{path} is no network that onnxruntime reads ({str(error).splitlines()[0]})."
        raise DataError(msg) from error
    entry = session.get_inputs()[0]
    if len(entry.shape) != 4:
        msg = f"{path} takes inputs of shape {entry.shape}; features of images need [N, C, H, W]."
        raise DataError(msg)
    sides = [side if isinstance(side, int) else None for side in entry.shape]  # names stand for any size

    def of(x: Tensor) -> Features:
        images = fitted(x, sides[1], (sides[2], sides[3])).numpy()
        rows = sides[0] or len(images)
        whole = np.pad(images, ((0, -len(images) % rows), (0, 0), (0, 0), (0, 0)))  # a fixed batch takes no other
        parts = [whole[start : start + rows] for start in range(0, len(whole), rows)]
        found = [np.asarray(session.run(None, {entry.name: part})[0], dtype=np.float32) for part in parts]
        return Features(pooled(torch.from_numpy(np.concatenate(found)[: len(images)])))

    return Space(f"features of the network {path}", of)


def by_backbone(folder: Path) -> Space:
    """The last feature map of a transformers backbone, averaged over sites.

    The folder's `preprocessor_config.json`, where there is one, says size, mean and deviation of what it wants; images
    are in [0, 1] before, and brought to that size by antialiased bilinear interpolation.

    Raises:
        ExtraError: transformers is not installed.
        DataError: the folder holds no backbone.
    """
    try:
        from transformers import AutoBackbone
    except ImportError:
        msg = f"{folder} is read by transformers, which is not installed; pip install 'urbild[backbones]'."
        raise ExtraError(msg) from None
    try:
        network = AutoBackbone.from_pretrained(str(folder), local_files_only=True).eval()
    except (OSError, ValueError, ImportError) as error:
        msg = f"{folder} holds no backbone that transformers reads ({str(error).splitlines()[0]})."
        raise DataError(msg) from error
    wanted = _wanted(folder / "preprocessor_config.json")
    mean, deviation = (torch.tensor(wanted.get(name, default)) for name, default in (("image_mean", 0.0), _SPREAD))

    def of(x: Tensor) -> Features:
        images = fitted(x, 3, _size(wanted.get("size")))
        shown = (images - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
        with torch.no_grad():
            return Features(pooled(network(shown).feature_maps[-1].float()))

    return Space(f"features of the network {folder}", of)


_SPREAD = ("image_std", 1.0)


def fitted(x: Tensor, channels: int | None, size: tuple[int | None, int | None]) -> Tensor:
    """Images [N, C, H, W] with as many channels and of the size that a network wants; None: any.

    Raises:
        OptionError: the channels do not go together.
    """
    x = x.detach().cpu().float()
    if channels not in (None, x.shape[1]):
        if x.shape[1] != 1:
            msg = f"--features: the network takes images of {channels} channels, and these have {x.shape[1]}."
            raise OptionError(msg)
        x = x.expand(-1, channels or 1, -1, -1)
    target = [wanted or side for wanted, side in zip(size, x.shape[2:], strict=True)]
    if target != list(x.shape[2:]):
        x = functional.interpolate(x, size=target, mode="bilinear", antialias=True, align_corners=False)
    return x.contiguous()


def pooled(x: Tensor) -> Tensor:
    """The mean over sites of maps [N, D, H, W] or tokens [N, T, D]: vectors [N, D]."""
    if x.dim() == 3:
        return x.mean(1)
    return x.flatten(2).mean(2) if x.dim() > 3 else x.flatten(1)


def _wanted(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is damaged ({error}); restore it from a copy."
        raise DataError(msg) from None
    return found


def _size(said: Any) -> tuple[int | None, int | None]:
    """Height and width of what a preprocessor's `size` says: a number, both, or the shorter side."""
    if isinstance(said, int):
        return said, said
    if isinstance(said, dict):
        height = said.get("height", said.get("shortest_edge"))
        return height, said.get("width", height)
    return None, None
