"""Uploads, pictures and thumbnails."""

import hashlib
from typing import Annotated

from fastapi import File, Query, Request, UploadFile
from starlette.responses import Response

from segany.errors import ConfigError
from segany.serve._pictures import Picture, picture, thumbnail
from segany.serve._uploads import take_upload
from segany.serve.routes._shared import Here, Record, Who, json_reply, new_router
from segany.wire import UploadedRecord, UploadProblem, UploadReply

__all__ = ["router"]

router = new_router("images")
_MOST_FILES = 32
# The browser asks again, and is told that nothing changed: a removed record's picture is not shown for long.
_CACHE = "private, max-age=300"


@router.post("/records", status_code=201, response_model=UploadReply)
async def upload(
    here: Here, who: Who, files: Annotated[list[UploadFile], File(description="Images; at most 32 at once.")]
) -> Response:
    """Add images to the store. What is no image is told of, and does not keep out the others."""
    if len(files) > _MOST_FILES:
        raise ConfigError(f"at most {_MOST_FILES} files at once, got {len(files)}; send the rest in another request.")
    records: list[UploadedRecord] = []
    problems: list[UploadProblem] = []
    limit = here.settings.max_pixels
    for file in files:
        name = file.filename
        taken = await here.reading.run(take_upload, here.store, file.file, name, actor=who.name, max_pixels=limit)
        if isinstance(taken, UploadProblem):
            problems.append(taken)
        else:
            records.append(taken)
    return json_reply(UploadReply(records=records, problems=problems), 201)


@router.get("/records/{record_id}/image", response_class=Response, responses={200: {"content": {"image/*": {}}}})
async def image(here: Here, request: Request, record_id: Record) -> Response:
    """The picture, for a browser: JPEG, PNG or WebP of the record's size."""
    stored = await here.images.get(record_id)
    tag = _tag(stored.digest, "image")
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _CACHE})
    made = await here.reading.run(picture, here.store, record_id, here.settings.max_pixels)
    return _answer(made, tag)


@router.get("/records/{record_id}/thumbnail", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def small_image(
    here: Here, request: Request, record_id: Record, side: Annotated[int, Query(ge=16, le=1024)] = 256
) -> Response:
    """A small JPEG of it."""
    stored = await here.images.get(record_id)
    tag = _tag(stored.digest, f"thumbnail {side}")
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _CACHE})
    made = here.thumbnails.get((stored.digest, side))
    if made is None:
        made = await here.reading.run(thumbnail, here.store, record_id, side, here.settings.max_pixels)
        here.thumbnails.put((stored.digest, side), made)
    return _answer(made, tag)


def _tag(digest: str, what: str) -> str:
    return f'"{hashlib.sha256(f"{digest} {what}".encode()).hexdigest()[:32]}"'


def _answer(made: Picture, tag: str) -> Response:
    headers = {"ETag": tag, "Cache-Control": _CACHE, "Content-Disposition": "inline"}
    return Response(made.content, media_type=made.media_type, headers=headers)
