"""What all words of the API share: strict requests, tolerant replies, masks, prompts and ids."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from segany.geometry import Size
from segany.masks import RLE

__all__ = [
    "EDIT_KEY",
    "AnnotationId",
    "Box",
    "Mask",
    "Name",
    "Number",
    "PromptWords",
    "RecordId",
    "Reply",
    "Request",
    "Revision",
    "Text",
    "example",
]

_MAX_PLAIN = 2**53 - 1
MAX_COUNTS = 8_000_000

# No control characters, and no half of a surrogate pair: databases and file systems do not hold them.
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

Number = Annotated[float, Field(ge=-1e9, le=1e9)]
RecordId = Annotated[int, Field(ge=1, le=_MAX_PLAIN, description="Number of a record in the store.")]
Revision = Annotated[int, Field(ge=0, le=_MAX_PLAIN, description="Number of a change of the store.")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_PRINTABLE)]
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
AnnotationId = Annotated[int, Field(ge=-_MAX_PLAIN, le=_MAX_PLAIN)] | Name
Box = tuple[Number, Number, Number, Number]
EDIT_KEY = "A word that is different for every edit, such as a UUID: sent again, the edit is not made twice."


def example(*values: dict[str, Any]) -> dict[str, Any]:
    """The schema's examples."""
    return {"examples": list(values)}


class Request(BaseModel):
    """What is sent: unknown keys and numbers that are none are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Reply(BaseModel):
    """What comes back: keys that a newer server adds are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Mask(Request):
    """A binary mask as COCO's compressed run lengths, column-major; never an array.

    Attributes:
        size: Height and width, pixels.
        counts: As `pycocotools` writes them.
    """

    model_config = ConfigDict(json_schema_extra=example({"size": [4, 4], "counts": "52203"}))

    size: tuple[Annotated[int, Field(ge=1, le=100_000)], Annotated[int, Field(ge=1, le=100_000)]]
    counts: Annotated[str, Field(max_length=MAX_COUNTS)]

    @classmethod
    def of(cls, rle: RLE) -> "Mask":
        """As it is sent."""
        return cls.model_construct(size=(rle.size.height, rle.size.width), counts=rle.counts.decode("ascii"))

    def rle(self) -> RLE:
        """As the rest of segany has it.

        Raises:
            MaskError: The counts are no run lengths of that size.
        """
        return RLE(Size(*self.size), self.counts.encode("ascii", "replace"))


class PromptWords(Request):
    """Clicks, a box, a rough mask or an earlier answer, or several of them; at least one.

    Attributes:
        points: (x, y), pixel indices of the image.
        labels: 1 on the object, 0 off it, one for each point; all 1 when left out.
        box: XYXY half-open, pixels of the image.
        mask: A rough mask.
        logits: The id of an earlier candidate, which is refined.
    """

    model_config = ConfigDict(
        json_schema_extra=example({"points": [[12.0, 8.0], [4.0, 6.0]], "labels": [1, 0]}, {"box": [1, 1, 9, 7]})
    )

    points: Annotated[list[tuple[Number, Number]], Field(min_length=1, max_length=1000)] | None = None
    labels: Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(max_length=1000)] | None = None
    box: Box | None = None
    mask: Mask | None = None
    logits: Annotated[str, Field(max_length=64)] | None = None
