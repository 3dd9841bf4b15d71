"""Computing with one thread where a second one would gain nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, and give it back the others afterwards.

    A few molecules are too little work to share: a second thread gains nothing, and where another program wants
    the core, each operation waits until the second thread is let run.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
