"""For whoever runs the gateway: /healthz, /readyz and /metrics, answered ahead of sessions and rate limits."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oneapi import lifecycle, proxies
from oneapi.relay.gateway import Gateway

Start = Callable[..., Any]


def mount(app: Flask, gateway: Gateway) -> None:
    app.wsgi_app = Operations(app.wsgi_app, gateway)  # type: ignore[assignment, method-assign]


class Operations:
    """WSGI: three paths, and everything else passed on."""

    def __init__(self, app: Callable[..., Iterable[bytes]], gateway: Gateway):
        self.app, self.gateway = app, gateway
        config = gateway.state.config
        self.trusted = proxies.networks(config.trusted_proxies)
        self.readers = proxies.networks(config.metrics_networks)
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(Figures(gateway))

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/healthz":
            return answer(start, "200 OK", {"status": "alive"})
        if path == "/readyz":
            return self.ready(start)
        if path == "/metrics" and self.readers:
            return self.metrics(environ, start)
        return self.app(environ, start)

    def ready(self, start: Start) -> Iterable[bytes]:
        """Whether this process should get requests: not while it drains, nor without its database, nor with a full disk."""
        ledger = self.gateway.ledger
        database, logs = self.gateway.state.databases.health()
        checks: dict[str, Any] = {"draining": lifecycle.draining(), "database": database, "journal": ledger.journal.pending}
        if ledger.blocked:
            checks["note"] = "Neither the database nor the journal can take a charge: the disk is full or not writable."
        elif database and not logs:
            checks["note"] = "The database of the logs does not answer: log rows wait in the journal."
        ready = database and not checks["draining"] and not ledger.blocked
        return answer(start, "200 OK" if ready else "503 Service Unavailable", {"ready": ready, **checks})

    def metrics(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if not proxies.is_trusted(proxies.ip_of(environ, self.trusted), self.readers):
            return answer(start, "403 Forbidden", {"error": "METRICS_NETWORKS does not name your address."})
        body = generate_latest(self.registry)
        start("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]


def answer(start: Start, status: str, body: dict[str, Any]) -> Iterable[bytes]:
    data = json.dumps(body).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data))), ("Cache-Control", "no-store")])
    return [data]


class Figures(Collector):
    """The relay's counters of this process, read when somebody looks."""

    def __init__(self, gateway: Gateway):
        self.gateway = gateway

    def collect(self) -> Iterator[Metric]:
        worker = str(os.getpid())
        answers = CounterMetricFamily(
            "oneapi_answers", "Relayed requests by kind and status.", labels=("worker", "kind", "status")
        )
        for (kind, status), number in sorted(self.gateway.answered.items()):
            answers.add_metric((worker, kind, str(status)), number)
        yield answers
        state = self.gateway.state
        for name, help, value in (
            ("oneapi_channels_enabled", "Channels that are switched on.", sum(x.enabled for x in state.snapshot.lanes.values())),
            ("oneapi_journal_pending", "1 while settlements wait in the journal.", int(self.gateway.ledger.journal.pending)),
            ("oneapi_start_time_seconds", "When this process started.", state.started_at),
        ):
            gauge = GaugeMetricFamily(name, help, labels=("worker",))
            gauge.add_metric((worker,), value)
            yield gauge
