"""Roll-ups count failed requests.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from oneapi.models import Base, schema

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None

TABLES = ("usage_hours",)


def upgrade() -> None:
    if not op.get_context().opts["only"]:  # a database of logs alone has no roll-ups
        schema.settle(op.get_bind(), Base.metadata, TABLES)
