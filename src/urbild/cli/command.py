"""What a command is: its name, what it takes, and the function that runs it. Imports nothing heavy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from urbild.cli.console import Console

Result = Mapping[str, Any]
"""What `--json` prints: JSON data."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command.

    Attributes:
        name: as it is typed, without the dashes: "skip-bad".
        doc: one line for the help; says the default where `default` cannot.
        kind: the annotation that its value must satisfy; `bool` makes a switch without a value.
        default: value where it is not given.
        metavar: stands for the value in the help.
    """

    name: str
    doc: str
    kind: Any = str | None
    default: Any = None
    metavar: str | None = None

    @property
    def key(self) -> str:
        """Its name in a configuration file and in `Arguments`."""
        return self.name.replace("-", "_").replace(".", "__")

    @property
    def switch(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool


@dataclass(frozen=True, slots=True)
class Group:
    """Options that the help shows together."""

    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A positional argument."""

    name: str
    doc: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """A command line that was understood.

    Attributes:
        values: by key, the positional arguments included.
        options: of the model's builder, only those that were given.
        line: the words as they were typed, without the program's name: what a user types again to go on.
    """

    values: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    line: Sequence[str] = ()

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: what is typed.
        summary: one line, for the list of commands.
        about: what its own help says above the options.
        places: positional arguments, in order.
        groups: options.
        model: where the name of a model stands whose builder's options are options of the command too.
        example: one line that works.
        run: does it; the result is what `--json` prints.
    """

    name: str
    summary: str
    about: str
    places: tuple[Place, ...]
    groups: tuple[Group, ...]
    run: "Callable[[Arguments, Console], Result]"
    example: str
    model: Literal["option", "place"] | None = None

    @property
    def options(self) -> Mapping[str, Option]:
        """All options by name."""
        return {option.name: option for group in self.groups for option in group.options}

    @property
    def usage(self) -> str:
        """The first line of its help."""
        places = [place.name.upper() if place.required else f"[{place.name.upper()}]" for place in self.places]
        return " ".join(["urbild", self.name, *places, "[options]"])
