"""Alembic's environment: one connection, one transaction for each revision, SQLite's DDL included."""

from __future__ import annotations

from alembic import context
from sqlalchemy.engine import make_url

from orchestration.state.engine import open_engine
from orchestration.state.schema import metadata


def migrate() -> None:
    """Run what the command asked for, on the database that `sqlalchemy.url` names."""
    engine = open_engine(make_url(context.config.attributes["url"]))
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transactional_ddl=True,
            transaction_per_migration=True,
            render_as_batch=True,
        )
        with context.begin_transaction():
            context.run_migrations()


migrate()
