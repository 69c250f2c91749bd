"""The routes, by what they are about."""

from segany.serve.routes import (
    accounts,
    collection,
    decoder,
    embeddings,
    engine,
    everything,
    exports,
    health,
    images,
    jobs,
    names,
    prompts,
    records,
)

__all__ = ["ROUTERS"]

ROUTERS = (
    accounts.router,
    records.router,
    images.router,
    embeddings.router,
    decoder.router,
    prompts.router,
    names.router,
    everything.router,
    collection.router,
    engine.router,
    jobs.router,
    exports.router,
    health.router,
)
"""In the order in which the schema lists them."""
