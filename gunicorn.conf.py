"""gunicorn -c gunicorn.conf.py wsgi:app. What can be set is in the environment, as for app.py."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402  (patch first, import later)
import os  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from dotenv import load_dotenv  # noqa: E402

load_dotenv(".env")

from oneapi import lifecycle, logs, prepare, server, start  # noqa: E402
from oneapi.config import load  # noqa: E402  (`config` is the name of a setting of gunicorn)
from oneapi.db import Unfit  # noqa: E402
from oneapi.fields import Invalid  # noqa: E402

try:
    settings = load()
except Invalid as error:
    print(error, file=sys.stderr)
    sys.exit(2)
server.limit_bodies(settings.max_body_mb * 1024 * 1024)
server.limit_connections(settings)

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.oneapi_workers or settings.web_concurrency or os.cpu_count() or 1
worker_class = "oneapi.worker.Worker"
worker_connections = settings.max_connections
backlog = 2048
# The time of the arbiter, which kills workers. A worker cuts its streams EXIT_SECONDS earlier and writes their charges.
graceful_timeout = settings.graceful_timeout + lifecycle.EXIT_SECONDS
timeout = 60  # seconds without a sign of life of a worker's event loop
keepalive = 75
# Each worker opens its own database connections and state; what is imported here is shared between them all the same.
preload_app = False
proc_name = "oneapi"


def on_starting(server: Any) -> None:
    """Whatever stops a start stops it here, once and with a sentence, and not in each worker."""
    try:
        logs.init(settings)
        prepare(settings)
    except (Invalid, Unfit) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def post_fork(server: Any, worker: Any) -> None:
    """Keep the collector off what was imported, so that its pages stay shared, and give the worker its own time to end."""
    gc.freeze()
    worker.cfg.set("graceful_timeout", max(0, worker.cfg.graceful_timeout - lifecycle.EXIT_SECONDS))


def post_worker_init(worker: Any) -> None:
    start(worker.wsgi)
    lifecycle.settle_memory()


def worker_exit(server: Any, worker: Any) -> None:
    lifecycle.run_exit_callbacks()
