"""Work outside the event loop that can be abandoned: daemon threads, which do not delay the exit.

asyncio's own threads are joined before a program may end, so one that reads a hung file system would hold it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_left: ContextVar[threading.Event | None] = ContextVar("left", default=None)


def is_abandoned() -> bool:
    """Return, from inside the work, whether its caller was canceled: the result will not be read."""
    left = _left.get()
    return left is not None and left.is_set()


async def in_background(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **keywords: _Arguments.kwargs
) -> _Result:
    """Run `work` in a thread and return its result; when the caller is canceled, the work is abandoned."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()
    left = threading.Event()

    def settle(result: _Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        _left.set(left)
        result, error = None, None
        try:
            result = work(*arguments, **keywords)
        except BaseException as caught:
            error = caught
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=copy_context().run, args=(run,), name="background", daemon=True).start()
    try:
        return await future
    finally:
        left.set()
