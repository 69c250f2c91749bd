"""`segany cache`: what is kept to save time, and how to be rid of it."""

import json
from dataclasses import asdict

import typer

from segany.cli._options import JsonOption

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at the cache of image embeddings, or empty it.")


@app.command()
def info(as_json: JsonOption = False) -> int:
    """Say where the cache is, how much it holds and how much it may hold."""
    from segany.predict.cache import EmbeddingCache

    found = EmbeddingCache.default().info()
    if as_json:
        print(json.dumps(asdict(found) | {"folder": str(found.folder)}))
    else:
        used, limit = found.used_bytes / 2**20, found.max_bytes / 2**20
        print(f"{found.folder}: {found.files} embeddings, {used:,.1f} of {limit:,.0f} MiB")
    return 0


@app.command()
def clear(as_json: JsonOption = False) -> int:
    """Remove every embedding; each is made again when it is next needed."""
    from segany.predict.cache import EmbeddingCache

    removed = EmbeddingCache.default().clear()
    if as_json:
        print(json.dumps({"folder": str(removed.folder), "removed": removed.files, "bytes": removed.used_bytes}))
    else:
        print(f"removed {removed.files} embeddings, {removed.used_bytes / 2**20:,.1f} MiB, from {removed.folder}")
    return 0
