"""Settings of the automatic mask generator, under the reference's names and with its defaults."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import DEFAULT_OVERLAP_RATIO, point_grids

__all__ = ["GridSettings", "Thresholds"]

# Layer 8 already has 65,536 crops.
_MOST_LAYERS = 8


@dataclass(frozen=True)
class Thresholds:
    """What `Proposals.select` keeps; cheap to change (SAM paper, sec. 5 and app. B).

    Attributes:
        pred_iou_thresh: Keep masks whose predicted IoU is above this, 0..1; 0 keeps all.
        stability_score_thresh: Keep masks whose stability score is at least this, 0..1; 0 keeps all.
        box_nms_thresh: Within a crop, drop a mask whose box overlaps a better one's by more than this IoU.
        crop_nms_thresh: The same between crops, where the most zoomed wins.
        min_mask_region_area: Fill holes and remove islands of fewer pixels than this; 0 leaves masks as they are.
    """

    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7
    crop_nms_thresh: float = 0.7
    min_mask_region_area: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
            _check_share(name, getattr(self, name))
        if not self.min_mask_region_area >= 0:
            raise ConfigError(f"min_mask_region_area must be 0 or more pixels, got {self.min_mask_region_area}.")


@dataclass(frozen=True, eq=False)
class GridSettings:
    """Where the generator clicks, and what it remembers of the answers.

    Attributes:
        points_per_side: Clicks along each side of the whole image.
        points_per_batch: Most clicks that are decoded at once; a backend that is faster with fewer takes fewer.
        stability_score_offset: How far the mask threshold is moved for the stability score, in logits.
        crop_n_layers: Layers of zoomed-in crops: layer i has 2**i x 2**i of them.
        crop_overlap_ratio: Overlap of the first layer's crops as a share of the image's short side.
        crop_n_points_downscale_factor: Layer i has points_per_side / factor**i clicks a side.
        point_grids: Own clicks instead, one [N, 2] (x, y) array in 0..1 for each layer.
        floor: Masks with a predicted IoU up to this are forgotten at once, and no threshold brings them back; 0
            remembers all.
        adaptive: Leave out clicks that would hardly find anything new; see `adaptive`. About 4 clicks of 9 are made.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    stability_score_offset: float = 1.0
    crop_n_layers: int = 0
    crop_overlap_ratio: float = DEFAULT_OVERLAP_RATIO
    crop_n_points_downscale_factor: int = 1
    point_grids: tuple[NDArray[np.float64], ...] | None = None
    floor: float = 0.88
    adaptive: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.crop_n_layers <= _MOST_LAYERS:
            raise ConfigError(f"crop_n_layers must be from 0 to {_MOST_LAYERS}, got {self.crop_n_layers}.")
        if self.points_per_batch < 1:
            raise ConfigError(f"points_per_batch must be at least 1, got {self.points_per_batch}.")
        if self.point_grids is not None:
            object.__setattr__(self, "point_grids", _checked_grids(self.point_grids, self.crop_n_layers))
            if self.adaptive:
                raise ConfigError("adaptive clicking needs a regular grid, got point_grids; leave one of the two out.")
        self.layer_grids()
        if not 0 <= self.crop_overlap_ratio < 1:
            raise ConfigError(
                "crop_overlap_ratio must be from 0 to below 1, or crops would be larger than the image; got "
                f"{self.crop_overlap_ratio}."
            )
        if not self.stability_score_offset >= 0:
            raise ConfigError(f"stability_score_offset must be 0 or more logits, got {self.stability_score_offset}.")
        _check_share("floor", self.floor)

    def layer_grids(self) -> tuple[NDArray[np.float64], ...]:
        """One [N, 2] (x, y) array in 0..1 for each layer, the whole image first."""
        if self.point_grids is not None:
            return self.point_grids
        return point_grids(self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be from 0 to 1, got {value}.")


def _checked_grids(given: tuple[NDArray[np.float64], ...], layers: int) -> tuple[NDArray[np.float64], ...]:
    grids = tuple(np.asarray(grid, dtype=np.float64) for grid in given)
    if len(grids) != layers + 1:
        raise ConfigError(
            f"point_grids must hold one grid for the whole image and one for each of {layers} crop layers, "
            f"got {len(grids)}."
        )
    for number, grid in enumerate(grids):
        if grid.ndim != 2 or grid.shape[1] != 2 or len(grid) == 0:
            raise ConfigError(f"point grid {number} must be [N, 2] with at least one click, got {list(grid.shape)}.")
        if not (grid.min() >= 0 and grid.max() <= 1):
            raise ConfigError(
                f"point grid {number} must hold shares of width and height from 0 to 1, got {grid.min():g} to "
                f"{grid.max():g}."
            )
    return grids
