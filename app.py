"""Serve One API: python app.py [--port 3000] [--log-dir ./logs] [--version] [--help]."""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  (patch first, import later)
import os  # noqa: E402
import sys  # noqa: E402

from dotenv import load_dotenv  # noqa: E402

from oneapi import config, create_app, lifecycle, logs, server, start  # noqa: E402
from oneapi.db import Unfit  # noqa: E402
from oneapi.fields import Invalid  # noqa: E402


def main() -> None:
    load_dotenv(".env")
    parser = argparse.ArgumentParser(description="One API: one address in front of every LLM vendor.")
    parser.add_argument("--port", "-port", help="port to listen on (default 3000; the variable PORT beats it)")
    parser.add_argument("--log-dir", "-log-dir", help="folder of the log files (default ./logs)")
    parser.add_argument("--version", action="version", version=config.VERSION)
    flags = parser.parse_args()
    if flags.port is not None and not os.environ.get("PORT"):
        os.environ["PORT"] = flags.port
    if flags.log_dir is not None:
        os.environ["LOG_DIR"] = flags.log_dir
    try:
        settings = config.load()
        logs.init(settings)
        server.limit_bodies(settings.max_body_mb * 2**20)
        server.limit_connections(settings)
        app = create_app(settings)
        sock = server.listen(settings.host, settings.port)
    except (Invalid, Unfit) as error:
        print(str(error), file=sys.stderr)
        sys.exit(2)
    start(app)
    lifecycle.settle_memory()
    print(f"One API {config.VERSION} serves on http://localhost:{settings.port}", file=sys.stderr)
    server.serve(app, sock, grace_seconds=settings.graceful_timeout, connections=settings.max_connections)


if __name__ == "__main__":
    main()
