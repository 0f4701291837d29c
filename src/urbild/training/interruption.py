"""Ctrl-C and SIGTERM: the step in hand is finished, a checkpoint is written, then the run ends."""

import signal
import threading
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was broken off after its checkpoint was written; the message says where it stands."""


class Interruption:
    """Within it a signal sets `asked` instead of raising; a second Ctrl-C breaks off at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before = {}  # type: ignore[var-annotated]

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- signal's form
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def end(self, message: str) -> NoReturn:
        """Ends the run."""
        raise Interrupted(message)
