"""Users remember which of their sessions signed out.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from oneapi.models import Base, schema

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None

TABLES = ("users",)


def upgrade() -> None:
    if not op.get_context().opts["only"]:  # a database of logs alone has no users
        schema.settle(op.get_bind(), Base.metadata, TABLES)
