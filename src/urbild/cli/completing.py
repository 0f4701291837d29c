"""`complete`: keeps a part of each image and draws the rest."""

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

    from urbild.runs import Run

SHOWN, DRAWS = 8, 3
GREY = 0.5
SIDES = ("top", "left")


def complete(arguments: Arguments, console: Console) -> Result:
    """Draws the unobserved part of images."""
    import torch

    shared.positive(arguments, "n", "draws")
    run = verbs.run_with(arguments, "complete")
    if run.preparation.spec.kind != "image":
        msg = f"complete fills in images, and this run works on {run.preparation.spec.kind} data."
        raise OptionError(msg)
    wanted = verbs.given_class(arguments["given"], run)
    height, width = run.preparation.spec.sites
    observed = observed_sites(arguments["observed"], arguments["share"], (height, width))
    records = verbs.whole(arguments, run, console)
    out = verbs.target(arguments, run, "completed")
    rows = range(min(arguments["n"], len(records)))
    source = run.preparation.source(records.select(rows), workers=arguments["workers"])
    draws, generator = arguments["draws"], torch.Generator(device="cpu").manual_seed(arguments["seed"])
    given, made = [], []
    with torch.no_grad(), console.progress("completing", len(rows)) as advance:
        for batch in source.batches(max(1, verbs.BATCH // draws)):
            given.append(batch.x)
            made.append(_drawn(run, batch.x, observed, draws=draws, wanted=wanted, generator=generator))
            advance(len(batch))
    ids = [records.ids[row] for row in rows]
    _write(out, run, ids, given=torch.cat(given), made=torch.cat(made), observed=observed)
    return {**verbs.told(arguments, console, out, "completions", draws * len(rows)), "images": len(rows)}


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
            mask = np.asarray(np.load(path, allow_pickle=False)) != 0
        except (OSError, ValueError, EOFError) as error:
            msg = f"{path} is no .npy file of numbers ({str(error).splitlines()[0]}); save the mask anew."
            raise DataError(msg) from error
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
    """Completions [N, draws, C, H, W] of images [N, C, H, W]."""
    import torch

    from urbild.contract import Completes

    assert isinstance(run.model, Completes)
    asked = verbs.moved(x.repeat_interleave(draws, dim=0), run.model)
    sites = observed.expand(len(asked), *observed.shape).to(asked.device)
    given = None if wanted is None else torch.full((len(asked),), wanted, device=asked.device)
    made = run.model.complete(asked, sites, given=given, generator=generator)
    return made.cpu().reshape(len(x), draws, *x.shape[1:])


def _write(out: Path, run: "Run", ids: list[str], *, given: "Tensor", made: "Tensor", observed: "Tensor") -> None:
    """A grid of originals, what was kept of them and their completions; or the completions [N, draws, H, W, C]."""
    import numpy as np
    import torch

    if out.suffix == ".png":
        kept = torch.where(observed, given, torch.full_like(given, GREY))
        lines = torch.cat([given[:, None], kept[:, None], made], dim=1)
        verbs.write(out, run, lines.flatten(0, 1), None, columns=lines.shape[1])
        return
    images = np.asarray(run.preparation.restore(made.flatten(0, 1)))
    verbs.save(out, images.reshape(*made.shape[:2], *images.shape[1:]), ids, [])


COMPLETE = Command(
    name="complete",
    summary="keep a part of each image and draw the rest",
    about="Keeps the observed part of images and draws the rest given it. A .png shows a line for each image: the "
    "image, what was kept of it, its completions; arrays are [images, draws, height, width, channels].",
    places=(shared.DIRECTORY, shared.DATA),
    groups=(
        Group(
            "Completions",
            (
                Option(
                    "observed",
                    "what is kept: top, left, or a mask of the size that the run works at: an image that is white "
                    "there, or an .npy that is not 0 there",
                    str,
                    "top",
                    "WHAT",
                ),
                Option("share", "of the image that is kept at the top or the left", float, 0.5, "X"),
                Option("draws", "completions of each image", int, DRAWS, "N"),
                Option("n", "images that are completed, the first ones", int, SHOWN, "N"),
                verbs.GIVEN,
                verbs.out_option("a .png grid, .npy, or .npz with ids"),
            ),
        ),
        shared.SCORED,
        shared.COMMON,
    ),
    example="urbild complete runs/pixels photos/new --observed top --out completed.png",
    run=complete,
)
