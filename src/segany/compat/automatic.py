"""SamAutomaticMaskGenerator: every mask of an image, as a list of dicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segany.compat.predictor import SamPredictor
from segany.compat.sam import Sam
from segany.errors import ConfigError
from segany.geometry import DEFAULT_OVERLAP_RATIO, half_open_to_inclusive, xyxy_to_xywh
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.predict.backends.torch import TorchBackend
from segany.schema import Annotation

__all__ = ["SamAutomaticMaskGenerator"]

_OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class SamAutomaticMaskGenerator:
    """Clicks all over an image and returns the masks that pass.

    The arguments, their defaults and the answer are the reference's, but for one thing: a mask without a pixel, which
    the reference can return when both score thresholds are 0, is left out. Arguments are checked. New code is better
    served by `segany.predict.automatic.AutomaticMaskGenerator`, whose thresholds can be moved without asking again.

    Attributes:
        predictor: A `SamPredictor` of the model.
        point_grids: One [N, 2] array of clicks in 0..1 for each crop layer.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = DEFAULT_OVERLAP_RATIO,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[NDArray[Any]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        """Check and keep the settings.

        Args:
            model: From `sam_model_registry`.
            points_per_side: Clicks along each side of the image; None when `point_grids` are given.
            points_per_batch: Most clicks that are decoded at once.
            pred_iou_thresh: Keep masks whose predicted IoU is above this, 0..1.
            stability_score_thresh: Keep masks whose stability score is at least this, 0..1.
            stability_score_offset: How far the mask threshold is moved for the stability score, in logits.
            box_nms_thresh: Drop a mask whose box overlaps a better one's by more than this IoU.
            crop_n_layers: Layers of zoomed-in crops: layer i has 2**i x 2**i of them.
            crop_nms_thresh: The same as `box_nms_thresh`, between crops.
            crop_overlap_ratio: Overlap of the first layer's crops as a share of the image's short side.
            crop_n_points_downscale_factor: Layer i has points_per_side / factor**i clicks a side.
            point_grids: Own clicks, one [N, 2] array in 0..1 for each layer.
            min_mask_region_area: Fill holes and remove islands of fewer pixels than this.
            output_mode: Form of the masks: "binary_mask" ([H, W] bool), "uncompressed_rle" or "coco_rle".

        Raises:
            ConfigError: A value is out of range, or both or neither of `points_per_side` and `point_grids` are given.
        """
        if (points_per_side is None) == (point_grids is None):
            raise ConfigError(
                "exactly one of points_per_side and point_grids must be given, got "
                + ("neither." if point_grids is None else "both; pass points_per_side=None with point_grids.")
            )
        if output_mode not in _OUTPUT_MODES:
            raise ConfigError(f"output_mode must be one of {', '.join(_OUTPUT_MODES)}, got {output_mode!r}.")
        self._thresholds = Thresholds(
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            box_nms_thresh=box_nms_thresh,
            crop_nms_thresh=crop_nms_thresh,
            min_mask_region_area=min_mask_region_area,
        )
        self._grid = GridSettings(
            points_per_side=points_per_side or 0,
            points_per_batch=points_per_batch,
            stability_score_offset=stability_score_offset,
            crop_n_layers=crop_n_layers,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            # Grids beyond the layers are never used.
            point_grids=None if point_grids is None else tuple(point_grids)[: max(crop_n_layers, 0) + 1],
            floor=pred_iou_thresh,
        )
        self.point_grids = list(self._grid.layer_grids())
        self.predictor = SamPredictor(model)
        self.output_mode = output_mode
        self._backend: tuple[torch.device, TorchBackend] | None = None

    def generate(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Find the masks of an image.

        Args:
            image: [H, W, 3] uint8 RGB.

        Returns:
            One dict for each mask: `segmentation` (see `output_mode`), `area` (pixels), `bbox` (XYWH; width and height
            are one pixel short, as the reference has them), `predicted_iou`, `point_coords` ([[x, y]]),
            `stability_score` and `crop_box` (XYWH).

        Raises:
            ImageError: Another shape or dtype.
        """
        generator = AutomaticMaskGenerator(Predictor(backend=self._current_backend()), self._grid)
        record = generator.generate(image, self._thresholds)
        return [_as_dict(annotation, self.output_mode) for annotation in record.annotations]

    def _current_backend(self) -> TorchBackend:
        """The model where it is now: scripts move it after they made the generator, too."""
        model = self.predictor.model
        if self._backend is None or self._backend[0] != model.device:
            # The backend freezes the parameters, which are the caller's.
            recorded = [parameter for parameter in model.parameters() if parameter.requires_grad]
            self._backend = model.device, TorchBackend(model, device=str(model.device), precision="float32")
            for parameter in recorded:
                parameter.requires_grad_(True)
        return self._backend[1]


def _as_dict(annotation: Annotation, output_mode: str) -> dict[str, Any]:
    rle = annotation.segmentation
    segmentation: Any = rle.to_mask() if output_mode == "binary_mask" else rle.to_coco()
    if output_mode == "uncompressed_rle":
        segmentation = {"size": list(rle.size), "counts": rle.to_counts()}
    return {
        "segmentation": segmentation,
        "area": annotation.area,
        "bbox": [int(value) for value in xyxy_to_xywh(half_open_to_inclusive(annotation.box))],
        "predicted_iou": annotation.predicted_iou,
        "point_coords": [list(point) for point in annotation.point_coords],
        # Both scores are 32-bit numbers in the reference.
        "stability_score": float(np.float32(annotation.stability_score)),
        "crop_box": [int(value) for value in xyxy_to_xywh(annotation.crop_box or ())],
    }
