import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco

from segany import model, open_image, weights
from segany.compat import Sam, SamAutomaticMaskGenerator, sam_model_registry
from segany.errors import ConfigError, ImageError
from segany.masks import RLE
from segany.model.config import CONFIGS


@pytest.fixture(scope="module")
def sam() -> Sam:
    return sam_model_registry["vit_t"](checkpoint=str(weights.path("mobile_sam")))


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Two plain shapes on plain ground."""
    image = np.full((120, 200, 3), 225, dtype=np.uint8)
    image[30:90, 20:80] = [200, 30, 30]
    y, x = np.mgrid[:120, :200]
    image[np.hypot(y - 60, x - 145) < 35] = [20, 60, 180]
    return image


# What the reference implementation answered, with its own code, for a photo of segany's samples.
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "automatic" / "chelsea.json").read_text(encoding="utf-8"))


def masks_of(sam: Sam, picture: NDArray[np.uint8], **settings: Any) -> list[dict[str, Any]]:
    return SamAutomaticMaskGenerator(sam, **{"points_per_side": 3, **settings}).generate(picture)


def test_the_signature_is_the_references() -> None:
    parameters = inspect.signature(SamAutomaticMaskGenerator).parameters
    assert {name: parameter.default for name, parameter in parameters.items() if name != "model"} == {
        "points_per_side": 32,
        "points_per_batch": 64,
        "pred_iou_thresh": 0.88,
        "stability_score_thresh": 0.95,
        "stability_score_offset": 1.0,
        "box_nms_thresh": 0.7,
        "crop_n_layers": 0,
        "crop_nms_thresh": 0.7,
        "crop_overlap_ratio": 512 / 1500,
        "crop_n_points_downscale_factor": 1,
        "point_grids": None,
        "min_mask_region_area": 0,
        "output_mode": "binary_mask",
    }
    assert next(iter(parameters)) == "model"


def test_both_shapes_are_found_in_every_output_mode(sam: Sam, picture: NDArray[np.uint8]) -> None:
    found = masks_of(sam, picture)
    square = np.zeros((120, 200), dtype=bool)
    square[30:90, 20:80] = True
    best = max(found, key=lambda one: (one["segmentation"] & square).sum() / (one["segmentation"] | square).sum())
    assert (best["segmentation"] & square).sum() / (best["segmentation"] | square).sum() > 0.95
    assert set(best) == {
        "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"
    }  # fmt: skip
    for one in found:
        mask = one["segmentation"]
        assert (mask.dtype, mask.shape) == (np.bool_, (120, 200))
        y, x = np.nonzero(mask)
        assert one["bbox"] == [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
        assert one["area"] == mask.sum()
        assert one["crop_box"] == [0, 0, 200, 120]
        assert all(isinstance(value, int) for value in (*one["bbox"], *one["crop_box"], one["area"]))
        (point,) = one["point_coords"]
        assert point[0] in (pytest.approx(200 / 6), 100, pytest.approx(1000 / 6))
        assert point[1] in (20, 60, 100)
        for name, least in (("predicted_iou", 0.88), ("stability_score", 0.95)):
            assert one[name] >= least
            assert one[name] == float(np.float32(one[name]))
    packed = masks_of(sam, picture, output_mode="coco_rle")
    runs = masks_of(sam, picture, output_mode="uncompressed_rle")
    assert len(found) == len(packed) == len(runs)
    for one, two, three in zip(found, packed, runs, strict=True):
        assert isinstance(two["segmentation"]["counts"], str)
        assert coco.area(two["segmentation"]) == one["area"]
        assert coco.frPyObjects(three["segmentation"], 120, 200)["counts"].decode() == two["segmentation"]["counts"]
        np.testing.assert_array_equal(RLE.from_coco(two["segmentation"]).to_mask(), one["segmentation"])
        assert {k: v for k, v in one.items() if k != "segmentation"} == {
            k: v for k, v in two.items() if k != "segmentation"
        }


@pytest.mark.parametrize("run", GOLDEN["runs"], ids=["grid", "crops and clean-up"])
def test_the_answer_is_the_references(sam: Sam, run: dict[str, Any]) -> None:
    image = open_image(weights.sample(GOLDEN["photo"])).pixels
    found = masks_of(sam, image, output_mode="coco_rle", **run["settings"])
    # Masks of equal rank, those of several crops, come in no order that could be relied on.
    wanted, found = (sorted(masks, key=lambda one: one["predicted_iou"]) for masks in (run["masks"], found))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one["bbox"] == other["bbox"]
        assert one["point_coords"] == other["point_coords"]
        assert one["crop_box"] == other["crop_box"]
        assert one["area"] == pytest.approx(other["area"], abs=3)
        assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-4)
        assert one["stability_score"] == pytest.approx(other["stability_score"], abs=1e-3)
        assert RLE.from_coco(one["segmentation"]).iou(RLE.from_coco(other["segmentation"])) > 0.998


def test_own_grids_and_crops(sam: Sam, picture: NDArray[np.uint8]) -> None:
    grids = [np.array([[0.25, 0.5], [0.72, 0.5]]), np.array([[0.5, 0.5]]), np.zeros((1, 2))]
    found = masks_of(sam, picture, points_per_side=None, point_grids=grids, crop_n_layers=1, pred_iou_thresh=0.5)
    points = {tuple(point) for one in found for point in one["point_coords"]}
    assert points & {(50, 60), (144, 60)}
    assert {tuple(one["crop_box"]) for one in found} <= {
        (0, 0, 200, 120), (0, 0, 120, 80), (0, 40, 120, 80), (80, 0, 120, 80), (80, 40, 120, 80)
    }  # fmt: skip


def test_the_callers_model_stays_as_it_is(picture: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    sam = Sam(model.Sam(CONFIGS["mobile_sam"]))
    names = list(sam.state_dict())
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    sam.image_encoder.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in sam.parameters()]
    masks_of(sam, picture, points_per_side=1)
    assert [parameter.requires_grad for parameter in sam.parameters()] == flags
    assert list(sam.state_dict()) == names
    assert all(torch.equal(value, before[name]) for name, value in sam.state_dict().items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points_per_side": None}, r"exactly one of points_per_side and point_grids must be given, got neither\."),
        (
            {"point_grids": [np.zeros((1, 2))]},
            r"exactly one .*, got both; pass points_per_side=None with point_grids\.",
        ),
        ({"output_mode": "png"}, r"output_mode must be one of binary_mask, uncompressed_rle, coco_rle, got 'png'\."),
        ({"points_per_side": 0}, r"a point grid needs at least 1 point per side, got 0; give 1 or more\."),
        ({"pred_iou_thresh": 88}, r"pred_iou_thresh must be from 0 to 1, got 88\."),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(sam: Sam, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        SamAutomaticMaskGenerator(sam, **wrong)


def test_an_image_of_another_shape_is_refused(sam: Sam) -> None:
    with pytest.raises(ImageError):
        masks_of(sam, np.zeros((3, 3, 7, 2), dtype=np.uint8))
