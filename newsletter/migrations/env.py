"""Alembic's entry point: runs on the connection that `newsletter.db.migrate` hands over, in one transaction."""

from alembic import context
from sqlmodel import SQLModel

import newsletter.models  # noqa: F401 -- fills the metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    if connection.dialect.name == "postgresql":  # two machines that start at once migrate one after the other
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7365273645)")
    context.run_migrations()
connection.commit()
