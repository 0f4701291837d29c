"""From words to `Arguments`, in two passes: the model's name first, then everything, with its builder's options.

jsonargparse checks every value against its annotation; the words for what went wrong are chosen here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from urbild.cli import configuration
from urbild.cli.builders import gather, options_of, wording
from urbild.cli.command import Arguments, Command, Option
from urbild.errors import OptionError, nearest

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

DEFAULT_MODEL = "autoencoder"


def parse(command: Command, line: Sequence[str]) -> Arguments:
    """Understands a command line.

    Raises:
        OptionError: an option is unknown or mistyped, a value is not what it must be, or a place is empty.
        SystemExit: the help or the configuration was asked for, and is printed.
    """
    helped = "--help" in line or "-h" in line
    places, flags = _sort(command, [word for word in line if word not in ("--help", "-h")])
    written = configuration.read(command, flags.get("config"))
    model = _model(command, places, flags, written, needed=not helped)
    known = options_of(model, command.options) if model else []
    options = {**command.options, **{entry.option.name: entry.option for entry in known}}
    if helped:
        _parser(command, options, model).print_help()
        raise SystemExit(0)
    _refuse_unknown(command, flags, options, model)
    section = configuration.section(written)
    plain = {e.option.name: e for e in known if not e.parts and len(e.path) == 1 and e.path[0] in section}
    written |= {entry.option.key: section.pop(entry.path[0]) for entry in plain.values()}
    values = _check(options, flags, written, command)
    given = {name: values[options[name].key] for name in options if name in flags or name in plain}
    chosen = gather(model, known, given, section) if model else {}
    kept = {option.key: values[option.key] for option in command.options.values()}
    arguments = Arguments(values=kept | _fill(command, places, written), options=chosen, line=tuple(line))
    if arguments.values.get("print_config"):
        configuration.show(command, arguments, model)
        raise SystemExit(0)
    return arguments


def _sort(command: Command, line: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """Splits the words into places and flags; the last of equal flags wins."""
    switches = {option.name for option in command.options.values() if option.switch}
    places: list[str] = []
    flags: dict[str, str | None] = {}
    words = list(line)
    while words:
        word = words.pop(0)
        if word == "--":
            return places + words, flags
        if not re.match(r"--?[A-Za-z]", word):
            places.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("_", "-")
        if name in switches and equals:
            msg = f"--{name} takes no value; write --{name} alone."
            raise OptionError(msg)
        takes = not equals and name not in switches and bool(words) and not re.match(r"--[A-Za-z]", words[0])
        flags[name] = value if equals else words.pop(0) if takes else None
    return places, flags


def _model(
    command: Command,
    places: Sequence[str],
    flags: Mapping[str, str | None],
    written: Mapping[str, Any],
    *,
    needed: bool,
) -> str | None:
    """The first pass: the name of the model whose options are to be understood."""
    from urbild import catalogue

    if command.model is None:
        return None
    if command.model == "option":
        name = flags.get("model", written.get("model", DEFAULT_MODEL))
    else:
        name = places[0] if places else written.get(command.places[0].name)
    if name is None and not needed:
        return None
    if name is None:
        msg = f"which model? {command.usage}; models: {', '.join(catalogue.cards())}."
        raise OptionError(msg)
    return catalogue.card(str(name)).name


def _refuse_unknown(
    command: Command, flags: Mapping[str, str | None], options: Mapping[str, Option], model: str | None
) -> None:
    for flag, value in flags.items():
        if flag not in options:
            hint = nearest(flag, options)
            close = re.sub(r"(did you mean | or )", r"\1--", hint)
            hint = close if close.startswith("did") else f"`urbild {_helper(command, model)}` lists them."
            whose = f"{command.name} with {model}" if model else command.name
            msg = f"unknown option --{flag} of {whose}; {hint}"
            raise OptionError(msg)
        if value is None and not options[flag].switch:
            msg = f"--{flag} wants a value: {wording(options[flag].kind)}."
            raise OptionError(msg)


def _helper(command: Command, model: str | None) -> str:
    extra = {None: "", "option": f" --model {model}", "place": f" {model}"}[command.model]
    return f"{command.name}{extra} --help"


def _check(
    options: Mapping[str, Option], flags: Mapping[str, str | None], written: Mapping[str, Any], command: Command
) -> dict[str, Any]:
    """The second pass: every value checked against its annotation, by key."""
    from jsonargparse import ArgumentError

    parser = _parser(command, options, None)
    by_key = {option.key: option for option in options.values()}
    config = {key: _text(value, by_key[key]) for key, value in written.items() if key in by_key}
    typed = {options[name].key: value for name, value in flags.items()}
    words = [
        f"--{name}" if value is None else f"--{name}={_list(value, options[name])}" for name, value in flags.items()
    ]
    values = config
    try:
        parser.set_defaults(**parser.parse_object(config, defaults=False).as_dict())
        values = typed
        return dict(parser.parse_args(words).as_dict())
    except ArgumentError as error:
        _reword(str(error), by_key, values, "in --config, " if values is config else "")


def _list(value: str, option: Option) -> str:
    """Lists may be typed without brackets."""
    lists = any(str(entry).startswith(("tuple", "list")) for entry in (option.kind, *get_args(option.kind)))
    return f"[{value}]" if lists and "," in value and value[0] not in "[(" else value


def _text(value: Any, option: Option) -> Any:
    """A number in a file where the option is text (a class called 7) is text."""
    texts = option.kind in (str, str | None)
    return str(value) if texts and isinstance(value, int | float) and not isinstance(value, bool) else value


def _reword(message: str, options: Mapping[str, Option], values: Mapping[str, Any], where: str) -> NoReturn:
    found = re.search(r'key "([^"]+)"', message)
    option = options.get(found.group(1)) if found else None
    if option is None:
        raise OptionError(" ".join(message.split()))
    value = values.get(option.key)
    choices = [word for entry in (option.kind, *get_args(option.kind)) for word in get_args(entry)]
    words = {word for word in (*choices, *get_args(option.kind)) if isinstance(word, str)}
    hint = f" {nearest(str(value), words)}" if words else ""
    close = hint if hint.startswith(" did") else ""
    msg = f"{where}--{option.name}: {value!r} is not {wording(option.kind)}{';' + close if close else '.'}"
    raise OptionError(msg)


def _fill(command: Command, places: Sequence[str], written: Mapping[str, Any]) -> dict[str, str | None]:
    """The positional arguments by name: those typed, then those of the configuration.

    Raises:
        OptionError: there are too many or too few.
    """
    names = [place.name for place in command.places]
    if len(places) > len(names):
        msg = f"{places[len(names)]!r} is one argument too many; {command.usage}"
        raise OptionError(msg)
    found = {name: written.get(name) for name in names} | dict(zip(names, places, strict=False))
    for place in command.places:
        if found[place.name] is None and place.required:
            msg = f"{place.name.upper()} is missing ({place.doc}); {command.usage}"
            raise OptionError(msg)
    return {name: None if value is None else str(value) for name, value in found.items()}


def _parser(command: Command, options: Mapping[str, Option], model: str | None) -> "ArgumentParser":
    from argparse import HelpFormatter

    from jsonargparse import ArgumentParser

    class Wide(HelpFormatter):
        def __init__(self, prog: str) -> None:
            super().__init__(prog, max_help_position=28)

    parser = ArgumentParser(
        prog=f"urbild {command.name}",
        usage=command.usage,
        description=command.about,
        epilog=f"Example: {command.example}",
        exit_on_error=False,
        add_help=False,
        formatter_class=Wide,
        default_env=False,
    )
    groups = [(group.title, group.options) for group in command.groups]
    own = tuple(option for name, option in options.items() if name not in command.options)
    groups.insert(command.model == "option", (f"Options of {model or 'the model'}", own))
    for title, entries in groups:
        shelf = parser.add_argument_group(title)
        for option in entries:
            _add(shelf, option)
    return parser


def _add(shelf: Any, option: Option) -> None:
    words = option.doc.replace("%", "%%")
    if option.switch and option.default is False:
        shelf.add_argument(f"--{option.name}", dest=option.key, action="store_true", help=words)
        return
    shown = "" if option.default is None or "default" in words else f" (default: {option.default})"
    shelf.add_argument(
        f"--{option.name}",
        dest=option.key,
        type=option.kind,
        default=option.default,
        metavar=option.metavar or _metavar(option.kind),
        help=words + shown,
    )


def _metavar(kind: Any) -> str:
    choices = [word for entry in (kind, *get_args(kind)) for word in get_args(entry) if isinstance(word, str)]
    choices = choices or [word for word in get_args(kind) if isinstance(word, str)]
    if choices:
        return "|".join(dict.fromkeys(choices))
    return {int: "N", int | None: "N", float: "X", float | None: "X", bool: "BOOL"}.get(kind, "VALUE")
