"""What a file that is no readable image seems to be, and what to do about it."""

import codecs

__all__ = ["describe_foreign"]

# (where the mark lies, the mark, what the file is, what to do)
_MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"%PDF", "a PDF document", "export the page as PNG first"),
    (0, b"%!PS", "PostScript", "export it as PNG first"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript", "export it as PNG first"),
    (0, b"8BPS", "a Photoshop document", "export it as PNG or TIFF first"),
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it first"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"\x93NUMPY", "a NumPy array file", "load it with numpy.load and pass the array"),
    (0, b"\x89HDF", "an HDF5 file", "read the array out of it and pass that"),
    (128, b"DICM", "a DICOM file", "export the slice as PNG or TIFF, or pass its array"),
    (4, b"ftypheic", "a HEIC photo", "convert it to JPEG or PNG first"),
    (4, b"ftypheix", "a HEIC photo", "convert it to JPEG or PNG first"),
    (4, b"ftypmif1", "a HEIF photo", "convert it to JPEG or PNG first"),
    (4, b"ftyp", "a video", "extract its frames as images first"),
    (0, b"\x1aE\xdf\xa3", "a video", "extract its frames as images first"),
)


def describe_foreign(head: bytes) -> tuple[str, str] | None:
    """Guess from the first bytes.

    Args:
        head: The first kilobyte or so.

    Returns:
        What it is and what to do, or None when it is unknown.
    """
    for offset, mark, what, advice in _MARKS:
        if head[offset : offset + len(mark)] == mark:
            return what, advice
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        return "an SVG drawing", "export it as PNG first"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page, perhaps of a download that failed", "download the image itself"
    if head and b"\x00" not in head and _is_text(head):
        return "a text file", "give an image"
    return None


def _is_text(head: bytes) -> bool:
    try:
        # Incremental: the last character may have been cut in the middle.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in head)
