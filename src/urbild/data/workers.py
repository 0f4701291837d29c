"""A map over items in worker processes whose results come in the order of the items, whatever the number of workers."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import current_process
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from urbild.errors import OptionError, UrbildError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORTH = 64
_MOST = 8


class _Work(Dataset[Any], Generic[Item, Result]):
    def __init__(self, work: Callable[[Item], Result]) -> None:
        self._work = work

    def __getitem__(self, item: Any) -> Any:
        try:
            return self._work(item)
        except UrbildError as error:
            # Raised here it would arrive wrapped in a traceback: it travels as a value.
            return error


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yields `work(item)` for each item, in order, computed in `workers` processes (0: in this one).

    Raises:
        UrbildError: what `work` raised, at its place in the order.
    """
    if workers == 0:
        yield from map(work, items)
        return
    with warnings.catch_warnings():
        # The workers only decode: they never meet the threads of this process, nor more cores than asked for.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*")
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader = DataLoader(
            _Work(work),
            batch_size=None,
            sampler=items,
            num_workers=workers,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
            worker_init_fn=_leave_interrupts,
            multiprocessing_context="fork" if sys.platform == "linux" else None,
        )
        results = iter(loader)
    for result in results:
        if isinstance(result, UrbildError):
            raise result
        yield result


def choose_workers(wanted: int | None, items: int) -> int:
    """Workers for a number of items to decode: as wanted, else the cores, and none where starting them costs more.

    Where processes cannot be forked (Windows, macOS) none are started unless wanted, because a script without a main
    guard would then be run again in each of them; nor in a process that may not have any.

    Raises:
        OptionError: a negative number is wanted.
    """
    if wanted is not None:
        if wanted < 0:
            msg = f"workers={wanted} is out of range; give 0 or more."
            raise OptionError(msg)
        return wanted
    if items < _WORTH or sys.platform != "linux" or current_process().daemon:
        return 0
    return min(_MOST, len(os.sched_getaffinity(0)))


def _as_it_is(result: Any) -> Any:
    return result


def _leave_interrupts(worker: int) -> None:  # noqa: ARG001 -- the signature that torch calls
    # Ctrl-C reaches all processes of a terminal; the parent decides what to do, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
