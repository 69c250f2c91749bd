"""Alembic migrations of a store's database."""

__all__: list[str] = []
