"""Embedding, prompts and everything: what is asked of the model, and what it answers."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from segany.wire.base import AnnotationId, Box, Mask, PromptWords, Reply, Request, example
from segany.wire.records import AnnotationReply

__all__ = [
    "CandidateReply",
    "ChoosingReply",
    "DecoderReply",
    "EmbeddingReply",
    "EverythingReply",
    "EverythingRequest",
    "FrameReply",
    "GraphReply",
    "GridWords",
    "NameReply",
    "NamesReply",
    "NamesRequest",
    "PredictReply",
    "PredictRequest",
    "PredictionReply",
    "SelectReply",
    "SelectRequest",
    "ThresholdWords",
]

_Unit = Annotated[float, Field(ge=0, le=1)]


class FrameReply(Reply):
    """How the image lies in the model's input; sizes are (height, width).

    Attributes:
        original: The image, pixels.
        model: The image as the model sees it.
        padded: The model's input; the image lies in its upper left.
    """

    original: tuple[int, int]
    model: tuple[int, int]
    padded: tuple[int, int]


class ChoosingReply(Reply):
    """How the three candidates of a lone click are ranked, for who decodes by themselves: the highest sum is first.

    A candidate's sum is its predicted IoU, + `depth` x how deep inside it the click lies (its distance to the outside
    over the largest such distance), + its `offsets`, + `size` x max(`floor`, -`sharpness` x (log(share of the image
    that it covers) - `log_share`)^2).

    Attributes:
        depth: Weight.
        offsets: Of whole, part and subpart.
        size: Weight.
        log_share: What sizes are compared with.
        sharpness: How much they are expected to be alike.
        floor: Least that a size may count.
    """

    depth: float
    offsets: tuple[float, float, float]
    size: float
    log_share: float
    sharpness: float
    floor: float


class EmbeddingReply(Reply):
    """Where the embedding of an image stands.

    Attributes:
        state: "ready"; "queued" or "running"; "missing" when nobody asked for it, or making it failed.
        position: Images before it in the queue.
        model: Name of the model.
        model_digest: Of its parameters.
        shape: Of the features, when they can be had: channels, height, width.
        low_res_side: Side of the model's logits.
        frame: When it is ready.
        choosing: How the candidates of a lone click are ranked now; null for by predicted IoU.
    """

    state: Literal["ready", "queued", "running", "missing"]
    position: int
    model: str
    model_digest: str
    shape: tuple[int, int, int]
    low_res_side: int
    frame: FrameReply | None = None
    choosing: ChoosingReply | None = None


class GraphReply(Reply):
    """One graph of the decoder.

    Attributes:
        name: "prepare", run once for an image, or "decode", run for each prompt.
        bytes: Its length.
        sha256: Its digest, by which it is had.
    """

    name: str
    bytes: int
    sha256: str


class DecoderReply(Reply):
    """The decoder for who decodes by themselves.

    Attributes:
        state: "ready"; "making"; "missing" when nobody asked for it; "unavailable", and the message says why.
        model_digest: Of the model that it is of.
        graphs: When it is ready.
        message: Why it cannot be had.
    """

    state: Literal["ready", "making", "missing", "unavailable"]
    model_digest: str
    graphs: tuple[GraphReply, ...] = ()
    message: str | None = None


class PredictRequest(Request):
    """Prompts for one image.

    Attributes:
        prompts: Each is answered by itself.
        multimask: Three masks, one, or (null) three for a lone click and one for everything else.
        refine: How often the best mask is fed back.
        alternatives: Whether the candidates after the best are sent, too.
    """

    model_config = ConfigDict(
        json_schema_extra=example({"prompts": [{"points": [[2, 2]]}]}, {"prompts": [{"box": [0, 0, 3, 3]}]})
    )

    prompts: Annotated[list[PromptWords], Field(min_length=1, max_length=64)]
    multimask: bool | None = None
    refine: Annotated[int, Field(ge=0, le=3)] = 0
    alternatives: bool = True


class CandidateReply(Reply):
    """One possible mask.

    Attributes:
        mask: The mask.
        box: XYXY half-open, pixels.
        area: Pixels of the mask.
        predicted_iou: The model's estimate.
        level: 0 the single answer; 1 whole, 2 part, 3 subpart.
        logits: What a later prompt names it by; forgotten after a while.
    """

    mask: Mask
    box: Box
    area: int
    predicted_iou: float
    level: int
    logits: str


class PredictionReply(Reply):
    """The answer to one prompt.

    Attributes:
        candidates: The best first.
        ambiguous: Whether the prompt was a lone click, which may mean several things.
    """

    candidates: list[CandidateReply]
    ambiguous: bool


class PredictReply(Reply):
    """Answers, one for each prompt.

    Attributes:
        predictions: In the order of the prompts.
        model_digest: Of the model that answered.
        milliseconds: What took how long: "embed", "decode", "masks", "total".
    """

    predictions: list[PredictionReply]
    model_digest: str
    milliseconds: dict[str, float]


class NamesRequest(Request):
    """What could this object be called? It is told by its mask, or by the annotation that has it.

    Attributes:
        mask: The object, of the image's size.
        annotation: An annotation of the record.
    """

    model_config = ConfigDict(
        json_schema_extra=example({"mask": {"size": [4, 4], "counts": "52203"}}, {"annotation": "9f1c"})
    )

    mask: Mask | None = None
    annotation: AnnotationId | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "NamesRequest":
        if (self.mask is None) == (self.annotation is None):
            raise ValueError("name a mask or an annotation, one of the two")
        return self


class NameReply(Reply):
    """A name.

    Attributes:
        name: The class.
        confidence: 0 to 1, among the names that were learned.
    """

    name: str
    confidence: float


class NamesReply(Reply):
    """Names, learned from what people named.

    Attributes:
        names: At most three, the likeliest first; none while fewer than two names were learned.
    """

    names: list[NameReply]


class GridWords(Request):
    """Where to click for everything; see `segany.predict.automatic.GridSettings`.

    Attributes:
        points_per_side: Clicks along each side of the whole image.
        crop_n_layers: Layers of zoomed-in crops.
        crop_n_points_downscale_factor: Layer i has points_per_side / factor**i clicks a side.
        floor: Masks with a predicted IoU up to this are forgotten; no threshold brings them back.
        adaptive: Leave out clicks that would hardly find anything new.
    """

    points_per_side: Annotated[int, Field(ge=1, le=64)] = 32
    crop_n_layers: Annotated[int, Field(ge=0, le=2)] = 0
    crop_n_points_downscale_factor: Annotated[int, Field(ge=1, le=8)] = 1
    floor: Annotated[float, Field(ge=0.3, le=1)] = 0.6
    adaptive: bool = False


class EverythingRequest(Request):
    """Find every mask.

    Attributes:
        grid: Where to click.
    """

    model_config = ConfigDict(json_schema_extra=example({"grid": {"points_per_side": 8}}))

    grid: GridWords = GridWords()


class EverythingReply(Reply):
    """Where a run stands.

    Attributes:
        run: What it is named by; the same image, model and grid give the same name.
        state: Where it stands.
        done: Share of the clicks made, 0 to 1.
        proposals: Masks remembered, before thresholds.
        complete: Whether all clicks were made.
        message: Why it failed, or null.
    """

    run: str
    state: Literal["queued", "running", "done", "failed"]
    done: float
    proposals: int
    complete: bool
    message: str | None = None


class ThresholdWords(Request):
    """What to keep; see `segany.predict.automatic.Thresholds`.

    Attributes:
        pred_iou_thresh: Keep masks whose predicted IoU is above this; not below the grid's floor.
        stability_score_thresh: Keep masks at least this stable.
        box_nms_thresh: Of two masks whose boxes overlap by more than this IoU the better one is kept.
        crop_nms_thresh: The same between crops.
        min_mask_region_area: Fill holes and remove islands of fewer pixels.
    """

    pred_iou_thresh: _Unit = 0.88
    stability_score_thresh: _Unit = 0.95
    box_nms_thresh: _Unit = 0.7
    crop_nms_thresh: _Unit = 0.7
    min_mask_region_area: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class SelectRequest(Request):
    """Other thresholds for a run that is done: cheap.

    Attributes:
        thresholds: What to keep.
        link_parts: Say in `parent_id` which mask is a part of which.
    """

    model_config = ConfigDict(json_schema_extra=example({"thresholds": {"pred_iou_thresh": 0.9}}))

    thresholds: ThresholdWords = ThresholdWords()
    link_parts: bool = False


class SelectReply(Reply):
    """Masks that pass.

    Attributes:
        annotations: The best first; ids are their places.
    """

    annotations: list[AnnotationReply]
