"""Blocking work in a thread is never left alone with what it works on."""

import time

import gevent
import pytest
from gevent.threadpool import ThreadPool

from oneapi.models import threads


def test_a_killed_greenlet_waits_for_its_thread() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.2)
        done.append("thread")

    pool = ThreadPool(1)
    waiting = gevent.spawn(threads.run, pool, work)
    gevent.sleep(0.05)
    waiting.kill()
    done.append("killed")
    assert done == ["thread", "killed"]
    pool.kill()


def test_what_the_thread_raises_comes_back() -> None:
    pool = ThreadPool(1)
    with pytest.raises(ZeroDivisionError):
        threads.run(pool, lambda: 1 / 0)
    pool.kill()
