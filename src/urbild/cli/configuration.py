"""YAML in and out: what `--print-config` prints, `--config` reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from urbild.cli.command import Arguments, Command
from urbild.errors import OptionError, nearest

UNWRITTEN = ("config", "print_config", "json", "quiet", "resume")


def read(command: Command, name: str | None) -> dict[str, Any]:
    """The content of a configuration file by key; nothing without a file.

    Raises:
        OptionError: it cannot be read, or a key is unknown.
    """
    if name is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"--config: {name} cannot be read ({error.strerror})."
        raise OptionError(msg) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"--config: {name} is not YAML: {' '.join(str(error).split())}"
        raise OptionError(msg) from None
    if not isinstance(found, dict):
        msg = f"--config: {name} holds no options; it wants lines such as 'seed: 1', as --print-config writes them."
        raise OptionError(msg)
    written = {str(key).replace("-", "_"): value for key, value in found.items()}
    known = {option.key for option in command.options.values()} | {place.name for place in command.places}
    known |= {"options"} if command.model else set()
    for key in written:
        if key not in known:
            hint = nearest(key, known)
            hint = hint if hint.startswith("did") else "--print-config shows all keys."
            own = " The model's own options stand below 'options:'." if command.model else ""
            msg = f"--config: {name} has an unknown key {key!r}; {hint}{own}"
            raise OptionError(msg)
    return written


def section(written: Mapping[str, Any]) -> dict[str, Any]:
    """The model's own options in a configuration.

    Raises:
        OptionError: they are not a mapping.
    """
    found = written.get("options") or {}
    if not isinstance(found, Mapping):
        msg = f"--config: 'options' holds {found!r}; it wants the model's options, one a line below it."
        raise OptionError(msg)
    return dict(found)


def show(command: Command, arguments: Arguments, model: str | None) -> None:
    """Prints the options of a run, the model's defaults included, so that a later release repeats it."""
    import yaml

    from urbild import catalogue

    shown = {key: _plain(value) for key, value in arguments.values.items() if key not in UNWRITTEN}
    places = {place.name: shown.pop(place.name) for place in command.places}
    content = {**places, **shown}
    if model:
        defaults = {p.name: p.default for p in catalogue.parameters(model).values() if p.default is not p.empty}
        content["options"] = _plain(catalogue.encode_options({**defaults, **arguments.options}))
    print(yaml.safe_dump(content, sort_keys=False), end="")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value
