"""How `flask db …` reaches the database. The application itself upgrades through oneapi/migrate.py."""

from alembic import context
from flask import current_app

from oneapi import migrate
from oneapi.models import Base

engine = current_app.extensions["migrate"].db.engine

with migrate.alone(engine) as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, only=())
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
