"""Pictures to look at: overlays, cut-outs, masks as files, contact sheets."""

from segany.render.colors import distinct_colors
from segany.render.cutout import cutout, save_image, save_mask
from segany.render.overlay import overlay
from segany.render.sheet import contact_sheet

__all__ = ["contact_sheet", "cutout", "distinct_colors", "overlay", "save_image", "save_mask"]
