"""The tables of the Go project: adopted where they are, created where they are not.

Revision ID: 0000
Revises:
"""

from alembic import op

from oneapi.models import Base, schema

revision, down_revision, branch_labels, depends_on = "0000", None, None, None

TABLES = ("users", "tokens", "channels", "abilities", "redemptions", "options", "logs")


def upgrade() -> None:
    connection, only = op.get_bind(), op.get_context().opts["only"]
    schema.drop_unfit_index(connection)
    schema.settle(connection, Base.metadata, only or TABLES)
