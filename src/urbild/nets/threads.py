"""Threads, where products are too small to be shared among them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 1 << 18  # multiplications of a product that is done before a second thread has woken: some 20 microseconds


@contextmanager
def one_thread(*, where: bool = True) -> Iterator[None]:
    """What torch computes inside takes one thread, `where` that is wanted.

    Waiting for other threads costs more than small products do, and many times more on a busy machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if where else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
