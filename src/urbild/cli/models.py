"""`models`: the catalogue, and what one system takes."""

from typing import Any

from urbild.cli.command import Arguments, Command, Group, Place, Result
from urbild.cli.console import Console, table
from urbild.cli.shared import COMMON


def models(arguments: Arguments, console: Console) -> Result:
    """Shows all systems, or one."""
    from urbild import catalogue

    if arguments["name"] is not None:
        return _one(catalogue.card(arguments["name"]), console)
    shown = table("", "model", "what it is", "data", "can")
    for card in catalogue.cards().values():
        shown.add_row(card.name, card.title, ", ".join(card.kinds), ", ".join(card.verbs))
    console.table(shown)
    console.note("`urbild models NAME` shows a system's options; those that can `anomaly` can be fitted as detectors.")
    return {"models": [_card(card) for card in catalogue.cards().values()]}


def _one(card: Any, console: Console) -> Result:
    from urbild import catalogue
    from urbild.cli.builders import options_of, wording

    options = options_of(card.name, {})
    console.result(f"{card.name}: {card.title}")
    console.result(f"  paper   {card.paper}\n          {card.url}")
    console.result(f"  data    {', '.join(card.kinds)}\n  can     {', '.join(card.verbs)}")
    budget = f"{card.epochs} epochs, batch {card.batch}" if card.epochs else "solved in closed form, no epochs"
    console.result(f"  recipe  {budget}")
    shown = table("", "option", "takes", "default", "what it does")
    for entry in options:
        option = entry.option
        default = "" if option.default is None else str(option.default)
        shown.add_row(f"--{option.name}", wording(option.kind), default, option.doc)
    console.table(shown)
    defaults = {p.name: p.default for p in catalogue.parameters(card.name).values() if p.default is not p.empty}
    return {**_card(card), "options": catalogue.encode_options(defaults)}


def _card(card: Any) -> dict[str, Any]:
    keys = ("name", "title", "family", "paper", "url", "kinds", "verbs", "epochs", "batch")
    return {key: getattr(card, key) for key in keys}


MODELS = Command(
    name="models",
    summary="list the systems; a system's card and options",
    about="Lists the systems of the catalogue, or shows one with its options.",
    places=(Place("name", "of a system", required=False),),
    groups=(Group("Everywhere", tuple(o for o in COMMON.options if o.name in ("json", "quiet"))),),
    example="urbild models vae",
    run=models,
)
