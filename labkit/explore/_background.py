"""Work beside the kernel's main thread: one thread a topic, where newer work makes older work void."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

_PATIENCE = 20.0  # seconds that the interpreter's exit waits for: the longest stretch without a look at ``current``
_all: "weakref.WeakSet[Background]" = weakref.WeakSet()


class Background:
    """Starts work in daemon threads and knows which of it still matters."""

    def __init__(self, report: Callable[[Exception], None]):
        self._report = report
        self._tickets: dict[Any, int] = {}
        self._running: dict[threading.Thread, Callable[[], None]] = {}
        self._lock = threading.Lock()
        _all.add(self)

    def start(
        self, topic: Any, work: Callable[[Callable[[], bool]], None], stop: Callable[[], None] = lambda: None
    ) -> None:
        """Run ``work(current)``; ``current()`` turns False when newer work on the same topic has started.

        ``stop``: ends what the work waits for, when the interpreter exits.
        """
        ticket = self.cancel(topic)

        def current() -> bool:
            return self._tickets.get(topic) == ticket

        def run() -> None:
            try:
                work(current)
            except Exception as error:  # a thread has nobody above it: the reader of the widget is told instead
                if current():
                    self._report(error)
            finally:
                with self._lock:
                    self._running.pop(thread, None)

        thread = threading.Thread(target=run, daemon=True, name=f"explorer {topic}")
        with self._lock:
            self._running[thread] = stop
        thread.start()

    def cancel(self, topic: Any) -> int:
        """Make what runs on ``topic`` void; returns the new ticket."""
        with self._lock:
            self._tickets[topic] = self._tickets.get(topic, 0) + 1
            return self._tickets[topic]

    def close(self) -> None:
        """Make all work void and stop what can be stopped; ``wait`` then takes no longer than one block of work."""
        with self._lock:
            topics, stops = list(self._tickets), list(self._running.values())
        for topic in topics:
            self.cancel(topic)
        for stop in stops:
            stop()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing runs; False when ``seconds`` were not enough."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            with self._lock:
                thread = next(iter(self._running), None)
            if thread is None:
                return True
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            thread.join(left)


@atexit.register
def _close_all() -> None:
    """A thread that computes while the interpreter is taken down takes the process with it (exit status 134)."""
    every = list(_all)
    for each in every:
        each.close()
    end = time.monotonic() + _PATIENCE
    for each in every:
        each.wait(max(0.0, end - time.monotonic()))
