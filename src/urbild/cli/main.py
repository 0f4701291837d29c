"""The program `urbild`: finds the command, runs it, and turns what a user can fix into one sentence."""

import os
import sys
from collections.abc import Mapping, Sequence

from urbild import __version__
from urbild.cli import classifying, comparing, completing, demo, evaluating, exploring, fitting, models, scoring, verbs
from urbild.cli.command import Command
from urbild.cli.console import Console, StoppedError
from urbild.errors import OptionError, UrbildError, nearest

COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        demo.DEMO,
        fitting.FIT,
        fitting.TRAIN,
        scoring.SCORE,
        fitting.RECALIBRATE,
        evaluating.EVALUATE,
        evaluating.REPORT,
        comparing.COMPARE,
        verbs.SAMPLE,
        verbs.RECONSTRUCT,
        verbs.ENCODE,
        completing.COMPLETE,
        exploring.EXPLORE,
        classifying.CLASSIFY,
        models.MODELS,
    )
}
BAD_INPUT, STOPPED, BROKEN_PIPE = 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Returns:
        0, 2 for what the user can fix, 130 after Ctrl-C, 141 when nobody reads the output any more.
    """
    line = list(sys.argv[1:] if argv is None else argv)
    console = Console(json="--json" in line, quiet="--quiet" in line)
    try:
        with console.warnings():
            code = _dispatch(line, console)
        sys.stdout.flush()
    except UrbildError as error:
        print(f"urbild: {error}", file=sys.stderr)
        return BAD_INPUT
    except StoppedError as stop:
        print(f"\nurbild: {stop}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("\nurbild: stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _dispatch(line: Sequence[str], console: Console) -> int:
    if not line or line[0] in ("-h", "--help", "help"):
        if len(line) > 1 and line[0] == "help":
            return _dispatch([line[1], "--help"], console)
        print(_overview())
        return 0
    if line[0] == "--version":
        print(f"urbild {__version__}")
        return 0
    if line[0] not in COMMANDS:
        msg = f"unknown command {line[0]!r}; {nearest(line[0], COMMANDS)}"
        raise OptionError(msg)
    from urbild.cli.parsing import parse

    command = COMMANDS[line[0]]
    try:
        arguments = parse(command, line[1:])
    except SystemExit:  # the help or the configuration was printed
        return 0
    console = Console(json=bool(arguments["json"]), quiet=bool(arguments["quiet"]))
    console.object(command.run(arguments, console))
    return 0


def _overview() -> str:
    width = max(len(command.name) for command in COMMANDS.values())
    lines = [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS.values()]
    return "\n".join(
        (
            "urbild: shows what departs from the normal samples you give it, and makes new ones like them.",
            "",
            "usage: urbild COMMAND [arguments]",
            "",
            *lines,
            "",
            "Start with `urbild demo`, or with your own data:",
            "  urbild fit PATH_OF_NORMAL_SAMPLES --out runs/first",
            "  urbild score runs/first PATH_OF_NEW_SAMPLES --heatmaps maps",
            "",
            "`urbild COMMAND --help` shows a command's arguments, `urbild models` the systems.",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
