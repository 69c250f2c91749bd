"""Marks of prompts and tags of scores, drawn smoothly in small patches."""

import math
from collections.abc import Sequence
from functools import lru_cache

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from segany.render._pixels import Style
from segany.render.colors import RGB, ink_on

__all__ = ["Rectangle", "draw_box", "draw_click", "draw_tag", "load_font", "tag_size"]

# x0, y0, x1, y1 in pixels of the picture.
Rectangle = tuple[int, int, int, int]

_POSITIVE: RGB = (22, 163, 74)
_NEGATIVE: RGB = (220, 38, 38)
_OVERSAMPLING = 4


@lru_cache(maxsize=64)
def load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, so that a picture looks the same on every machine."""
    return ImageFont.load_default(size)


def draw_click(canvas: PillowImage.Image, x: float, y: float, *, positive: bool, style: Style) -> Rectangle:
    """Draw a click: a green disc with a plus or a red one with a minus, ringed in white.

    Near the border the mark moves inwards as far as it must to be seen whole.

    Args:
        canvas: RGB, changed in place.
        x: Column of the click's centre, pixels of the canvas.
        y: Row of it.
        positive: On the object.
        style: Sizes.

    Returns:
        What the mark covers.
    """
    ring = max(1.2, style.mark * 0.22)
    halo = max(1.0, style.mark * 0.16)
    radius = style.mark + halo
    side = math.ceil(2 * radius) + 2
    patch = PillowImage.new("RGBA", (side * _OVERSAMPLING,) * 2)
    draw = ImageDraw.Draw(patch)
    # The patch is placed at a whole pixel; the rest of the position is drawn.
    left, top = (_placed(value, radius, side, length) for value, length in zip((x, y), canvas.size, strict=True))
    centre_x = _inside(x, radius, canvas.width) - left
    centre_y = _inside(y, radius, canvas.height) - top

    def disc(r: float, color: tuple[int, int, int, int]) -> None:
        box = [(c + s * r) * _OVERSAMPLING for s in (-1, 1) for c in (centre_x, centre_y)]
        draw.ellipse(box, fill=color)

    disc(radius, (0, 0, 0, 150))
    disc(style.mark, (255, 255, 255, 255))
    disc(style.mark - ring, (*(_POSITIVE if positive else _NEGATIVE), 255))
    arm, half = style.mark * 0.46, style.mark * 0.12
    bars = [(arm, half), (half, arm)] if positive else [(arm, half)]
    for across, down in bars:
        corners = (centre_x - across, centre_y - down, centre_x + across, centre_y + down)
        draw.rectangle([value * _OVERSAMPLING for value in corners], fill=(255, 255, 255, 255))
    patch = patch.reduce(_OVERSAMPLING)
    canvas.paste(patch, (left, top), patch)
    return (left, top, left + side, top + side)


def draw_box(canvas: PillowImage.Image, box: Sequence[float], style: Style) -> None:
    """Draw a box prompt: a white line with a dark rim, wholly within the picture.

    Args:
        canvas: RGB, changed in place.
        box: XYXY half-open, pixels of the canvas.
        style: Sizes.
    """
    line, rim = max(1, round(style.outline * 0.8)), max(1, round(style.halo * 0.8))
    x0, y0, x1, y1 = box
    # The line lies round the box, moved inwards where the picture ends.
    outer = line + rim
    left, top = max(rim, round(x0) - line), max(rim, round(y0) - line)
    right, bottom = min(canvas.width - rim, round(x1) + line), min(canvas.height - rim, round(y1) + line)
    if right - left <= 2 * outer or bottom - top <= 2 * outer:
        left, top = max(0, round(x0)), max(0, round(y0))
        right, bottom = min(canvas.width, max(round(x1), left + 1)), min(canvas.height, max(round(y1), top + 1))
    draw = ImageDraw.Draw(canvas, "RGBA")
    for grow, width, color in (
        (rim, rim, (0, 0, 0, 150)),
        (0, line, (255, 255, 255, 255)),
        (-line, rim, (0, 0, 0, 150)),
    ):
        corners = (left - grow, top - grow, right + grow - 1, bottom + grow - 1)
        if corners[2] >= corners[0] and corners[3] >= corners[1]:
            draw.rectangle(corners, outline=color, width=width)


def tag_size(text: str, style: Style) -> tuple[int, int]:
    """(width, height) of a tag, pixels."""
    font = load_font(round(style.text))
    left, _, right, _ = font.getbbox(text)
    return math.ceil(right - left + style.text * 0.7), math.ceil(style.text * 1.35)


def draw_tag(canvas: PillowImage.Image, place: Rectangle, text: str, color: RGB, style: Style) -> None:
    """Draw text on a rounded plate.

    Args:
        canvas: RGB, changed in place.
        place: Where; its size is that of `tag_size`.
        text: What to say.
        color: Of the plate.
        style: Sizes.
    """
    left, top, right, bottom = place
    width, height = right - left, bottom - top
    plate = PillowImage.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    ImageDraw.Draw(plate).rounded_rectangle(
        (0, 0, plate.width - 1, plate.height - 1), radius=height * _OVERSAMPLING * 0.28, fill=255
    )
    plate = plate.reduce(_OVERSAMPLING)
    shade = PillowImage.new("RGB", (width, height), (0, 0, 0))
    shift = max(1, round(style.text * 0.06))
    canvas.paste(shade, (left + shift, top + shift), plate.point([value * 2 // 5 for value in range(256)]))
    canvas.paste(PillowImage.new("RGB", (width, height), color), (left, top), plate)
    ImageDraw.Draw(canvas).text(
        (left + width / 2, top + height / 2), text, fill=ink_on(color), font=load_font(round(style.text)), anchor="mm"
    )


def _inside(value: float, radius: float, length: int) -> float:
    """A centre, moved so that a disc lies within 0..length; the middle where it cannot."""
    return length / 2 if length < 2 * radius else min(max(value, radius), length - radius)


def _placed(value: float, radius: float, side: int, length: int) -> int:
    return math.floor(_inside(value, radius, length) - radius)
