"""Prompts: from clicks, boxes and masks to masks."""

import asyncio
import time

from starlette.responses import Response

from segany.serve._failures import failure
from segany.serve.routes._shared import Here, Record, new_router
from segany.wire import PredictReply, PredictRequest

__all__ = ["router"]

router = new_router("prompts")
_LONGEST_WAIT_SECONDS = 60.0


@router.post("/records/{record_id}/predict", response_model=PredictReply)
async def predict(here: Here, record_id: Record, asked: PredictRequest) -> Response:
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
    content = await here.predicting.run(model.answers.answer, stored, embedding, asked, chooser, waited)
    here.metrics.predictions.inc(len(asked.prompts))
    return Response(content, media_type="application/json")
