"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

from alembic import op

from oneapi.models import Base, schema

revision, down_revision, branch_labels, depends_on = ${repr(up_revision)}, ${repr(down_revision)}, None, None


def upgrade() -> None:
    """What is new in the models is added by `settle`. Anything else goes before it, and only where the old shape is found:
    a database may come here from any version, and again after a crash in the middle (MySQL has no transactions for this).
    """
    schema.settle(op.get_bind(), Base.metadata, op.get_context().opts["only"] or None)
