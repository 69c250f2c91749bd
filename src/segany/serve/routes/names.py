"""Names: what an object could be called."""

import asyncio

from starlette.responses import Response

from segany.errors import MaskError
from segany.geometry import Size
from segany.masks import RLE
from segany.serve._failures import failure
from segany.serve._images import StoredImage
from segany.serve.routes._shared import Here, Record, json_reply, new_router
from segany.serve.services import Services
from segany.wire import NameReply, NamesReply, NamesRequest

__all__ = ["router"]

router = new_router("names")
_LONGEST_WAIT_SECONDS = 60.0


@router.post("/records/{record_id}/names", response_model=NamesReply)
async def suggest(here: Here, record_id: Record, asked: NamesRequest) -> Response:
    """Names for an object, learned from those that people gave; the image is embedded first where it is not."""
    model = here.model()
    stored = await here.images.get(record_id)
    mask = await _mask(here, stored, asked)
    if model.names.learned is None:
        return json_reply(NamesReply(names=[]))
    try:
        embedding = await asyncio.wait_for(model.embedder.embedding(stored), _LONGEST_WAIT_SECONDS)
    except TimeoutError:
        return failure(503, "unavailable", "the image is still being embedded.", {"Retry-After": "5"}, retry_after=5.0)
    found = await here.predicting.run(model.names.suggest, embedding, mask)
    names = [NameReply(name=each.name, confidence=round(each.confidence, 4)) for each in found]
    return json_reply(NamesReply(names=names))


async def _mask(here: Services, stored: StoredImage, asked: NamesRequest) -> RLE:
    if asked.annotation is not None:
        records = here.store.records
        return (await here.reading.run(records.annotation, stored.record_id, asked.annotation)).segmentation
    assert asked.mask is not None
    size = Size(*asked.mask.size)
    if size != stored.size:
        raise MaskError(f"the mask is {size} but the image is {stored.size}; send one of the image's size.")
    return await here.predicting.run(asked.mask.rle)
