"""Work beside the kernel's main thread: one thread a topic, where newer work makes older work void."""

import threading
import time
from collections.abc import Callable
from typing import Any


class Background:
    """Starts work in daemon threads and knows which of it still matters."""

    def __init__(self, report: Callable[[Exception], None]):
        self._report = report
        self._tickets: dict[Any, int] = {}
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def start(self, topic: Any, work: Callable[[Callable[[], bool]], None]) -> None:
        """Run ``work(current)``; ``current()`` turns False when newer work on the same topic has started."""
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
                    self._running.discard(thread)

        thread = threading.Thread(target=run, daemon=True, name=f"explorer {topic}")
        with self._lock:
            self._running.add(thread)
        thread.start()

    def cancel(self, topic: Any) -> int:
        """Make what runs on ``topic`` void; returns the new ticket."""
        with self._lock:
            self._tickets[topic] = self._tickets.get(topic, 0) + 1
            return self._tickets[topic]

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
