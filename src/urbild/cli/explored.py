"""What the forms of `explore` share: codes of samples, laws to draw them from, and the files that are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbild.cli import shared, verbs
from urbild.cli.command import Arguments
from urbild.cli.console import Console
from urbild.errors import DataError, OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from urbild.data import Records
    from urbild.exploration import Law
    from urbild.ops.sheets import Pixels
    from urbild.runs import Run

MOST, MOST_SEARCHED = 2000, 64  # codes of data, where an encoder gives them and where each is searched
MILLISECONDS = 120  # that a frame is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question about a latent space.

    Attributes:
        arguments: the command line.
        console: the user's streams.
        run: whose latents they are.
        records: the samples at PATH, or None.
        out: the file to write.
    """

    arguments: Arguments
    console: Console
    run: "Run"
    records: "Records | None"
    out: Path

    @property
    def name(self) -> str:
        """The system, as users call it."""
        return self.run.name or type(self.run.model).__name__

    @property
    def data(self) -> "Records":
        """The samples of a form that cannot do without.

        Raises:
            DataError: none are given.
        """
        if self.records is None:
            form = self.arguments["form"]
            msg = f"{form} looks at samples, and none are given: urbild explore {self.arguments['dir']} {form} PATH."
            raise DataError(msg)
        return self.records

    @property
    def most(self) -> int:
        """Codes that are taken of data for a density, a mean or a map."""
        from urbild.contract import Encodes

        usual = MOST if isinstance(self.run.model, Encodes) else MOST_SEARCHED
        return int(self.arguments["samples"] or usual)


def spread(rows: Sequence[int] | int, most: int) -> list[int]:
    """At most so many of some rows, evenly spread: data often lie sorted by class."""
    known = list(range(rows)) if isinstance(rows, int) else list(rows)
    if len(known) <= most:
        return known
    return [known[at * len(known) // most] for at in range(most)]


def prepared(asked: Asked, rows: Sequence[int]) -> "Tensor":
    """The samples `rows` [N, *sample], as the model takes them."""
    import torch

    source = asked.run.preparation.source(asked.data.select(rows), workers=asked.arguments["workers"], memory=0)
    return torch.cat([batch.x for batch in source.batches(verbs.BATCH)])


def codes_of(asked: Asked, rows: Sequence[int]) -> "Tensor":
    """Codes [N, *code] of the samples `rows`: the encoder's, or searched where there is no encoder."""
    from urbild.contract import Encodes
    from urbild.exploration import encoded, project

    x, told = prepared(asked, rows), classes(asked, len(rows), rows)
    if isinstance(asked.run.model, Encodes):
        return encoded(asked.run.model, x, given=told).cpu()
    arguments = asked.arguments
    asked.console.note(f"{asked.name} has no encoder: the codes of {len(rows)} samples are searched")
    with asked.console.progress("searching", len(rows)) as advance:
        found = project(
            asked.run.model,
            x,
            starts=arguments["starts"],
            steps=arguments["steps"],
            given=told,
            seed=arguments["seed"],
            advance=advance,
        )
    return found.z.cpu()


def classes(asked: Asked, n: int, rows: Sequence[int] | None = None) -> "Tensor | None":
    """What a conditional model is told of n codes: --given, or the samples' own classes, or all classes in turn."""
    import torch

    from urbild.contract import in_turn, labels_of

    wanted = verbs.given_class(asked.arguments["given"], asked.run)
    if wanted is not None:
        return torch.full((n,), wanted)
    known = labels_of(asked.run.model)
    if known and rows is not None and asked.data.labels is not None:
        names = [asked.data.classes[label] if label >= 0 else None for label in asked.data.labels[list(rows)]]
        if all(name in known for name in names):
            return torch.tensor([known.index(str(name)) for name in names])
    return in_turn(asked.run.model, n)


def law_of(asked: Asked) -> "Law":
    """The law that codes are drawn from: the model's own prior, or a density fitted to the codes of PATH.

    Raises:
        OptionError: a fitted density is wanted, or needed, and no samples are given.
    """
    from urbild.exploration import fitted_law, own_law

    wanted = asked.arguments["prior"]
    own = own_law(asked.run.model)
    if wanted == "auto" and own is not None:
        return own
    if asked.records is None:
        why = "has no prior over its codes" if own is None else f"is to have a prior fitted (--prior {wanted})"
        msg = f"{asked.name} {why}; give samples to whose codes a density is fitted: "
        msg += f"urbild explore {asked.arguments['dir']} {asked.arguments['form']} PATH."
        raise OptionError(msg)
    codes = codes_of(asked, spread(len(asked.records), asked.most))
    return fitted_law(codes, "gaussian" if wanted == "auto" else wanted)


def drawn(asked: Asked, law: "Law", n: int) -> "Tensor":
    """Codes [n, *code] of a law, by the seed."""
    import torch

    from urbild.exploration import code_shape

    generator = torch.Generator(device="cpu").manual_seed(asked.arguments["seed"])
    flat = law.draw(n, generator=generator, truncation=asked.arguments["truncation"])
    return flat.reshape(n, *code_shape(asked.run.model))


def target(arguments: Arguments, run: "Run", suffixes: Mapping[str, tuple[str, ...]]) -> Path:
    """The file to write; the first suffix of the run's kind of data is the usual one.

    Raises:
        OptionError: the form cannot be written so.
    """
    kind = run.preparation.spec.kind
    known = suffixes.get(kind, suffixes["other"])
    out = Path(arguments["out"] or Path(arguments["dir"]) / f"explored-{arguments['form']}{known[0]}")
    if out.suffix not in known:
        msg = f"--out {out}: {arguments['form']} of {kind} data can be written as {', '.join(known)}."
        raise OptionError(msg)
    return out


def origin_of(asked: Asked, law: "Law") -> str:
    """What drawn codes come from, in words."""
    truncation = asked.arguments["truncation"]
    return law.label if truncation is None else f"{law.label}, truncated at {truncation:g} deviations"


def write_lines(
    asked: Asked,
    made: "Tensor",
    at: Sequence[float],
    *,
    ids: Sequence[str] | None = None,
    law: "Law | None" = None,
    columns: int | None = None,
    words: str = "",
) -> None:
    """Lines of samples [N, S, *sample], in the data's own units.

    A .png has a row for each line, below `words` that say what is seen, and a .gif a frame for each point; a table has
    a row for each point, with the number of its line and `at` [S]; arrays are [N, S, ...].
    """
    import numpy as np
    import pandas as pd

    count, steps = made.shape[:2]
    restored = asked.run.preparation.restore(made.flatten(0, 1).cpu())
    if isinstance(restored, pd.DataFrame) and asked.out.suffix == ".csv":
        where = {"line": np.repeat(np.arange(count), steps), "at": np.tile(np.asarray(at, dtype=np.float64), count)}
        frame = pd.concat([pd.DataFrame(where), restored.reset_index(drop=True)], axis=1)
        shared.write(asked.out, frame.to_csv(index=False))
        return
    values = np.asarray(restored)
    values = values.reshape(count, steps, *values.shape[1:])
    if asked.out.suffix in (".png", ".gif"):
        from urbild.report.pictures import encode

        origin = "" if law is None else f"codes drawn from {origin_of(asked, law)}"
        if asked.out.suffix == ".gif":
            shared.write(asked.out, _film(values, origin))
            return
        said = "; ".join(part for part in (words, origin) if part)
        shared.write(asked.out, encode(_sheet(values, said, columns or steps)))
        return
    verbs.save(asked.out, values, None if ids is None else list(ids), [])


def _sheet(values: Any, words: str, columns: int) -> "Pixels":
    from urbild.ops.sheets import enlarged, labelled, sheet
    from urbild.report.pictures import LEGIBLE, to_pixels

    tiles = [enlarged(to_pixels(image), LEGIBLE) for image in values.reshape(-1, *values.shape[2:])]
    laid = sheet(tiles, columns=columns)
    return labelled(laid, words) if words else laid


def _film(values: Any, words: str) -> bytes:
    """There and back, for ever."""
    from urbild.ops.sheets import animation

    frames = [_sheet(values[:, [point]], words, ceil(sqrt(len(values)))) for point in range(values.shape[1])]
    return animation(frames + frames[-2:0:-1], milliseconds=MILLISECONDS, last=MILLISECONDS, colours=256)


def told(asked: Asked, what: str, count: int, **more: Any) -> dict[str, Any]:
    """Says where the answer was written, and from what law codes were drawn; what `--json` prints."""
    out, arguments = str(asked.out), asked.arguments
    law = more.pop("law", None)
    note = f", codes drawn from {origin_of(asked, law)}" if law is not None else ""
    asked.console.result(out if asked.console.quiet else f"{count} {what}{note}: {out}")
    named = {} if law is None else {"law": law.label, "fitted": law.fitted}
    return {"directory": arguments["dir"], "form": arguments["form"], "out": out, what: count, **named, **more}
