"""open_store: the only place that opens a store, so that no path into it goes round the ingest steps."""

import os
from collections.abc import Mapping

from segany.store import IngestStep, Store

__all__ = ["ingest_steps", "open_store"]


def ingest_steps() -> Mapping[str, IngestStep]:
    """Every ingest step that this installation has, by the name that policies use; there is none yet."""
    return {}


def open_store(location: str | os.PathLike[str]) -> Store:
    """Open a store with the ingest steps that its policy may name.

    Args:
        location: A folder, or postgresql://USER:PASSWORD@HOST/DATABASE.

    Raises:
        StoreError: There is no store, it is from a newer version, or its server does not answer.
    """
    return Store(location, steps=ingest_steps())
