"""The collection: categories, statistics, events, versions and models."""

from itertools import islice
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.responses import JSONResponse, Response

from segany import weights
from segany.serve._replies import card_reply, category_reply, event_reply, version_reply
from segany.serve.routes._shared import Here, Who, json_reply, new_router
from segany.store import CategoryInfo
from segany.wire import (
    CategoriesReply,
    CategoryReply,
    CategoryRequest,
    EventPage,
    FreezeRequest,
    ModelsReply,
    RunningModelReply,
    VersionReply,
    VersionsReply,
)

__all__ = ["router"]

router = new_router("collection")
_MAX_ID = 2**53 - 1
_Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$")]


@router.get("/categories")
async def categories(here: Here) -> CategoriesReply:
    """All class names, in their order."""
    found = await here.reading.run(here.store.collection.categories)
    return CategoriesReply(categories=[category_reply(each) for each in found])


@router.put("/categories/{name:path}")
async def put_category(here: Here, who: Who, name: _Name, asked: CategoryRequest) -> CategoryReply:
    """Add a class name, or change what is said of it."""
    category = CategoryInfo(name, asked.supercategory, asked.color, asked.position)
    await here.reading.run(here.store.collection.put_category, category, actor=who.name)
    return category_reply(category)


@router.delete("/categories/{name:path}", status_code=204)
async def remove_category(here: Here, who: Who, name: _Name) -> None:
    """Forget a class name that no annotation has."""
    await here.reading.run(here.store.collection.remove_category, name, actor=who.name)


@router.get("/stats", response_model=dict[str, Any])
async def stats(here: Here) -> Response:
    """Numbers of the collection."""
    found = await here.reading.run(here.store.stats)
    return JSONResponse(found.to_dict())


@router.get("/events", response_model=EventPage)
async def events(
    here: Here,
    after: Annotated[int, Query(ge=0, le=_MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    kind: Annotated[str | None, Query(max_length=100, pattern=r"^[\w.]+$")] = None,
    record: Annotated[int | None, Query(ge=1, le=_MAX_ID)] = None,
) -> Response:
    """The audit log; a kind that ends in a point means all that begin so."""

    def read() -> Response:
        listed = here.store.events.list(kind=kind, record_id=record, after=after)
        found = [event_reply(event) for event in islice(listed, limit)]
        return json_reply(EventPage(events=found, next=found[-1].id if len(found) == limit else None))

    return await here.reading.run(read)


@router.get("/versions")
async def versions(here: Here) -> VersionsReply:
    """Frozen versions, the newest first."""
    return VersionsReply(versions=[version_reply(each) for each in await here.reading.run(here.store.versions.log)])


@router.post("/versions", status_code=201)
async def freeze(here: Here, who: Who, asked: FreezeRequest) -> VersionReply:
    """Give the present content a name under which it stays as it is."""
    frozen = here.store.versions.freeze
    return version_reply(await here.reading.run(frozen, asked.name, actor=who.name, message=asked.message))


@router.get("/models")
async def models(here: Here) -> ModelsReply:
    """The model that answers, and those of the store."""
    backend = here.model().predictor.backend
    cards = await here.reading.run(here.store.models.list)
    return ModelsReply(
        current=RunningModelReply(name=backend.config.name, digest=backend.model_digest, backend=backend.key),
        cards=[card_reply(card) for card in cards],
        known=[entry.name for entry in weights.entries() if entry.kind == "model"],
    )
