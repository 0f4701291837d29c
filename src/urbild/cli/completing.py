"""`complete`: keeps a part of each image, or the beginning of each sound, and draws the rest."""

from pathlib import Path
from typing import TYPE_CHECKING

from urbild.cli import shared, verbs
from urbild.cli.command import Arguments, Command, Group, Option, Result
from urbild.cli.console import Console
from urbild.errors import DataError, OptionError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from urbild.contract import Batch
    from urbild.runs import Run

SHOWN, DRAWS = 8, 3
GREY = 0.5
SIDES = ("top", "left")
BEGINNING = "start"


def complete(arguments: Arguments, console: Console) -> Result:
    """Draws the unobserved part of images or sounds."""
    import torch

    shared.positive(arguments, "n", "draws")
    run = verbs.run_with(arguments, "complete")
    spec = run.preparation.spec
    if spec.kind != "image" and spec.rate is None:
        msg = f"complete fills in images and sound, and this run works on {spec.kind} data."
        raise OptionError(msg)
    wanted = verbs.given_class(arguments["given"], run)
    rule, share = arguments["observed"], arguments["share"]
    if spec.rate is None:
        height, width = spec.sites
        observed = observed_sites(rule or SIDES[0], share, (height, width))
    else:
        _beginning(rule, share)
        observed = None
    out = verbs.target(arguments, run, "completed")
    records = verbs.whole(arguments, run, console)
    rows = range(min(arguments["n"], len(records)))
    source = run.preparation.source(records.select(rows), workers=arguments["workers"])
    draws, generator = arguments["draws"], torch.Generator(device="cpu").manual_seed(arguments["seed"])
    given, made = [], []
    with torch.no_grad(), console.progress("completing", len(rows)) as advance:
        for batch in source.batches(max(1, verbs.BATCH // draws)):
            given.append(batch.x)
            sites = begun(batch, share) if observed is None else observed.expand(len(batch), *observed.shape)
            made.append(_drawn(run, batch.x, sites, draws=draws, wanted=wanted, generator=generator))
            advance(len(batch))
    ids = [records.ids[row] for row in rows]
    _write(out, run, ids, given=torch.cat(given), made=torch.cat(made), observed=observed)
    told = verbs.told(arguments, console, out, "completions", draws * len(rows))
    return {**told, "images" if observed is not None else "sounds": len(rows)}


def begun(batch: "Batch", share: float) -> "Tensor":
    """The first `share` of each sound of a batch: bool [N, T]. What follows its end may be drawn as well."""
    import torch

    from urbild.ops.sound import sounding

    valid = sounding(batch.x[..., 0]) if batch.mask is None else batch.mask
    kept = (share * valid.sum(1, keepdim=True)).round().clamp(min=1)
    return torch.arange(valid.shape[1], device=valid.device) < kept


def _beginning(rule: str | None, share: float) -> None:
    """Refuses what is no share of a beginning.

    Raises:
        OptionError: something else is to be observed, nothing, or everything.
    """
    if rule not in (None, BEGINNING):
        msg = f"--observed {rule}: of sound the beginning is kept; leave it out, and give --share."
        raise OptionError(msg)
    if not 0 < share < 1:
        msg = f"--share {share:g}: of a sound a share between 0 and 1 is kept, such as 0.5."
        raise OptionError(msg)


def observed_sites(rule: str, share: float, size: tuple[int, int]) -> "Tensor":
    """Which sites [H, W] are observed, bool.

    Args:
        rule: "top", "left", or a file: an image whose white is observed, or an .npy that is not 0 there.
        share: of the image that is observed at the top or the left.
        size: (H, W).

    Raises:
        DataError: the file cannot be read.
        ShapeError: the mask is of another size.
        OptionError: nothing is observed, or everything.
    """
    import torch

    if rule in SIDES:
        observed = torch.zeros(size, dtype=torch.bool)
        side = size[SIDES.index(rule)]
        observed.narrow(SIDES.index(rule), 0, max(0, min(side, round(share * side)))).fill_(True)
        name = f"--observed {rule} --share {share:g}"
    else:
        observed = _mask(Path(rule), size)
        name = rule
    if bool(observed.all()) or not bool(observed.any()):
        kind, rest = ("everything", "draw") if bool(observed.all()) else ("nothing", "keep")
        msg = f"{name}: {kind} is observed of {size[0]} x {size[1]} pixels, so there is nothing to {rest}; "
        raise OptionError(msg + "give a mask that is white in a part.")
    return observed


def _mask(path: Path, size: tuple[int, int]) -> "Tensor":
    import numpy as np
    import torch

    if not path.exists():
        msg = f"--observed {path} is neither top nor left nor a file that exists; give one of them."
        raise OptionError(msg)
    if path.suffix == ".npy":
        try:
            held = np.asarray(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            msg = f"{path} is no .npy file of numbers ({str(error).splitlines()[0]}); save the mask anew."
            raise DataError(msg) from error
        if held.dtype.kind not in "biuf" or not np.isfinite(held).all():
            msg = f"{path} holds what is no number; save a mask of zeros and ones."
            raise DataError(msg)
        mask = held != 0
    else:
        mask = _as_image(path)
    if mask.shape != size:
        found = " x ".join(str(side) for side in mask.shape)
        msg = f"the mask {path} is {found}, and the run works on images of {size[0]} x {size[1]} (height x width); "
        raise ShapeError(msg + "give a mask of that size.")
    return torch.from_numpy(mask)


def _as_image(path: Path) -> "NDArray[np.bool_]":
    from urbild.data.images import decode_mask

    try:
        return decode_mask(path)
    except DataError as error:
        msg = f"the mask {path} cannot be read; give an image whose white is observed, or an .npy file."
        raise DataError(msg) from error


def _drawn(
    run: "Run", x: "Tensor", observed: "Tensor", *, draws: int, wanted: int | None, generator: "torch.Generator"
) -> "Tensor":
    """Completions [N, draws, *sample] of samples [N, *sample], of which `observed` [N, *sites] is kept."""
    import torch

    from urbild.contract import Completes

    assert isinstance(run.model, Completes)
    asked = verbs.moved(x.repeat_interleave(draws, dim=0), run.model)
    sites = observed.repeat_interleave(draws, dim=0).to(asked.device)
    given = None if wanted is None else torch.full((len(asked),), wanted, device=asked.device)
    made = run.model.complete(asked, sites, given=given, generator=generator)
    return made.cpu().reshape(len(x), draws, *x.shape[1:])


def _write(
    out: Path, run: "Run", ids: list[str], *, given: "Tensor", made: "Tensor", observed: "Tensor | None"
) -> None:
    """A grid of originals, what was kept of them and their completions; files of sound; or all completions.

    Arrays are [N, draws, H, W, C], or [N, draws, T].
    """
    import numpy as np
    import torch

    if out.suffix == ".wav":
        verbs.write(out, run, made.flatten(0, 1), None)
        return
    if out.suffix == ".png":
        assert observed is not None  # sound is not drawn
        kept = torch.where(observed, given, torch.full_like(given, GREY))
        lines = torch.cat([given[:, None], kept[:, None], made], dim=1)
        verbs.write(out, run, lines.flatten(0, 1), None, columns=lines.shape[1])
        return
    images = np.asarray(run.preparation.restore(made.flatten(0, 1)))
    verbs.save(out, images.reshape(*made.shape[:2], *images.shape[1:]), ids, [])


COMPLETE = Command(
    name="complete",
    summary="keep a part of each image, or the beginning of each sound, and draw the rest",
    about="Keeps the observed part of samples and draws the rest given it. A .png shows a line for each image: the "
    "image, what was kept of it, its completions; arrays are [images, draws, height, width, channels]. Of sound a "
    "share of the beginning is kept, and each completion is a .wav file; arrays are [sounds, draws, time].",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(
        Group(
            "Completions",
            (
                Option(
                    "observed",
                    "what is kept of images: top (the usual), left, or a mask of the size that the run works at: an "
                    "image that is white there, or an .npy that is not 0 there; of sound: start",
                    str,
                    metavar="WHAT",
                ),
                Option("share", "that is kept at the top, the left or the start", float, 0.5, "X"),
                Option("draws", "completions of each sample", int, DRAWS, "N"),
                Option("n", "samples that are completed, the first ones", int, SHOWN, "N"),
                verbs.GIVEN,
                verbs.out_option("a .png grid, .wav files of sounds, .npy, or .npz with ids"),
            ),
        ),
        shared.SCORED,
        shared.COMMON,
    ),
    example="urbild complete runs/pixels photos/new --observed top --out completed.png",
    run=complete,
)
