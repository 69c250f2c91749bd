"""create_app: routes, guard and page put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from segany.predict import Predictor
from segany.serve._failures import add_handlers
from segany.serve._guard import Guard
from segany.serve._page import add_page
from segany.serve.access import PREFIX
from segany.serve.routes import ROUTERS
from segany.serve.services import Services
from segany.serve.settings import ServeSettings
from segany.store import Store

__all__ = ["create_app"]

_ABOUT = """
Images, prompts, masks, review and export over one store. Coordinates are pixels of the original image, boxes XYXY
half-open, masks COCO's compressed run lengths. Programs send `Authorization: Bearer` with a token; pages a cookie, and
the header `X-CSRF-Token` with every change. 429 and 503 come with `Retry-After`.
"""


def create_app(store: Store, settings: ServeSettings | None = None, *, predictor: Predictor | None = None) -> FastAPI:
    """The server as an ASGI application; it opens nothing and listens to nothing by itself.

    Args:
        store: An open store; closed by whoever opened it, after the application has ended.
        settings: Of the server; the defaults when left out.
        predictor: Use this one instead of loading the settings' model.

    Raises:
        ConfigError: Others than this machine could ask, and the store has no users.
    """
    settings = settings or ServeSettings()
    services = Services(store, settings, predictor=predictor)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        try:
            yield
        finally:
            await services.stop()

    app = FastAPI(
        title="segany",
        version=version("segany"),
        description=_ABOUT.strip(),
        openapi_url=f"{PREFIX}/openapi.json",
        # Their pages load scripts from elsewhere, which the content security policy forbids.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: f"{route.tags[0] if route.tags else 'root'}_{route.name}",
    )
    app.state.services = services
    for router in ROUTERS:
        # One flat list, so that what the rules are about can be read off it.
        app.router.routes.extend(router.routes)
    add_page(app)
    add_handlers(app)
    app.add_middleware(
        Guard,
        settings=settings,
        identify=services.accounts.identify,
        csrf_secret=services.accounts.csrf_secret,
        metrics=services.metrics,
    )
    return app
