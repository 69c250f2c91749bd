"""The decoder's graphs, for pages that decode by themselves."""

from starlette.responses import FileResponse, Response

from segany.serve.routes._shared import Here, json_reply, new_router
from segany.serve.services import ModelServices
from segany.wire import DecoderReply, GraphReply

__all__ = ["router"]

router = new_router("decoder")
_FOREVER = "private, max-age=31536000, immutable"


@router.post("/decoder", response_model=DecoderReply, responses={202: {"model": DecoderReply}})
async def begin(here: Here) -> Response:
    """Have the decoder exported, unless it is; once for a model, it takes half a minute."""
    model = here.model()
    model.browser.begin()
    return json_reply(_reply(model), 202 if model.browser.state == "making" else 200)


@router.get("/decoder", response_model=DecoderReply)
async def state(here: Here) -> Response:
    """Whether the graphs are there."""
    return json_reply(_reply(here.model()))


@router.get(
    "/decoder/graphs/{sha256}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "An ONNX graph."}},
)
async def graph(here: Here, sha256: str) -> FileResponse:
    """A graph by its digest."""
    found = here.model().browser.graph(sha256)
    headers = {"Cache-Control": _FOREVER, "ETag": f'"{found.sha256}"'}
    return FileResponse(found.path, media_type="application/octet-stream", headers=headers)


def _reply(model: ModelServices) -> DecoderReply:
    browser = model.browser
    graphs = tuple(GraphReply(name=one.name, bytes=one.bytes, sha256=one.sha256) for one in browser.graphs)
    digest = model.predictor.backend.model_digest
    return DecoderReply(state=browser.state, model_digest=digest, graphs=graphs, message=browser.message)
