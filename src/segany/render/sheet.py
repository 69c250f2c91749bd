"""Several pictures on one sheet."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from segany.errors import ConfigError
from segany.render._marks import load_font
from segany.render._pixels import Picture, pixels_of

__all__ = ["contact_sheet"]

_PAPER = (250, 250, 250)
_INK = (30, 30, 30)
_SQUARES = ((255, 255, 255), (222, 222, 222))


def contact_sheet(
    images: Sequence[Picture], captions: Sequence[str] = (), columns: int = 3, *, side: int = 640
) -> PillowImage.Image:
    """Lay pictures out in rows, each with a caption below it.

    Pictures are shrunk to fit a square, never enlarged; transparency is shown as a chequered ground.

    Args:
        images: Images, uint8 [H, W, 3] RGB arrays or Pillow images.
        captions: One for each picture, or none; one that is too long is cut.
        columns: Pictures in a row.
        side: Side of the square, pixels.

    Returns:
        An RGB picture.

    Raises:
        ImageError: One of the pictures is none.
        ConfigError: No pictures, another number of captions, or a number under 1.
    """
    if not images:
        raise ConfigError("a sheet needs at least one picture, got none.")
    if captions and len(captions) != len(images):
        raise ConfigError(f"captions must be one for each of the {len(images)} pictures, got {len(captions)}.")
    if columns < 1 or side < 1:
        raise ConfigError(f"columns and side must be at least 1, got {columns} and {side}.")
    tiles = [_tile(image, side) for image in images]
    gap = max(8, side // 40)
    text = max(12, side // 28)
    caption_height = round(text * 1.8) if captions else 0
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    # A row is as high as its highest picture, a column as wide as its widest.
    heights = [max(tile.height for tile in row) + caption_height for row in rows]
    widths = [max(tile.width for tile in tiles[column::columns]) for column in range(min(columns, len(tiles)))]
    sheet = PillowImage.new(
        "RGB", (sum(widths) + gap * (len(widths) + 1), sum(heights) + gap * (len(heights) + 1)), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        left = gap + sum(widths[:column]) + gap * column
        top = gap + sum(heights[:row]) + gap * row
        space = heights[row] - caption_height
        sheet.paste(tile, (left + (widths[column] - tile.width) // 2, top + space - tile.height))
        if captions:
            place = (left + widths[column] / 2, top + space + caption_height / 2)
            draw.text(place, _cut(captions[index], widths[column], text), fill=_INK, font=load_font(text), anchor="mm")
    return sheet


def _tile(image: Picture, side: int) -> PillowImage.Image:
    picture = image if isinstance(image, PillowImage.Image) else PillowImage.fromarray(pixels_of(image))
    transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "RGB")
    scale = side / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), PillowImage.Resampling.LANCZOS, reducing_gap=3.0)
    if not transparent:
        return picture
    ground = _chequered(picture.width, picture.height, max(6, side // 48))
    ground.paste(picture, (0, 0), picture)
    return ground


def _chequered(width: int, height: int, square: int) -> PillowImage.Image:
    odd = (np.arange(height)[:, None] // square + np.arange(width)[None] // square) % 2
    return PillowImage.fromarray(np.array(_SQUARES, dtype=np.uint8)[odd])


def _cut(caption: str, width: int, size: int) -> str:
    """A caption, shortened to a width; on one line."""
    font = load_font(size)
    caption = " ".join(caption.split())
    if font.getlength(caption) <= width:
        return caption
    kept = math.floor(len(caption) * width / font.getlength(caption))
    while kept > 0 and font.getlength(caption[:kept] + "…") > width:
        kept -= 1
    return caption[:kept].rstrip() + "…"
