"""Embeddings: asked for ahead, and downloaded by pages that decode themselves."""

import asyncio
from typing import Any

import numpy as np
from fastapi import Request
from starlette.responses import Response

from segany.errors import EmbeddingError
from segany.predict import ImageEmbedding
from segany.predict.choose import MaskChooser
from segany.serve._failures import failure
from segany.serve._images import StoredImage
from segany.serve._replies import frame_reply
from segany.serve.routes._shared import Here, Record, json_reply, new_router
from segany.serve.services import ModelServices
from segany.wire import ChoosingReply, EmbeddingReply

__all__ = ["router"]

router = new_router("embeddings")
_LONGEST_WAIT_SECONDS = 60.0
_CACHE = "private, max-age=86400"


@router.post(
    "/records/{record_id}/embedding", response_model=EmbeddingReply, responses={202: {"model": EmbeddingReply}}
)
async def begin(here: Here, record_id: Record) -> Response:
    """Have the image embedded, unless it is; send it for the image that is opened and for the next one."""
    model = here.model()
    stored = await here.images.get(record_id)
    if model.embedder.state(stored)[0] == "missing":
        model.embedder.start(stored)
        # What is on disk is there at once.
        await asyncio.sleep(0)
    reply = _reply(model, stored, await here.chooser())
    return json_reply(reply, 200 if reply.state == "ready" else 202)


@router.get("/records/{record_id}/embedding", response_model=EmbeddingReply)
async def state(here: Here, record_id: Record) -> Response:
    """Where the embedding stands."""
    model = here.model()
    return json_reply(_reply(model, await here.images.get(record_id), await here.chooser()))


@router.get(
    "/records/{record_id}/embedding/features",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "[256, 64, 64] float16"}},
)
async def features(here: Here, request: Request, record_id: Record) -> Response:
    """The features as little-endian float16 in C order, of the shape that the embedding's reply names."""
    model = here.model()
    stored = await here.images.get(record_id)
    tag = f'"{stored.digest[:32]}-{model.predictor.backend.model_digest[:16]}-half"'
    headers = {"ETag": tag, "Cache-Control": _CACHE}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        embedding = await asyncio.wait_for(model.embedder.embedding(stored), _LONGEST_WAIT_SECONDS)
    except TimeoutError:
        return failure(503, "unavailable", "the image is still being embedded.", {"Retry-After": "5"}, retry_after=5.0)
    content = await here.reading.run(_half, embedding)
    return Response(content, media_type="application/octet-stream", headers=headers)


def _reply(model: ModelServices, stored: StoredImage, chooser: MaskChooser | None) -> EmbeddingReply:
    place, position, embedding = model.embedder.state(stored)
    backend = model.predictor.backend
    side = backend.config.embedding_side
    return EmbeddingReply(
        state=place,
        position=position,
        model=backend.config.name,
        model_digest=backend.model_digest,
        shape=(backend.config.embed_dim, side, side),
        low_res_side=backend.config.low_res_side,
        frame=None if embedding is None else frame_reply(embedding),
        choosing=None if chooser is None else ChoosingReply(**chooser.linear()),
    )


def _half(embedding: ImageEmbedding) -> bytes:
    arrays: dict[str, Any] = dict(embedding.features.to_numpy())
    if "embedding" not in arrays:
        raise EmbeddingError(f"the features of {embedding.model_name} on {embedding.backend_key} cannot be sent.")
    return np.ascontiguousarray(arrays["embedding"][0], dtype="<f2").tobytes()
