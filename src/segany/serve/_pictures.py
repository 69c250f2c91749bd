"""Pictures as a browser shows them: the stored file where it can, else a PNG; and thumbnails."""

import io
from typing import NamedTuple

from PIL import Image as PillowImage

from segany.store import Store

__all__ = ["Picture", "picture", "thumbnail"]

_JPEG_QUALITY = 85


class Picture(NamedTuple):
    """A file to send.

    Attributes:
        content: Its bytes.
        media_type: Told by its content, never by its name.
    """

    content: bytes
    media_type: str


def picture(store: Store, record_id: int, max_pixels: int | None) -> Picture:
    """The image of a record. Raises as `Store.image`."""
    info = store.records.get(record_id).record.image
    _, content = store.image_file(record_id)
    media_type = _media_type(content)
    if media_type is not None and info.dtype == "uint8" and info.channels in (1, 3):
        return Picture(content, media_type)
    # Deep, many-channel and foreign files: what the model sees of them.
    buffer = io.BytesIO()
    PillowImage.fromarray(store.image(record_id, max_pixels=max_pixels).pixels).save(buffer, "PNG", compress_level=1)
    return Picture(buffer.getvalue(), "image/png")


def thumbnail(store: Store, record_id: int, side: int, max_pixels: int | None) -> Picture:
    """A small JPEG of it, neither side longer than `side`. Raises as `Store.image`."""
    small = PillowImage.fromarray(store.image(record_id, max_pixels=max_pixels).pixels)
    small.thumbnail((side, side), PillowImage.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Picture(buffer.getvalue(), "image/jpeg")


def _media_type(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return None
