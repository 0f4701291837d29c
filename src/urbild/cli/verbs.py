"""`sample`, `reconstruct` and `encode`: what a trained model can do besides scoring."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console
from urbild.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from urbild.data import Records
    from urbild.runs import Run

SHOWN = 64
BATCH = 128


def sample(arguments: Arguments, console: Console) -> Result:
    """Makes new samples."""
    import torch

    from urbild.contract import Samples

    shared.positive(arguments, "n", "temperature")
    run = _run(arguments, "sample")
    assert isinstance(run.model, Samples)
    out = _target(arguments, run, "samples")
    generator = torch.Generator(device="cpu").manual_seed(arguments["seed"])
    parts = []
    with torch.no_grad():
        for start in range(0, arguments["n"], BATCH):
            n = min(BATCH, arguments["n"] - start)
            drawn = run.model.sample(n, temperature=arguments["temperature"], generator=generator)
            parts.append(drawn.cpu())
    _write(out, run, torch.cat(parts), None)
    return _told(arguments, console, out, "samples", arguments["n"])


def reconstruct(arguments: Arguments, console: Console) -> Result:
    """Passes samples through the model and back."""
    import torch

    from urbild.contract import Reconstructs

    run = _run(arguments, "reconstruct")
    model = run.model
    assert isinstance(model, Reconstructs)
    records = _records(arguments, run, console)
    out = _target(arguments, run, "reconstructed")
    limit = SHOWN // 2 if out.suffix == ".png" else len(records)
    rows = range(min(limit, len(records)))
    source = run.preparation.source(records.select(rows), workers=arguments["workers"])
    pairs = [(batch.x, model.reconstruct(_moved(batch.x, model)).cpu()) for batch in source.batches(BATCH)]
    given, made = (torch.cat([pair[place] for pair in pairs]) for place in (0, 1))
    if out.suffix == ".png":
        made = torch.stack([given, made], dim=1).flatten(0, 1)  # input and reconstruction side by side
    _write(out, run, made, [records.ids[row] for row in rows], columns=8)
    return _told(arguments, console, out, "reconstructions", len(rows))


def encode(arguments: Arguments, console: Console) -> Result:
    """Turns samples into codes."""
    import torch

    from urbild.contract import Encodes

    run = _run(arguments, "encode")
    model = run.model
    assert isinstance(model, Encodes)
    records = _records(arguments, run, console)
    out = _target(arguments, run, "codes")
    if out.suffix == ".png":
        msg = f"codes are no pictures; give --out a name that ends in .npy, .npz or .csv instead of {out.name}."
        raise OptionError(msg)
    source = run.preparation.source(records, workers=arguments["workers"])
    codes = torch.cat([model.encode(_moved(batch.x, model)).cpu() for batch in source.batches(BATCH)])
    _save(out, codes.numpy(), list(records.ids), [f"z{entry}" for entry in range(codes[0].numel())])
    return {**_told(arguments, console, out, "codes", len(records)), "shape": list(codes.shape)}


def _run(arguments: Arguments, verb: str) -> "Run":
    """The run in the given directory, if its model has the verb.

    Raises:
        OptionError: it has not; the systems that have are named.
    """
    from urbild import catalogue, runs
    from urbild.contract import verbs_of

    run = runs.load(arguments["dir"], device=arguments["device"])
    if verb not in verbs_of(run.model):
        able = ", ".join(card.name for card in catalogue.cards().values() if verb in card.verbs)
        msg = f"{run.name or type(run.model).__name__} cannot {verb}; systems that can: {able}."
        raise OptionError(msg)
    return run


def _records(arguments: Arguments, run: "Run", console: Console) -> "Records":
    from urbild.detection.scorer import patch_of

    records = shared.given(arguments, console)
    run.preparation.check(records)
    patch = patch_of(run.preparation)
    if patch is not None:
        msg = f"this run works on patches of {patch} px, not on whole images; it can only score them."
        raise OptionError(msg)
    return records


def _target(arguments: Arguments, run: "Run", stem: str) -> Path:
    """The file to write; what can be written into it is told by its suffix."""
    image = run.preparation.spec.kind == "image"
    usual = ".npz" if stem == "codes" else ".png" if image else ".csv"
    out = Path(arguments["out"] or Path(arguments["dir"]) / f"{stem}{usual}")
    known = {".png", ".npy", ".npz"} if image else {".npy", ".npz", ".csv"}
    known |= {".csv"} if stem == "codes" else set()
    if out.suffix not in known:
        msg = f"--out {out}: {stem} of this run can be written as {', '.join(sorted(known))}."
        raise OptionError(msg)
    return out


def _moved(x: "Tensor", model: Any) -> "Tensor":
    return x.to(next((entry.device for entry in (*model.parameters(), *model.buffers())), x.device))


def _write(out: Path, run: "Run", x: "Tensor", ids: list[str] | None, columns: int | None = None) -> None:
    """Samples in the data's own units."""
    import pandas as pd

    from urbild.report import sample_grid

    restored = run.preparation.restore(x)
    if isinstance(restored, pd.DataFrame):
        _save(out, restored.to_numpy(), ids, list(restored.columns))
    elif out.suffix == ".png":
        shared.write(out, sample_grid(restored, columns=columns))
    else:
        _save(out, restored, ids, [])


def _save(out: Path, values: "NDArray[Any]", ids: list[str] | None, columns: list[str]) -> None:
    import pandas as pd

    if out.suffix == ".csv":
        frame = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
        if ids is not None:
            frame.insert(0, "id", ids)
        shared.write(out, frame.to_csv(index=False))
        return
    import numpy as np

    stream = BytesIO()
    if out.suffix == ".npy":
        np.save(stream, values, allow_pickle=False)
    else:
        named = {"x": values} if ids is None else {"x": values, "ids": np.asarray(ids, dtype=np.str_)}
        np.savez_compressed(stream, **named)  # type: ignore[arg-type]  # the stub takes allow_pickle for an array
    shared.write(out, stream.getvalue())


def _told(arguments: Arguments, console: Console, out: Path, what: str, n: int) -> Result:
    console.result(str(out) if console.quiet else f"{n} {what}: {out}")
    return {"directory": arguments["dir"], "out": str(out), what: n}


def _out(kinds: str) -> Option:
    return Option("out", f"file to write, {kinds} by its suffix (default: in the run's directory)", metavar="FILE")


SAMPLE = Command(
    name="sample",
    summary="make new samples like those the run learnt from",
    about="Draws new samples. The same seed draws the same samples.",
    places=(shared.DIRECTORY,),
    groups=(
        Group(
            "Samples",
            (
                Option("n", "how many", int, SHOWN, "N"),
                Option("temperature", "below 1 more typical samples, above 1 more varied ones", float, 1.0, "X"),
                _out("a .png grid, .npy, .npz, or .csv for tables"),
            ),
        ),
        shared.COMMON,
    ),
    example="urbild sample runs/vae --n 64 --out samples.png",
    run=sample,
)
RECONSTRUCT = Command(
    name="reconstruct",
    summary="pass samples through the model's bottleneck and back",
    about=f"Writes the model's version of samples. A .png shows the first {SHOWN // 2} beside their originals.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(
        Group("Samples", (_out("a .png grid, .npy, .npz, or .csv for tables"),)),
        shared.SCORED,
        shared.FEW,
    ),
    example="urbild reconstruct runs/first photos/new --out reconstructed.png",
    run=reconstruct,
)
ENCODE = Command(
    name="encode",
    summary="turn samples into codes",
    about="Writes the code of each sample: a feature vector for other programs.",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(Group("Codes", (_out(".npy, .npz with ids, or .csv"),)), shared.SCORED, shared.FEW),
    example="urbild encode runs/first photos/new --out codes.npz",
    run=encode,
)
