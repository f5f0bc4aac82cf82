"""Run blocking database work in a native thread and stay with it to the end."""

from collections.abc import Callable
from typing import Any

from gevent.threadpool import ThreadPool


def run(pool: ThreadPool, function: Callable[..., Any], *args: Any) -> Any:
    """What `function` returns or raises. A greenlet that is killed meanwhile waits for the thread all the same:

    whoever cleans up after it would otherwise touch a connection that the thread still works with, and crash the process.
    """
    running = pool.spawn(_outcome, function, args)
    try:
        result, error = running.get()
    except BaseException:
        while not running.ready():
            _wait(running)
        raise
    if error is not None:
        raise error
    return result


def _wait(running: Any) -> None:
    try:
        running.wait()
    except BaseException:  # killed once more; the first reason is the one that counts
        return


def _outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Exception | None]:
    """What came of a call. gevent prints every exception of its threads, and a broken constraint is an everyday one."""
    try:
        return function(*args), None
    except Exception as error:
        return None, error
