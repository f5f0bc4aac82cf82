"""The gunicorn worker class that serves with our handler. Apart from `server`, so that `python app.py` need not load gunicorn."""

from typing import Any

from gevent.pywsgi import _NoopLog
from gunicorn.workers.ggevent import GeventPyWSGIWorker

from oneapi import connections, lifecycle, server
from oneapi.relay.sockets import no_delay


class Server(connections.Server):
    """Ends idle connections when it is closed: gunicorn waits for the connections, not for the requests, to end."""

    def __init__(self, *args: Any, log: Any, **options: Any):
        configured = log.cfg.accesslog or log.cfg.logconfig or log.cfg.logconfig_dict or log.cfg.logconfig_json or log.cfg.syslog
        super().__init__(*args, log=log if configured else _NoopLog(), **options)

        lifecycle.at_exit(self.cut)  # also where gunicorn does not wait for requests: SIGINT and SIGQUIT

    def close(self) -> None:
        super().close()
        self.drain()


class Worker(GeventPyWSGIWorker):
    """gunicorn -k oneapi.worker.Worker"""

    server_class = Server
    wsgi_handler = server.handler_class()

    def patch(self) -> None:
        super().patch()
        server.raise_file_limit()
        for sock in self.sockets:
            no_delay(sock)
