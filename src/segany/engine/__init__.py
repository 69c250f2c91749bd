"""The data engine; so far, the one way in to a store."""

from segany.engine.workspace import open_store

__all__ = ["open_store"]
