"""A picture with masks, prompts and scores drawn on it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.render._marks import Rectangle, draw_box, draw_click, draw_tag, tag_size
from segany.render._masks import fit_mask, fit_rle, paint_mask
from segany.render._pixels import Picture, Style, check_masks, pixels_of
from segany.render.colors import RGB, distinct_colors
from segany.schema import Prompt

__all__ = ["overlay"]

_MANY = 12
_WHITE: RGB = (255, 255, 255)


def overlay(
    image: Picture,
    masks: Sequence[RLE],
    *,
    prompts: Sequence[Prompt] = (),
    scores: Sequence[float] = (),
    labels: Sequence[str] = (),
    colors: Sequence[RGB] | None = None,
    fill: float = 0.4,
    dim: float = 0.0,
    max_side: int | None = None,
) -> PillowImage.Image:
    """Draw masks with a translucent fill and a smooth outline with a dark rim, and what led to them.

    Large masks are drawn first, so that small ones stay visible. Widths follow the picture's size. Clicks are green
    discs with a plus or red ones with a minus, boxes and mask prompts white lines.

    Args:
        image: The picture: an Image, uint8 [H, W, 3] RGB, or a Pillow image.
        masks: Masks of the picture's size.
        prompts: Prompts to mark, in original pixels.
        scores: One for each mask, shown with two decimals and as 1 where a prediction overshoots it; or none.
        labels: One for each mask, shown before its score; or none.
        colors: One for each mask, (red, green, blue) of 0 to 255; None for `distinct_colors`.
        fill: Opacity of the fill, 0 to 1.
        dim: How much to darken what no mask covers, 0 to 1.
        max_side: Shrink the result to this longer side, pixels; None keeps the size.

    Returns:
        An RGB picture.

    Raises:
        ImageError: The picture is none.
        MaskError: A mask has another size.
        ConfigError: A number of scores, labels or colours other than the masks', or a value out of range.
    """
    pixels = pixels_of(image)
    size = Size(*pixels.shape[:2])
    masks = list(masks)
    check_masks(masks, size)
    for name, values in (("scores", scores), ("labels", labels), ("colors", colors or ())):
        if values and len(values) != len(masks):
            raise ConfigError(f"{name} must be one for each of the {len(masks)} masks, got {len(values)}.")
    for name, value in (("fill", fill), ("dim", dim)):
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} must be from 0 to 1, got {value:g}.")
    canvas = _canvas(pixels, max_side)
    scale = canvas.shape[0] / size.height, canvas.shape[1] / size.width
    style = Style.for_size(Size(*canvas.shape[:2]))
    plates = list(colors) if colors is not None else distinct_colors(len(masks))
    anchors = _paint(canvas, masks, plates, style, fill, dim)
    for prompt in prompts:
        if prompt.mask is not None:
            paint_mask(canvas, fit_mask(prompt.mask, canvas.shape), _WHITE, style, fill=0)
    picture = PillowImage.fromarray(canvas)
    taken = _draw_prompts(picture, prompts, scale, style)
    texts = _texts(len(masks), scores, labels)
    _draw_tags(picture, texts, anchors, plates, taken, style)
    return picture


def _canvas(pixels: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    """The picture to draw on: a copy, shrunk where asked."""
    if max_side is None or max(pixels.shape[:2]) <= max_side:
        return pixels.copy()
    if max_side < 1:
        raise ConfigError(f"max_side must be at least 1 pixel, got {max_side}.")
    import cv2

    scale = max_side / max(pixels.shape[:2])
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    resized = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8).reshape(height, width, 3)


def _paint(
    canvas: NDArray[np.uint8], masks: list[RLE], colors: list[RGB], style: Style, fill: float, dim: float
) -> list[tuple[int, int] | None]:
    """Paint the masks, large ones first; returns the (x, y) of each one's top, or None where it is empty."""
    anchors: list[tuple[int, int] | None] = [None] * len(masks)
    if dim and masks:
        background = np.ones(canvas.shape[:2], dtype=np.bool_)
        for mask in masks:
            background &= ~fit_rle(mask, canvas.shape)
        darker = np.rint(np.arange(256) * (1 - dim)).astype(np.uint8)
        canvas[background] = darker[canvas[background]]
    if len(masks) > _MANY:
        # Where masks touch each other everywhere, broad lines would hide what they bound.
        style = Style(max(1.0, style.outline * 0.6), max(0.5, style.halo * 0.5), style.mark, style.text)
    for index in sorted(range(len(masks)), key=lambda k: -masks[k].area):
        fitted = fit_rle(masks[index], canvas.shape)
        if not fitted.any():
            continue
        paint_mask(canvas, fitted, colors[index], style, fill=fill)
        top = int(np.argmax(fitted.any(axis=1)))
        columns = np.flatnonzero(fitted[top])
        anchors[index] = (int(columns[len(columns) // 2]), top)
    return anchors


def _draw_prompts(
    picture: PillowImage.Image, prompts: Sequence[Prompt], scale: tuple[float, float], style: Style
) -> list[Rectangle]:
    """Draw boxes, then clicks over them; returns what the clicks cover."""
    scale_y, scale_x = scale
    for prompt in prompts:
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box.tolist()
            draw_box(picture, (x0 * scale_x, y0 * scale_y, x1 * scale_x, y1 * scale_y), style)
    taken = []
    for prompt in prompts:
        if prompt.points is None or prompt.labels is None:
            continue
        for (x, y), label in zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True):
            # A click is a pixel's index; its centre lies half a pixel further.
            x, y = (x + 0.5) * scale_x, (y + 0.5) * scale_y
            taken.append(draw_click(picture, x, y, positive=label == 1, style=style))
    return taken


def _texts(count: int, scores: Sequence[float], labels: Sequence[str]) -> list[str]:
    texts = []
    for index in range(count):
        words = [labels[index]] if labels else []
        texts.append(" ".join([*words, f"{min(scores[index], 1.0):.2f}"] if scores else words))
    return texts


def _draw_tags(
    picture: PillowImage.Image,
    texts: list[str],
    anchors: list[tuple[int, int] | None],
    colors: list[RGB],
    taken: list[Rectangle],
    style: Style,
) -> None:
    for text, anchor, color in zip(texts, anchors, colors, strict=True):
        if not text or anchor is None:
            continue
        width, height = tag_size(text, style)
        if width > picture.width or height > picture.height:
            continue
        place = _free_place(anchor, (width, height), picture.size, taken, math.ceil(style.text * 0.4))
        draw_tag(picture, place, text, color, style)
        taken.append(place)


def _free_place(
    anchor: tuple[int, int], size: tuple[int, int], bounds: tuple[int, int], taken: list[Rectangle], gap: int
) -> Rectangle:
    """Where a tag goes: above the mask's top, else the nearest place round it that nothing else takes."""
    (x, y), (width, height) = anchor, size
    step = height + gap // 2
    shifts = [(0, -step * k) for k in range(3)] + [(side * (width + gap) / 2, 0) for side in (1, -1)]
    shifts += [(0, height + 2 * gap + step * k) for k in range(3)]
    first: Rectangle | None = None
    for right, down in shifts:
        left = min(max(round(x - width / 2 + right), 0), bounds[0] - width)
        top = min(max(round(y - gap - height + down), 0), bounds[1] - height)
        place = (left, top, left + width, top + height)
        first = first or place
        if not any(_overlap(place, other) for other in taken):
            return place
    assert first is not None
    return first


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
