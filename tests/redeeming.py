"""A process of its own that tries to redeem one code many times at once, as soon as it is told to."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  (patch first, import later)
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from flask import Flask  # noqa: E402

from oneapi import config  # noqa: E402
from oneapi.actions import Actor, topups  # noqa: E402
from oneapi.db import Databases  # noqa: E402
from oneapi.messages import Refused  # noqa: E402
from oneapi.state import State  # noqa: E402


def main(asked: dict[str, Any]) -> None:
    """Says "ready", waits for the file `go`, says "trying" when all tries have begun, and prints what became of each.

    With it stands when the try began and ended.
    """
    settings = config.load(asked["environ"])
    state = State(settings, Databases(settings, Flask("redeeming", instance_path=settings.instance_path)))
    state.refresh(force=True)

    def attempt(user_id: int) -> tuple[str, float, float]:
        began = time.monotonic()
        try:
            outcome = str(topups.redeem(state, Actor(user_id, f"user {user_id}"), asked["key"]))
        except Refused as refused:
            outcome = refused.code
        return outcome, began, time.monotonic()

    print("ready", flush=True)
    while not Path(asked["go"]).exists():
        time.sleep(0.002)
    tries = [gevent.spawn(attempt, id) for id in asked["users"]]
    gevent.sleep(0)  # now all have begun
    print("trying", flush=True)
    gevent.joinall(tries, raise_error=True)
    print(json.dumps([each.value for each in tries]), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
