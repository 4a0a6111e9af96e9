"""A limit in time for calls that have none of their own: name lookups, a file system that hangs."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Begun(Generic[Result]):
    """Work under way in a thread of its own.

    What does not end is left to die with the process; it must hold nothing that others wait for.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, limit_s: float) -> Result:
        """What the work gave, or what it raised; TimeoutError when it is not done within `limit_s` from now.

        An infinite limit waits for ever.
        """
        self._thread.join(min(max(limit_s, 0.0), threading.TIMEOUT_MAX))
        if self._errors:
            raise self._errors[0]
        if not self._results:
            raise TimeoutError(f"not done within {limit_s:.0f} s")
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 (handed to whoever asks for the result, in another thread)
            self._errors.append(error)


def within(limit_s: float, work: Callable[[], Result]) -> Result:
    """Call `work` and give its result, or raise its exception; TimeoutError when it takes longer."""
    return Begun(work).result(limit_s)
