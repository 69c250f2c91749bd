"""How Alembic runs the migrations: on the connection, and in the transaction, that it is given."""

from alembic import context

from segany.store.models import Base

__all__: list[str] = []

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    # SQLite changes a table only by making it anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
