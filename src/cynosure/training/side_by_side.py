"""One function on several things at once, each on its share of the threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier
from typing import TypeVar

import torch

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class SideBySide:
    """Calls of one function with different arguments, at once where torch has more than one thread.

    Each call has torch's threads divided by the number of calls at once, so that together they are as many as before.
    What is not divided among threads, much of a step of training, then no longer leaves all but one of them idle.

    Args:
        most: calls that there is work for at once; 1 makes them in turn, on all threads.
    """

    def __init__(self, most: int) -> None:
        threads = torch.get_num_threads()
        workers = min(most, threads)
        self._pool: ThreadPoolExecutor | None = None
        if workers < 2:
            return
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="cynosure-member")
        # torch keeps the number for each thread and once more for threads to come, which is put back.
        ready = Barrier(workers)
        list(self._pool.map(lambda share: _limit_threads(share, ready), [threads // workers] * workers))
        torch.set_num_threads(threads)

    def map(self, function: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
        """Results in the order of their arguments; the first error of a call is raised when all have ended."""
        if self._pool is None:
            return [function(thing) for thing in things]
        futures = [self._pool.submit(function, thing) for thing in things]
        wait(futures)
        return [future.result() for future in futures]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _limit_threads(threads: int, ready: Barrier) -> None:
    """Let this thread compute with so many, once all have been started (so each gets one such call)."""
    ready.wait()
    # (A thread's first question for the number sets it to that of threads to come.)
    torch.get_num_threads()
    torch.set_num_threads(threads)
