"""gunicorn -c gunicorn.conf.py wsgi:app. What can be set is in the environment, as for app.py."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402  (patch first, import later)
import os  # noqa: E402
from typing import Any  # noqa: E402

from dotenv import load_dotenv  # noqa: E402

load_dotenv(".env")

from oneapi import lifecycle, server, start  # noqa: E402
from oneapi.config import load  # noqa: E402  (`config` is the name of a setting of gunicorn)

settings = load()
server.limit_bodies(settings.max_body_mb * 1024 * 1024)

bind = f"{settings.host}:{settings.port}"
workers = int(os.environ.get("ONEAPI_WORKERS") or os.environ.get("WEB_CONCURRENCY") or os.cpu_count() or 1)
worker_class = "oneapi.worker.Worker"
worker_connections = 10_000
backlog = 2048
graceful_timeout = settings.graceful_timeout
timeout = 60  # seconds without a sign of life of a worker's event loop
keepalive = 75
# Each worker opens its own database connections and state; what is imported here is shared between them all the same.
preload_app = False
proc_name = "oneapi"


def post_fork(server: Any, worker: Any) -> None:
    """Keep the collector off what was imported, so that its pages stay shared."""
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    start(worker.wsgi)
    gc.collect()
    gc.freeze()


def worker_exit(server: Any, worker: Any) -> None:
    lifecycle.run_exit_callbacks()
