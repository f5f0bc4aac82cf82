"""Users are found by their e-mail address without regard to case and blanks, and have it in one spelling.

Revision ID: 0004
Revises: 0003
"""

from alembic import op
from sqlalchemy.orm import Session

from oneapi.models import Base, account, schema

revision, down_revision, branch_labels, depends_on = "0004", "0003", None, None

TABLES = ("users",)


def upgrade() -> None:
    if op.get_context().opts["only"]:  # a database of logs alone has no users
        return
    schema.settle(op.get_bind(), Base.metadata, TABLES)
    with Session(op.get_bind(), join_transaction_mode="rollback_only") as session:
        account.spell_emails(session)
