"""The forms of `explore`: what each reads, computes and writes."""

from dataclasses import dataclass
from io import BytesIO
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Literal

from urbild.cli import explored, shared
from urbild.cli.command import Result
from urbild.cli.explored import Asked
from urbild.errors import DataError, OptionError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from urbild.exploration import Law

PAIRS = 4  # of a sample and what was found for it, in a row


def interpolate(asked: Asked) -> Result:
    """Ways between samples of PATH, or between draws."""
    import torch

    from urbild.exploration import interpolate as ways

    arguments = asked.arguments
    found = _beginnings(asked, 2 * arguments["n"])
    n = len(found.z) // 2
    if not n:
        msg = f"a way leads from one sample to another, and {asked.data.origin} has only one; give 2 or more."
        raise DataError(msg)
    ids = None if found.rows is None else [asked.data.ids[row] for row in found.rows]
    names = None if ids is None else [f"{a} to {b}" for a, b in zip(ids[:n], ids[n : 2 * n], strict=True)]
    curve = _curve(asked)
    given = explored.classes(asked, n, None if found.rows is None else found.rows[:n])
    made = ways(asked.run.model, found.z[:n], found.z[n : 2 * n], steps=arguments["points"], curve=curve, given=given)
    at = torch.linspace(0, 1, arguments["points"]).tolist()
    explored.write_lines(asked, made, at, ids=names, law=found.law, words="each row: from one code to another")
    return explored.told(asked, "ways", n, law=found.law, curve=curve, ids=names)


@dataclass(frozen=True, slots=True)
class _Beginnings:
    """Codes [N, *code], and the rows of PATH that they are of or the law that they were drawn from."""

    z: "Tensor"
    rows: list[int] | None
    law: "Law | None"


def _beginnings(asked: Asked, n: int) -> _Beginnings:
    """Codes of samples of PATH; or draws, where there is no PATH or a density is to be fitted to its codes."""
    if asked.records is None or asked.arguments["prior"] != "auto":
        law = explored.law_of(asked)
        return _Beginnings(explored.drawn(asked, law, n), None, law)
    if asked.arguments["truncation"] is not None:
        msg = "--truncation is for codes that are drawn, and these come from samples; leave it or PATH out."
        raise OptionError(msg)
    rows = explored.spread(len(asked.records), n)
    return _Beginnings(explored.codes_of(asked, rows), rows, None)


def _curve(asked: Asked) -> "Literal['spherical', 'linear']":
    """Arcs where the model's own prior is normal, whose draws lie near a sphere; else lines."""
    from urbild.exploration import own_law

    curve = asked.arguments["curve"]
    if curve != "auto":
        return "spherical" if curve == "spherical" else "linear"
    own = own_law(asked.run.model)
    return "spherical" if own is not None and own.normal else "linear"


def traverse(asked: Asked) -> Result:
    """Entries of a code, each moved through its deviations."""
    import torch

    from urbild.exploration import traverse as moved

    arguments, wanted = asked.arguments, asked.arguments["entry"]
    found = _beginnings(asked, 1 if wanted is None else arguments["n"])
    law = found.law or _scales(asked)
    entries = [wanted] if wanted is not None else list(range(min(arguments["n"], found.z[0].numel())))
    given = explored.classes(asked, len(found.z), found.rows)
    steps = torch.linspace(-arguments["span"], arguments["span"], arguments["points"]).tolist()
    lines = [moved(asked.run.model, found.z, one, _values(law, one, steps), given=given) for one in entries]
    made = torch.cat(lines)
    ids = None if found.rows is None else [asked.data.ids[row] for row in found.rows]
    names = ids if wanted is not None else None
    span = f"{steps[0]:g} to {steps[-1]:g} deviations"
    words = f"entry {wanted}: {span}" if wanted is not None else f"rows: entries 0 to {entries[-1]}; {span}"
    explored.write_lines(asked, made, steps, ids=names, law=found.law, words=words)
    return explored.told(asked, "lines", len(made), law=found.law, entries=entries, ids=ids, deviations=law.label)


def _scales(asked: Asked) -> "Law":
    """The law whose deviations the entries of samples' codes are moved through."""
    from urbild.exploration import fitted_law, own_law

    own = own_law(asked.run.model)
    return own or fitted_law(explored.codes_of(asked, explored.spread(len(asked.data), asked.most)))


def _values(law: "Law", entry: int, steps: list[float]) -> list[float]:
    """The values of an entry so many deviations from its mean; none where codes have no such entry."""
    if not 0 <= entry < len(law.mean):
        return []
    centre, scale = float(law.mean[entry]), float(law.scale[entry])
    bound = float("inf") if law.bound is None else law.bound
    return [min(max(centre + scale * step, -bound), bound) for step in steps]


def arithmetic(asked: Asked) -> Result:
    """Samples of a class, moved by the difference of two classes."""
    import numpy as np
    import torch

    from urbild.contract import Encodes
    from urbild.exploration import attribute, shift

    arguments, records = asked.arguments, asked.data
    plus, minus = (_label(asked, option) for option in ("plus", "minus"))
    if plus == minus:
        msg = f"--plus and --minus are both {arguments['plus']}, and a class does not differ from itself; name two."
        raise OptionError(msg)
    on = minus if arguments["on"] is None else _label(asked, "on")
    labels = records.labels
    assert labels is not None  # _label has seen to it
    taken = {label: explored.spread(np.flatnonzero(labels == label).tolist(), asked.most) for label in (plus, minus)}
    rows = [row for part in taken.values() for row in part]
    direction = attribute(explored.codes_of(asked, rows), torch.from_numpy(labels[rows]), plus=plus, minus=minus)
    shown = explored.spread(np.flatnonzero(labels == on).tolist(), arguments["n"])
    amounts = torch.linspace(0, arguments["amount"], arguments["points"]).tolist()
    z, given = explored.codes_of(asked, shown), explored.classes(asked, len(shown), shown)
    ids = [records.ids[row] for row in shown]
    moved = shift(asked.run.model, z, direction, amounts, given=given)
    own = records.classes[on] if isinstance(asked.run.model, Encodes) else f"{records.classes[on]}, as found by search,"
    words = f"samples of {own} plus {amounts[0]:g} to {amounts[-1]:g} times the mean code of {arguments['plus']} less "
    words += f"that of {arguments['minus']}"
    explored.write_lines(asked, moved, amounts, ids=ids, words=words)
    counts = {"plus": len(taken[plus]), "minus": len(taken[minus])}
    return explored.told(asked, "lines", len(shown), ids=ids, length=float(direction.norm()), codes=counts)


def _label(asked: Asked, option: str) -> int:
    """The label of the class that an option names.

    Raises:
        DataError: the samples have no labels.
        OptionError: it is not given, or no sample has the class.
    """
    records, wanted = asked.data, asked.arguments[option]
    if records.labels is None or not records.classes:
        msg = f"arithmetic needs labelled samples, and {records.origin} has no labels; give a folder with a sub-folder "
        msg += "for each class, or a table with a column of labels (--label-column)."
        raise DataError(msg)
    present = [name for label, name in enumerate(records.classes) if (records.labels == label).any()]
    if wanted is None:
        msg = (
            f"arithmetic adds the difference of two classes; name them with --plus and --minus ({', '.join(present)})."
        )
        raise OptionError(msg)
    if wanted not in present:
        msg = f"--{option} {wanted}: no sample of {records.origin} has that class; {nearest(wanted, present)}"
        raise OptionError(msg)
    return records.classes.index(wanted)


def project(asked: Asked) -> Result:
    """Codes of samples, searched."""
    import torch

    from urbild.exploration import ENCODED
    from urbild.exploration import project as searched

    arguments = asked.arguments
    rows = explored.spread(len(asked.data), arguments["n"])
    x, given = explored.prepared(asked, rows), explored.classes(asked, len(rows), rows)
    with asked.console.progress("searching", len(rows)) as advance:
        found = searched(
            asked.run.model,
            x,
            starts=arguments["starts"],
            steps=arguments["steps"],
            given=given,
            seed=arguments["seed"],
            advance=advance,
        )
    ids = [asked.data.ids[row] for row in rows]
    if asked.out.suffix == ".png":
        pairs = torch.stack([x, found.x.cpu()], dim=1)  # a sample and what was found for it side by side
        words = f"pairs: a sample, and what its code decodes to; mean squared error {float(found.error.mean()):.3g}"
        explored.write_lines(asked, pairs, [0, 1], columns=2 * PAIRS, words=words)
    else:
        _write_codes(asked, ids, found.z.cpu(), found.x.cpu(), found.error.cpu(), found.start.cpu())
    origin = ["encoder" if start == ENCODED else f"draw {start}" for start in found.start.tolist()]
    error = [float(value) for value in found.error]
    return explored.told(asked, "codes", len(rows), ids=ids, error=error, start=origin)


def _write_codes(asked: Asked, ids: list[str], *found: "Tensor") -> None:
    """A table of ids, errors, starts and codes; or arrays, with the samples that the codes decode to."""
    import numpy as np
    import pandas as pd

    z, x, error, start = found
    if asked.out.suffix == ".csv":
        frame = pd.DataFrame(z.flatten(1).numpy(), columns=[f"z{entry}" for entry in range(z[0].numel())])
        frame.insert(0, "start", start.numpy())
        frame.insert(0, "error", error.numpy())
        frame.insert(0, "id", ids)
        shared.write(asked.out, frame.to_csv(index=False))
        return
    stream, restored = BytesIO(), np.asarray(asked.run.preparation.restore(x))
    arrays: dict[str, Any] = {"z": z.numpy(), "x": restored, "error": error.numpy(), "start": start.numpy()}
    np.savez_compressed(stream, ids=np.asarray(ids, dtype=np.str_), **arrays)
    shared.write(asked.out, stream.getvalue())


def sample(asked: Asked) -> Result:
    """Decoded draws of the model's prior, or of a density fitted to the codes of PATH."""
    law = explored.law_of(asked)
    if asked.records is not None and not law.fitted:
        msg = f"{asked.name} draws from {law.label} and needs no samples; leave {asked.arguments['path']} out, or say "
        msg += "--prior gaussian or kernel to fit a density to their codes."
        raise OptionError(msg)
    from urbild.exploration import decoded

    n = asked.arguments["n"]
    made = decoded(asked.run.model, explored.drawn(asked, law, n), given=explored.classes(asked, n))
    explored.write_lines(asked, made[:, None], [0], law=law, columns=ceil(sqrt(n)))
    return explored.told(asked, "samples", n, law=law)


def mapped(asked: Asked) -> Result:
    """Codes in the plane, coloured by class."""
    import pandas as pd

    from urbild.contract import Encodes
    from urbild.exploration import map2d, scatter

    records = asked.data
    rows = explored.spread(len(records), asked.most)
    found = map2d(explored.codes_of(asked, rows), method=asked.arguments["method"], seed=asked.arguments["seed"])
    labels = None if records.labels is None else records.labels[rows]
    if asked.out.suffix == ".csv":
        frame = pd.DataFrame(found.points, columns=["u", "v"])
        if labels is not None:
            frame.insert(0, "label", [records.classes[label] if label >= 0 else "" for label in labels])
        frame.insert(0, "id", [records.ids[row] for row in rows])
        shared.write(asked.out, frame.to_csv(index=False))
    else:
        searched = "" if isinstance(asked.run.model, Encodes) else ", whose codes were searched"
        title = f"{asked.name}, {len(rows)} samples{searched}: {found.label}"
        shared.write(asked.out, scatter(found.points, labels, records.classes, title=title))
    return explored.told(asked, "codes", len(rows), label=found.label, explained=found.explained)
