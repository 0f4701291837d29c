"""A builder's keyword arguments as options.

A part (a frozen dataclass) is chosen by its name, its fields by a dot: `--likelihood Gaussian --likelihood.scale 0.1`.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter
from types import NoneType
from typing import Any, get_args, get_type_hints

from urbild import catalogue
from urbild.cli.command import Option
from urbild.errors import OptionError, nearest


@dataclass(frozen=True, slots=True)
class BuilderOption:
    """One option of a system, as the command line sees it.

    Attributes:
        option: with the name that is typed: "latent", "likelihood", "likelihood.scale".
        path: the builder's argument, and the part's field below it.
        parts: the parts to choose from, by name, where the option is a choice of part.
    """

    option: Option
    path: tuple[str, ...]
    parts: Mapping[str, type]


def options_of(name: str, taken: Mapping[str, Option]) -> list[BuilderOption]:
    """The options of a system, but for those whose name is `taken` by the command itself."""
    docs = documented(catalogue.builder(name))
    found: list[BuilderOption] = []
    for parameter in catalogue.parameters(name).values():
        typed = parameter.name.replace("_", "-")
        if typed not in taken:
            found += _expand(typed, parameter, docs.get(parameter.name, ""))
    return found


def _expand(typed: str, parameter: Parameter, doc: str) -> Iterator[BuilderOption]:
    parts = parts_of(parameter.annotation)
    default = None if parameter.default is Parameter.empty else parameter.default
    if not parts:
        yield BuilderOption(Option(typed, doc, parameter.annotation, default), (parameter.name,), {})
        return
    shown = type(default).__name__ if is_dataclass(default) else default
    yield BuilderOption(Option(typed, f"{doc}; one of {', '.join(parts)}", str | None, shown), (parameter.name,), parts)
    for field, (annotation, value, text, owners) in _fields(parts).items():
        line = f"{text} (of {' and '.join(owners)}; default {value})"
        option = Option(f"{typed}.{field.replace('_', '-')}", line, annotation | None, None)
        yield BuilderOption(option, (parameter.name, field), {})


def _fields(parts: Mapping[str, type]) -> dict[str, tuple[Any, Any, str, list[str]]]:
    """Fields of all parts by name: annotation, default, doc, and the parts that have it. Nested parts are for YAML."""
    found: dict[str, tuple[Any, Any, str, list[str]]] = {}
    for name, part in parts.items():
        hints, docs = get_type_hints(part), documented(part)
        for field in fields(part):
            if not field.init or parts_of(hints[field.name]):
                continue
            value = "none" if field.default is MISSING else field.default
            entry = found.setdefault(field.name, (hints[field.name], value, docs.get(field.name, ""), []))
            entry[-1].append(name)
    return found


def parts_of(annotation: Any) -> dict[str, type]:
    """The concrete dataclasses that an annotation admits, by name, subclasses included."""
    found: dict[str, type] = {}
    if isinstance(annotation, type) and annotation.__module__ != "builtins":
        if is_dataclass(annotation) and not inspect.isabstract(annotation):
            found[annotation.__name__] = annotation
        below: type
        for below in annotation.__subclasses__():
            found |= parts_of(below)
    for entry in get_args(annotation):
        found |= parts_of(entry)
    return found


def documented(thing: Any) -> dict[str, str]:
    """What a docstring says of arguments or attributes, by name, each on one line."""
    from docstring_parser import DocstringStyle, parse

    text = inspect.getdoc(thing) or ""
    found = parse(text, DocstringStyle.GOOGLE).params
    return {entry.arg_name: " ".join((entry.description or "").split()).rstrip(".") for entry in found}


def gather(
    name: str, known: list[BuilderOption], given: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    """The builder's keyword arguments.

    Args:
        name: of the system.
        known: its options.
        given: values from the command line, by typed name, only those that were typed.
        written: the section `options` of a configuration file.

    Raises:
        OptionError: an option, a part or a part's field is unknown.
    """
    annotations = catalogue.parameters(name)
    merged: dict[str, Any] = {key.replace("-", "_"): value for key, value in written.items()}
    for entry in known:
        if entry.option.name not in given:
            continue
        value = given[entry.option.name]
        if entry.parts:
            merged[entry.path[0]] = _named(entry, value)
        elif len(entry.path) == 2:
            _set_field(name, merged, entry, value)
        else:
            merged[entry.path[0]] = value
    unknown = [key for key in merged if key not in annotations]
    if unknown:
        msg = f"{name} has no option {unknown[0]!r}; {nearest(unknown[0], annotations)}"
        raise OptionError(msg)
    return {key: catalogue.decode_value(value, annotations[key].annotation) for key, value in merged.items()}


def _named(entry: BuilderOption, value: Any) -> Any:
    """The part that a word names; capitals do not matter."""
    same = {part.lower(): part for part in entry.parts}
    if value is None or isinstance(value, Mapping):
        return value
    if str(value).lower() not in same:
        msg = f"--{entry.option.name}: there is no {value!r}; {nearest(str(value), entry.parts)}"
        raise OptionError(msg)
    return {"part": same[str(value).lower()]}


def _set_field(name: str, merged: dict[str, Any], entry: BuilderOption, value: Any) -> None:
    argument, field = entry.path
    parameter = catalogue.parameters(name)[argument]
    part = merged.get(argument)
    if part is None:
        if parameter.default is None or parameter.default is Parameter.empty or not is_dataclass(parameter.default):
            typed = entry.option.name.rpartition(".")[0]
            known = ", ".join(parts_of(parameter.annotation))
            msg = f"--{entry.option.name} needs --{typed} as well, to say of which part: {known}."
            raise OptionError(msg)
        part = catalogue.encode_options({argument: parameter.default})[argument]
    having = {f.name for f in fields(parts_of(parameter.annotation)[part["part"]]) if f.init}
    if field not in having:
        own = ", ".join(sorted(having)) or "no options"
        msg = f"--{entry.option.name}: {part['part']} has no {field!r}; it has {own}."
        raise OptionError(msg)
    merged[argument] = {**part, field: value}


def wording(annotation: Any) -> str:
    """An annotation in a user's words: 'a whole number', 'one of max, mean'."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    entries = [entry for entry in get_args(annotation) if entry is not NoneType and entry is not Ellipsis]
    if entries and all(isinstance(entry, str) for entry in entries):
        return f"one of {', '.join(entries)}"
    if isinstance(annotation, type) or not entries or str(annotation).startswith(("tuple", "list", "collections")):
        return "a list such as [1,2]" if entries else "a value"
    return " or ".join(dict.fromkeys(wording(entry) for entry in entries))


_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}
