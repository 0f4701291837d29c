"""`sample`, `reconstruct` and `encode`: what a trained model can do besides scoring."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console
from urbild.errors import OptionError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from urbild.data import Records
    from urbild.runs import Run

SHOWN = 64
BATCH = 128
MOST_COLUMNS = 20  # of a grid that has one for each class


def sample(arguments: Arguments, console: Console) -> Result:
    """Makes new samples."""
    import torch

    from urbild.contract import Samples, in_turn, known_classes, labels_of

    shared.positive(arguments, "n", "temperature")
    run = run_with(arguments, "sample")
    assert isinstance(run.model, Samples)
    out = target(arguments, run, "samples")
    wanted = given_class(arguments["given"], run)
    generator = torch.Generator(device="cpu").manual_seed(arguments["seed"])
    classes = in_turn(run.model, arguments["n"]) if wanted is None else torch.full((arguments["n"],), wanted)
    parts = []
    with torch.no_grad():
        for start in range(0, arguments["n"], BATCH):
            n = min(BATCH, arguments["n"] - start)
            given = None if classes is None else moved(classes[start : start + n], run.model)
            drawn = run.model.sample(n, given=given, temperature=arguments["temperature"], generator=generator)
            parts.append(drawn.cpu())
    names = labels_of(run.model)
    labels = None if classes is None else [names[number] for number in classes.tolist()]
    count = len(known_classes(run.model))
    columns = count if wanted is None and 0 < count <= MOST_COLUMNS else None  # a class each
    write(out, run, torch.cat(parts), None, labels=labels, columns=columns)
    return told(arguments, console, out, "samples", arguments["n"])


def reconstruct(arguments: Arguments, console: Console) -> Result:
    """Passes samples through the model and back."""
    import torch

    from urbild.contract import Reconstructs

    run = run_with(arguments, "reconstruct")
    model = run.model
    assert isinstance(model, Reconstructs)
    out = target(arguments, run, "reconstructed")
    records = whole(arguments, run, console)
    limit = SHOWN // 2 if out.suffix == ".png" else len(records)
    rows = range(min(limit, len(records)))
    source = run.preparation.source(records.select(rows), workers=arguments["workers"])
    with torch.no_grad():
        pairs = [(batch.x, model.reconstruct(moved(batch.x, model)).cpu()) for batch in source.batches(BATCH)]
    given, made = (torch.cat([pair[place] for pair in pairs]) for place in (0, 1))
    if out.suffix == ".png":
        made = torch.stack([given, made], dim=1).flatten(0, 1)  # input and reconstruction side by side
    write(out, run, made, [records.ids[row] for row in rows], columns=8)
    return told(arguments, console, out, "reconstructions", len(rows))


def encode(arguments: Arguments, console: Console) -> Result:
    """Turns samples into codes."""
    import torch

    from urbild.contract import Encodes

    run = run_with(arguments, "encode")
    model = run.model
    assert isinstance(model, Encodes)
    out = target(arguments, run, "codes")
    if out.suffix == ".png":
        msg = f"codes are no pictures; give --out a name that ends in .npy, .npz or .csv instead of {out.name}."
        raise OptionError(msg)
    records = whole(arguments, run, console)
    source = run.preparation.source(records, workers=arguments["workers"])
    with torch.no_grad():
        codes = torch.cat([model.encode(moved(batch.x, model)).cpu() for batch in source.batches(BATCH)])
    save(out, codes.numpy(), list(records.ids), [f"z{entry}" for entry in range(codes[0].numel())])
    return {**told(arguments, console, out, "codes", len(records)), "shape": list(codes.shape)}


def run_with(arguments: Arguments, verb: str) -> "Run":
    """The run in the given directory, if its model has the verb.

    Raises:
        OptionError: it has not; the systems that have are named.
    """
    from urbild import runs

    run = runs.load(arguments["dir"], device=arguments["device"])
    refuse_unless_able(run, verb, arguments)
    return run


def refuse_unless_able(run: "Run", verb: str, arguments: Arguments) -> None:
    """Names the systems that have a verb, where the run's model has it not.

    Raises:
        OptionError: it has not.
    """
    from urbild import catalogue, runs
    from urbild.contract import verbs_of

    if verb not in verbs_of(run.model):
        able = ", ".join(card.name for card in catalogue.cards().values() if verb in card.verbs)
        msg = f"{run.name or type(run.model).__name__} cannot {verb}; systems that can: {able}."
        if verb in ("sample", "complete") and run.name in runs.built_on("latent_prior"):
            msg = (
                f"{run.name or type(run.model).__name__} cannot {verb}, for it has no prior over its codes; train one "
            )
            msg += f"with `urbild train latent_prior DATA --codes {arguments['dir']}`."
        raise OptionError(msg)


def given_class(wanted: str | None, run: "Run") -> int | None:
    """The number of the class that --given names or numbers; None where it is not given.

    Raises:
        OptionError: the run is not conditional, or has no such class.
    """
    from urbild.contract import labels_of

    if wanted is None:
        return None
    labels = labels_of(run.model)
    if not labels:
        msg = f"this run of {run.name or type(run.model).__name__} is not conditioned on a class; leave --given out."
        raise OptionError(msg)
    if wanted in labels:
        return labels.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(labels):
        return int(wanted)
    msg = f"--given {wanted}: the run knows no such class, nor that number of one; {nearest(wanted, labels)}"
    raise OptionError(msg)


def whole(arguments: Arguments, run: "Run", console: Console) -> "Records":
    """The samples of a verb that takes whole ones.

    Raises:
        ShapeError: they do not fit the run.
        OptionError: the run works on patches.
    """
    from urbild.detection.scorer import patch_of

    records = shared.given(arguments, console)
    shared.tell_heard(run.preparation, records, console)
    patch = patch_of(run.preparation)
    if patch is not None:
        msg = f"this run works on patches of {patch} px, not on whole images; it can only score them."
        raise OptionError(msg)
    return records


def target(arguments: Arguments, run: "Run", stem: str) -> Path:
    """The file to write; what can be written into it is told by its suffix."""
    image, sound = (run.preparation.spec.kind == kind for kind in ("image", "sequence"))
    usual = ".npz" if stem == "codes" else ".png" if image else ".wav" if sound else ".csv"
    out = Path(arguments["out"] or Path(arguments["dir"]) / f"{stem}{usual}")
    known = {".npy", ".npz", ".png" if image else ".wav" if sound else ".csv"}
    known |= {".csv"} if stem == "codes" else set()
    if out.suffix not in known:
        msg = f"--out {out}: {stem} of this run can be written as {', '.join(sorted(known))}."
        raise OptionError(msg)
    return out


def moved(x: "Tensor", model: Any) -> "Tensor":
    """The samples on the model's device."""
    return x.to(next((entry.device for entry in (*model.parameters(), *model.buffers())), x.device))


def write(
    out: Path,
    run: "Run",
    x: "Tensor",
    ids: list[str] | None,
    *,
    labels: list[str] | None = None,
    columns: int | None = None,
) -> None:
    """Samples in the data's own units, with their classes where they have some; in a picture as a line above it."""
    import pandas as pd

    from urbild.report import sample_grid

    restored = run.preparation.restore(x)
    if isinstance(restored, pd.DataFrame):
        save(out, restored.to_numpy(), ids, list(restored.columns), labels)
    elif out.suffix == ".png":
        shared.write(out, sample_grid(restored, columns=columns, words=_classes(labels, columns)))
    elif out.suffix == ".wav":
        rate = run.preparation.spec.rate
        assert rate is not None  # sound has one
        for place, wave in zip(_numbered(out, len(restored)), restored, strict=True):
            shared.write(place, _as_wav(wave, rate))
    else:
        save(out, restored, ids, [], labels)


def _classes(labels: list[str] | None, columns: int | None) -> str:
    """What a picture says of the classes of its samples."""
    if labels is None:
        return ""
    named = list(dict.fromkeys(labels))
    if len(named) == 1:
        return f"class: {named[0]}"
    return f"columns: {', '.join(labels[:columns])}" if columns else f"{len(named)} classes in turn"


def _numbered(out: Path, n: int) -> list[Path]:
    """A file for each sound: `samples.wav`, or `samples-00.wav` and so on."""
    width = len(str(n - 1))
    return [out] if n == 1 else [out.with_name(f"{out.stem}-{at:0{width}d}{out.suffix}") for at in range(n)]


def _as_wav(wave: "NDArray[Any]", rate: int) -> bytes:
    """A WAV file of 16 bits of a wave [T] in [-1, 1]."""
    import numpy as np
    from scipy.io import wavfile

    stream = BytesIO()
    wavfile.write(stream, rate, np.rint(wave * 32767).astype(np.int16))
    return stream.getvalue()


def save(
    out: Path, values: "NDArray[Any]", ids: list[str] | None, columns: list[str], labels: list[str] | None = None
) -> None:
    """An array, as the suffix says, with ids and labels where the file can hold them."""
    import pandas as pd

    if out.suffix == ".csv":
        frame = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
        if ids is not None:
            frame.insert(0, "id", ids)
        if labels is not None:
            frame["label"] = labels
        shared.write(out, frame.to_csv(index=False))
        return
    import numpy as np

    stream = BytesIO()
    if out.suffix == ".npy":
        np.save(stream, values, allow_pickle=False)
    else:
        told = {"ids": ids, "y": labels}
        words = {name: np.asarray(entries, dtype=np.str_) for name, entries in told.items() if entries is not None}
        named = {"x": values, **words}
        np.savez_compressed(stream, **named)  # type: ignore[arg-type]  # the stub takes allow_pickle for an array
    shared.write(out, stream.getvalue())


def told(arguments: Arguments, console: Console, out: Path, what: str, n: int) -> Result:
    """Says where something was written; what `--json` prints."""
    places = [str(place) for place in (_numbered(out, n) if out.suffix == ".wav" else [out])]
    shown = places[0] if len(places) == 1 else f"{places[0]} to {places[-1]}"
    console.result(shown if console.quiet else f"{n} {what}: {shown}")
    return {"directory": arguments["dir"], "out": places[0] if len(places) == 1 else places, what: n}


def out_option(kinds: str) -> Option:
    """The option for the file to write."""
    return Option("out", f"file to write, {kinds} by its suffix (default: in the run's directory)", metavar="FILE")


GIVEN = Option("given", "of a conditional run: a class, by its name or its number", metavar="LABEL")
SAMPLE = Command(
    name="sample",
    summary="make new samples like those the run learnt from",
    about="Draws new samples. The same seed draws the same samples. A run that is conditioned on a class draws all "
    "classes in turn, or the one that --given names; a table has them in its column label, an .npz in y.",
    places=(shared.DIRECTORY,),
    groups=(
        Group(
            "Samples",
            (
                Option("n", "how many", int, SHOWN, "N"),
                GIVEN,
                Option("temperature", "below 1 more typical samples, above 1 more varied ones", float, 1.0, "X"),
                out_option("a .png grid, .wav files of sounds, .npy, .npz, or .csv for tables"),
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
        Group("Samples", (out_option("a .png grid, .npy, .npz, or .csv for tables"),)),
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
    groups=(Group("Codes", (out_option(".npy, .npz with ids, or .csv"),)), shared.SCORED, shared.FEW),
    example="urbild encode runs/first photos/new --out codes.npz",
    run=encode,
)
