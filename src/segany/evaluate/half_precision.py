"""What bfloat16 costs a large model's decoder, on features that its real encoder made.

The encoder of SAM ViT-H is not to be had everywhere; two of its embeddings, and its decoder, are. MobileSAM was made
for that decoder and has it unchanged (arXiv 2306.14289), so a backend of that model answers for it.
"""

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from segany import weights
from segany.masks import mask_iou
from segany.predict.backends import Backend
from segany.predict.backends.openvino_graph import NamedGraph
from segany.predict.load import load_backend
from segany.schema import PADDING, POSITIVE, PromptBatch

__all__ = ["PUBLISHED_FEATURES", "DecoderAgreement", "decoder_agreement", "published_features_agreement"]

PUBLISHED_FEATURES = ("sam_vit_h_burn_scar", "sam_vit_h_slick")
"""Entries of the weights registry: embeddings that SAM ViT-H made."""

_DECODER = "sam_vit_h_decoder"
# Clicks along each side of the model's input.
_CLICKS = 8


@dataclass(frozen=True)
class DecoderAgreement:
    """Agreement of masks on one image: of each click the mask that float32 prefers.

    Attributes:
        clicks: How many clicks.
        mask_iou: Mean IoU of the low precision's masks with those of float32.
        published_iou: Mean IoU of float32's masks with those of the published decoder.
    """

    clicks: int
    mask_iou: float
    published_iou: float


def published_features_agreement(
    device: str = "auto", precision: str = "bfloat16"
) -> Mapping[str, Mapping[str, float]]:
    """Measure on both embeddings.

    Args:
        device: As in `Predictor`, by torch.
        precision: The low precision.

    Returns:
        By name of the embedding, the fields of `DecoderAgreement`.

    Raises:
        WeightsError: Weights cannot be had.
        DeviceError: This machine does not have the device or the precision.
    """
    low, exact = (
        load_backend("mobile_sam", device=device, precision=p, runtime="torch") for p in (precision, "float32")
    )
    published = NamedGraph(weights.path(_DECODER))
    return {name: asdict(decoder_agreement(_embedding(name), low, exact, published)) for name in PUBLISHED_FEATURES}


def decoder_agreement(
    embedding: NDArray[np.float32], low: Backend, exact: Backend, published: NamedGraph
) -> DecoderAgreement:
    """Measure on one embedding.

    Args:
        embedding: [1, 256, 64, 64], of SAM ViT-H.
        low: In the low precision.
        exact: In float32.
        published: The published decoder.
    """
    side = exact.config.input_side
    places = (np.arange(_CLICKS) + 0.5) / _CLICKS * side
    clicks = [np.array([(x, y), (0, 0)], dtype=np.float32) for y, x in itertools.product(places, places)]
    wanted, chosen = _masks(exact, embedding, clicks, None)
    found, _ = _masks(low, embedding, clicks, chosen)
    theirs = [_published_mask(published, embedding, click, mask) for click, mask in zip(clicks, chosen, strict=True)]
    return DecoderAgreement(
        clicks=len(clicks),
        mask_iou=float(np.mean([mask_iou(one, true) for one, true in zip(found, wanted, strict=True)])),
        published_iou=float(np.mean([mask_iou(one, true) for one, true in zip(theirs, wanted, strict=True)])),
    )


def _embedding(name: str) -> NDArray[np.float32]:
    with np.load(weights.path(name)) as arrays:
        (numbers,) = arrays.values()
    return np.asarray(numbers, dtype=np.float32).reshape(1, 256, 64, 64)


def _masks(
    backend: Backend, embedding: NDArray[np.float32], clicks: list[NDArray[np.float32]], chosen: list[int] | None
) -> tuple[list[NDArray[np.bool_]], list[int]]:
    """One low-resolution mask for each click: the one told, or the best of whole, part and subpart."""
    features = backend.features_from_numpy({"embedding": embedding})
    labels = np.array([POSITIVE, PADDING], dtype=np.int32)
    masks: list[NDArray[np.bool_]] = []
    picked: list[int] = []
    for start in range(0, len(clicks), backend.score_batch):
        part = clicks[start : start + backend.score_batch]
        scored = backend.score(features, PromptBatch(tuple(part), (labels,) * len(part), (None,) * len(part)))
        best = (scored.iou_predictions[:, 1:].argmax(axis=1) + 1).tolist()
        picked += best if chosen is None else chosen[start : start + len(part)]
        index = np.array(list(enumerate(picked[start:])), dtype=np.int64)
        masks += list(backend.low_res(scored, index) > 0)
    return masks, picked


def _published_mask(
    published: NamedGraph, embedding: NDArray[np.float32], click: NDArray[np.float32], mask: int
) -> NDArray[np.bool_]:
    answer = published.run(
        {
            "image_embeddings": embedding,
            "point_coords": click[None],
            "point_labels": np.array([[POSITIVE, PADDING]], dtype=np.float32),
            "mask_input": np.zeros((1, 1, 256, 256), dtype=np.float32),
            "has_mask_input": np.zeros(1, dtype=np.float32),
            "orig_im_size": np.array([256, 256], dtype=np.float32),
        }
    )
    return np.asarray(answer[2][0, mask] > 0)
