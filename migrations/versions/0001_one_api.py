"""What One API adds: the ledger, leases, versions, jobs, roll-ups, audits, codes, and columns of the old tables.

Revision ID: 0001
Revises: 0000
"""

from alembic import op

from oneapi.models import Base, schema

revision, down_revision, branch_labels, depends_on = "0001", "0000", None, None


def upgrade() -> None:
    schema.settle(op.get_bind(), Base.metadata, op.get_context().opts["only"] or None)
