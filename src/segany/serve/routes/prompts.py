"""Prompts: from clicks, boxes and masks to masks."""

import asyncio
import gzip
import time

from fastapi import Request
from starlette.responses import Response

from segany.serve._failures import failure
from segany.serve.routes._shared import Here, Record, new_router
from segany.wire import PredictReply, PredictRequest

__all__ = ["router"]

router = new_router("prompts")
_LONGEST_WAIT_SECONDS = 60.0
_LEVEL = 1


@router.post("/records/{record_id}/predict", response_model=PredictReply)
async def predict(here: Here, request: Request, record_id: Record, asked: PredictRequest) -> Response:
    """Masks for one prompt or many; the image is embedded first where it is not."""
    model = here.model()
    begin = time.perf_counter()
    stored = await here.images.get(record_id)
    try:
        embedding = await asyncio.wait_for(model.embedder.embedding(stored), _LONGEST_WAIT_SECONDS)
    except TimeoutError:
        return failure(503, "unavailable", "the image is still being embedded.", {"Retry-After": "5"}, retry_after=5.0)
    chooser = await here.chooser()
    waited = 1e3 * (time.perf_counter() - begin)
    packs = "gzip" in request.headers.get("accept-encoding", "")

    def answer() -> bytes:
        content = model.answers.answer(stored, embedding, asked, chooser, waited)
        # Run lengths shrink to half in a quarter of a millisecond.
        return gzip.compress(content, _LEVEL) if packs else content

    content = await here.predicting.run(answer)
    here.metrics.predictions.inc(len(asked.prompts))
    headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packs else {})}
    return Response(content, media_type="application/json", headers=headers)
