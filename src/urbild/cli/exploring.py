"""`explore`: walks through the latent space of a model that decodes codes, and maps of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from urbild.cli import explored, latents, shared, verbs
from urbild.cli.command import Arguments, Command, Group, Option, Place, Result
from urbild.cli.console import Console
from urbild.cli.explored import Asked
from urbild.errors import OptionError, nearest

if TYPE_CHECKING:
    from urbild.runs import Run

SHOWN, POINTS = 8, 9
STARTS, STEPS = 4, 300
LINES = {
    "image": (".png", ".gif", ".npy", ".npz"),
    "vector": (".csv", ".npy", ".npz"),
    "other": (".npz", ".npy"),
}
SINGLE = {**LINES, "image": (".png", ".npy", ".npz")}
SEARCHED = {"image": (".png", ".csv", ".npz"), "other": (".csv", ".npz")}
MAPPED = {"other": (".png", ".csv")}


def explore(arguments: Arguments, console: Console) -> Result:
    """Finds the form that is asked for, and runs it."""
    name = arguments["form"]
    if name not in FORMS:
        msg = f"unknown form {name!r} of explore; {nearest(name, FORMS)}"
        raise OptionError(msg)
    form = FORMS[name]
    _refuse_foreign(arguments, form)
    shared.positive(arguments, "n", "points", "span", "amount", "truncation", "samples")
    run = _run(arguments)
    out = explored.target(arguments, run, form.suffixes)
    records = verbs.whole(arguments, run, console) if arguments["path"] is not None else None
    return form.run(Asked(arguments=arguments, console=console, run=run, records=records, out=out))


def _run(arguments: Arguments) -> "Run":
    """The run, if its model decodes numbers; a map takes any codes.

    Raises:
        OptionError: it has no such codes.
    """
    from urbild import runs
    from urbild.contract import Decodes, Encodes, Samples
    from urbild.exploration import continuous

    run = runs.load(arguments["dir"], device=arguments["device"])
    if arguments["form"] == "map" and isinstance(run.model, Encodes):
        return run
    if isinstance(run.model, Samples) and not isinstance(run.model, Decodes):
        name = run.name or type(run.model).__name__
        msg = f"{name} draws samples and decodes no codes, so it has no latent space to explore; "
        msg += f"urbild sample {arguments['dir']} draws from it."
        raise OptionError(msg)
    verbs.refuse_unless_able(run, "decode", arguments)
    continuous(run.model, run.name)
    return run


def _refuse_foreign(arguments: Arguments, form: "Form") -> None:
    """Refuses options that belong to other forms.

    Raises:
        OptionError: one was given.
    """
    for option in OWN.options:
        if option.name not in form.options and arguments[option.key] != option.default:
            owners = ", ".join(name for name, other in FORMS.items() if option.name in other.options)
            msg = f"--{option.name} is an option of {owners}, not of {arguments['form']}; leave it out."
            raise OptionError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of `explore`.

    Attributes:
        run: does it.
        options: the ones of `OWN` that it reads.
        suffixes: of the file, by the kind of data, the usual one first.
    """

    run: Callable[[Asked], Result]
    options: tuple[str, ...]
    suffixes: Mapping[str, tuple[str, ...]]


_DRAWN = ("n", "given", "prior", "truncation", "samples", "starts", "steps", "out")
FORMS: Mapping[str, Form] = {
    "interpolate": Form(run=latents.interpolate, options=(*_DRAWN, "points", "curve"), suffixes=LINES),
    "traverse": Form(run=latents.traverse, options=(*_DRAWN, "points", "entry", "span"), suffixes=LINES),
    "arithmetic": Form(
        run=latents.arithmetic,
        options=("n", "given", "samples", "starts", "steps", "out", "points", "plus", "minus", "on", "amount"),
        suffixes=LINES,
    ),
    "project": Form(run=latents.project, options=("n", "given", "starts", "steps", "out"), suffixes=SEARCHED),
    "map": Form(run=latents.mapped, options=("given", "samples", "starts", "steps", "out", "method"), suffixes=MAPPED),
    "sample": Form(run=latents.sample, options=_DRAWN, suffixes=SINGLE),
}
FORM = Place("form", "interpolate, traverse, arithmetic, project, map or sample")
PATH = Place("path", f"samples, where a form looks at some: {shared.DATA.doc}", required=False)
OWN = Group(
    "Latents",
    (
        Option("n", "ways, lines, searched or drawn samples", int, SHOWN, "N"),
        Option("points", "of a way or line", int, POINTS, "N"),
        Option(
            "curve",
            "interpolate: on arcs that keep the length of codes, or on lines (auto: arcs where the prior is normal)",
            Literal["auto", "spherical", "linear"],
            "auto",
        ),
        Option("entry", "traverse: of the code (default: the first ones, each in turn)", int | None, None, "N"),
        Option("span", "traverse: deviations to either side", float, 2.0, "X"),
        Option("plus", "arithmetic: the class whose mean code is added", str | None, None, "CLASS"),
        Option("minus", "arithmetic: the class whose mean code is taken away", str | None, None, "CLASS"),
        Option("on", "arithmetic: the class of the samples that are moved (default: that of --minus)", metavar="CLASS"),
        Option("amount", "arithmetic: of the difference, at the end of a line", float, 1.0, "X"),
        Option(
            "prior",
            "law of drawn codes: the model's own (auto), or a density fitted to the codes of PATH",
            Literal["auto", "gaussian", "kernel"],
            "auto",
        ),
        Option("truncation", "deviations that a normal draw does not go beyond", float | None, None, "X"),
        Option("starts", "draws that a search begins from, besides the encoder's code", int, STARTS, "N"),
        Option("steps", "of a search, where there is no encoder or for project", int, STEPS, "N"),
        Option(
            "samples",
            f"codes behind a mean, a density or a map (default: {explored.MOST}; {explored.MOST_SEARCHED} if searched)",
            int | None,
            None,
            "N",
        ),
        Option("method", "map: plane of largest variance, or neighbours", Literal["pca", "tsne"], "pca"),
        verbs.GIVEN,
        verbs.out_option(".png, .gif, .csv, .npy or .npz as the form and the data allow,"),
    ),
)
EXPLORE = Command(
    name="explore",
    summary="walk through the latent space of a model, draw from it, map it",
    about="interpolate: ways between samples, or between drawn codes. traverse: one entry of a code after the other. "
    "arithmetic: samples moved by the difference of two classes. project: the codes whose samples are nearest to given "
    "ones. map: codes in the plane. sample: drawn codes, decoded; of a model without a prior from a density that is "
    "fitted to the codes of PATH, and labelled so. A model without an encoder has the codes of samples searched.",
    places=(shared.DIRECTORY, FORM, PATH),
    groups=(OWN, shared.SCORED, shared.COMMON),
    example="urbild explore runs/vae interpolate photos/new --out ways.gif",
    run=explore,
)
