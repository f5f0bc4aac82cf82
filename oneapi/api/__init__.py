"""JSON for programs: the management API under /api, one module per resource."""

from flask import Flask


def init(app: Flask) -> None:
    """Register every resource."""
