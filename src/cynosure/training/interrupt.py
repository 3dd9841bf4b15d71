"""Ctrl-C and SIGTERM as a wish to stop that is looked at between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(Exception):
    """A stop was asked for in the middle of something that can be left: see `StopRequest.check`.

    Attributes:
        signal: the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.signal = number


class StopRequest:
    """While it is entered, the first SIGINT or SIGTERM is noted instead of ending the process.

    A second one acts at once, as it would have without this: someone who presses Ctrl-C twice means it. Outside
    the main thread, where Python takes no signal handlers, nothing is changed.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self) -> None:
        """Raise `Interrupted` if a stop has been asked for."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not set from Python and cannot be set from it again.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # pyright: ignore[reportArgumentType]
        self._before = {}
