"""Client: the API as Python calls."""

import io
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import httpx2
import numpy as np
from numpy.typing import NDArray

from segany.client._collection import CollectionCalls
from segany.client._http import Connection
from segany.client.everything import Everything
from segany.errors import ConfigError, ImageError, ServiceError
from segany.masks import RLE
from segany.wire import (
    AnnotationInput,
    EditRequest,
    EmbeddingReply,
    EverythingReply,
    EverythingRequest,
    GridWords,
    HealthReply,
    Mask,
    NameReply,
    NamesReply,
    NamesRequest,
    PredictionReply,
    PredictReply,
    PredictRequest,
    PromptWords,
    RecordPage,
    RecordReply,
    RecordSummaryReply,
    RestoreRequest,
    ReviewRequest,
    ReviewStep,
    RevisionReply,
    RevisionsReply,
    StateName,
    UploadReply,
)

__all__ = ["Client"]

_POLL_SECONDS = 0.1
Upload = str | os.PathLike[str] | tuple[str, bytes]


class Client(CollectionCalls):
    """A connection to a segany server. Threads may share it.

    What the server refuses comes as the same errors that segany raises elsewhere: `ConflictError` with the record's
    revision, `NotInStoreError`, `PromptError`, `AccessError`, `BusyError`.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_seconds: float = 120.0,
        patience_seconds: float = 60.0,
        http: httpx2.Client | None = None,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            url: Of the server.
            token: From `new_token`; None on a server without accounts, or to `sign_in`.
            timeout_seconds: How long one answer may take.
            patience_seconds: How long a request is sent again while the server is busy or not there.
            http: Use this HTTP client, with its base URL.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"a server's URL begins with http:// or https://, got {url!r}.")
        made = http or httpx2.Client(base_url=url, timeout=timeout_seconds)
        self._connection = Connection(made, token=token, patience_seconds=patience_seconds)

    def __enter__(self) -> "Client":
        """For `with`: closes at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.http.close()

    def sign_in(self, name: str, password: str) -> None:
        """Begin a session instead of using a token. Raises AccessError."""
        self._connection.sign_in(name, password)

    def health(self) -> HealthReply:
        """Whether the server is ready; waits for it."""
        return self._connection.ask(HealthReply, "GET", "/health/ready")

    def upload(self, images: Upload | Iterable[Upload]) -> UploadReply:
        """Add images to the store; one that is there already is recognised.

        Args:
            images: Files, or (name, content).

        Raises:
            ImageError: A file cannot be read here.
        """
        several: Iterable[Upload] = [images] if isinstance(images, str | os.PathLike | tuple) else images
        given = list(several)
        opened: list[tuple[str, bytes]] = [each if isinstance(each, tuple) else _read(Path(each)) for each in given]

        def files() -> list[tuple[str, tuple[str, BinaryIO]]]:
            return [("files", (name, io.BytesIO(content))) for name, content in opened]

        return UploadReply.model_validate_json(self._connection.upload("/records", files).content)

    def records(self, *, split: str | None = None, state: StateName | None = None) -> Iterator[RecordSummaryReply]:
        """All records, page by page.

        Args:
            split: Only of this split.
            state: Only with an annotation in this state of review.
        """
        following: int | None = 0
        while following is not None:
            page = self._connection.ask(
                RecordPage, "GET", "/records", after=following, limit=200, split=split, state=state
            )
            yield from page.records
            following = page.next

    def record(self, record_id: int, *, revision: int | None = None) -> RecordReply:
        """A record as it is, or as it was.

        Args:
            record_id: Which.
            revision: As it was then.
        """
        return self._connection.ask(RecordReply, "GET", f"/records/{record_id}", revision=revision)

    def remove_record(self, record_id: int, *, expected: int) -> None:
        """Take a record out of the collection.

        Args:
            record_id: Which.
            expected: The revision that it is at.
        """
        self._connection.send("DELETE", f"/records/{record_id}", expected=expected)

    def image(self, record_id: int) -> bytes:
        """The picture: JPEG, PNG or WebP."""
        return self._connection.send("GET", f"/records/{record_id}/image").content

    def thumbnail(self, record_id: int, side: int = 256) -> bytes:
        """A small JPEG of it, neither side longer than `side`."""
        return self._connection.send("GET", f"/records/{record_id}/thumbnail", side=side).content

    def embed(self, record_id: int, *, wait: bool = True, max_seconds: float = 120.0) -> EmbeddingReply:
        """Have an image embedded ahead of prompts.

        Args:
            record_id: Which.
            wait: Until it is.
            max_seconds: How long to wait.

        Raises:
            ServiceError: It is not done by then.
        """
        until = time.monotonic() + max_seconds
        while True:
            reply = self._connection.ask(EmbeddingReply, "POST", f"/records/{record_id}/embedding")
            if reply.state == "ready" or not wait:
                return reply
            if time.monotonic() > until:
                raise ServiceError(f"record {record_id} is not embedded after {max_seconds:g} s.")
            time.sleep(_POLL_SECONDS)

    def features(self, record_id: int) -> NDArray[np.float16]:
        """[C, h, w] float16: the embedding's features, for decoding on one's own."""
        shape = self.embed(record_id).shape
        content = self._connection.send("GET", f"/records/{record_id}/embedding/features").content
        return np.frombuffer(content, dtype="<f2").reshape(shape)

    def predict(
        self,
        record_id: int,
        *,
        points: Sequence[tuple[float, float]] | None = None,
        labels: Sequence[int] | None = None,
        box: Sequence[float] | None = None,
        mask: Mask | RLE | None = None,
        logits: str | None = None,
        multimask: bool | None = None,
        refine: int = 0,
    ) -> PredictionReply:
        """Masks for one prompt, the best first.

        Args:
            record_id: Of which record's image.
            points: (x, y), pixel indices.
            labels: 1 on the object, 0 off it.
            box: XYXY half-open, pixels.
            mask: A rough mask, of the image's size.
            logits: Of an earlier candidate, which is refined.
            multimask: Three masks, one, or (None) three for a lone click.
            refine: How often the best mask is fed back.

        Raises:
            PromptError: The prompt does not fit the image.
            GoneError: The server forgot the earlier answer; give its mask.
        """
        given: dict[str, Any] = {"points": points, "labels": labels, "box": box, "logits": logits}
        given["mask"] = Mask.of(mask) if isinstance(mask, RLE) else mask
        words = PromptWords(**{name: value for name, value in given.items() if value is not None})
        return self.predict_many(record_id, [words], multimask=multimask, refine=refine).predictions[0]

    def predict_many(
        self,
        record_id: int,
        prompts: Sequence[PromptWords],
        *,
        multimask: bool | None = None,
        refine: int = 0,
        alternatives: bool = True,
    ) -> PredictReply:
        """Masks for many prompts of one image.

        Args:
            record_id: Of which record's image.
            prompts: At most 64.
            multimask: As in `predict`.
            refine: As in `predict`.
            alternatives: Whether candidates after the best are sent, too.

        Raises:
            PromptError: As `predict`.
            GoneError: As `predict`.
        """
        asked = PredictRequest(prompts=list(prompts), multimask=multimask, refine=refine, alternatives=alternatives)
        return self._connection.ask(PredictReply, "POST", f"/records/{record_id}/predict", asked)

    def suggest_names(self, record_id: int, what: Mask | RLE | int | str) -> list[NameReply]:
        """What an object could be called, the likeliest first: learned from what people named.

        Args:
            record_id: Of which record's image.
            what: The object: a mask of the image's size, or an annotation's id.

        Returns:
            At most three; none while fewer than two names were learned.

        Raises:
            MaskError: The mask does not have the image's size.
            NotInStoreError: There is no such annotation.
        """
        if isinstance(what, int | str):
            asked = NamesRequest(annotation=what)
        else:
            asked = NamesRequest(mask=Mask.of(what) if isinstance(what, RLE) else what)
        return self._connection.ask(NamesReply, "POST", f"/records/{record_id}/names", asked).names

    def everything(self, record_id: int, grid: GridWords | None = None) -> Everything:
        """Begin to find every mask.

        Args:
            record_id: Of which record's image.
            grid: Where to click.
        """
        asked = EverythingRequest(grid=grid or GridWords())
        reply = self._connection.ask(EverythingReply, "POST", f"/records/{record_id}/everything", asked)
        return Everything(self._connection, record_id, reply.run)

    def edit(
        self,
        record_id: int,
        *,
        expected: int,
        put: Sequence[AnnotationInput] = (),
        remove: Sequence[int | str] = (),
        key: str | None = None,
        note: str | None = None,
    ) -> RecordReply:
        """Add, change and remove annotations: all of it or nothing.

        Args:
            record_id: Which record.
            expected: The revision that the edit was made on.
            put: New and changed annotations.
            remove: Ids of annotations.
            key: A word of its own for each edit; a new one when left out.
            note: For the audit log.

        Raises:
            ConflictError: Someone else changed the record; its `current` is what it is at.
        """
        asked = EditRequest(
            expected=expected, key=key or uuid.uuid4().hex, put=list(put), remove=list(remove), note=note
        )
        return self._connection.ask(RecordReply, "POST", f"/records/{record_id}/edits", asked)

    def review(
        self,
        record_id: int,
        steps: dict[int | str, Literal["accept", "reject", "flag", "reopen"]],
        *,
        expected: int,
        note: str | None = None,
    ) -> RecordReply:
        """Take a step of review with annotations.

        Args:
            record_id: Which record.
            steps: Annotation -> step.
            expected: As in `edit`.
            note: Why.

        Raises:
            ConflictError: As `edit`.
            ReviewError: The step may not be taken from where the annotation is.
        """
        told = [ReviewStep(id=identity, action=action) for identity, action in steps.items()]
        asked = ReviewRequest(expected=expected, steps=told, note=note)
        return self._connection.ask(RecordReply, "POST", f"/records/{record_id}/review", asked)

    def restore(self, record_id: int, revision: int, *, expected: int) -> RecordReply:
        """Undo or redo: the annotations become what they were at a revision.

        Args:
            record_id: Which record.
            revision: From `revisions`.
            expected: As in `edit`.

        Raises:
            ConflictError: As `edit`.
        """
        asked = RestoreRequest(revision=revision, expected=expected)
        return self._connection.ask(RecordReply, "POST", f"/records/{record_id}/restore", asked)

    def revisions(self, record_id: int) -> list[RevisionReply]:
        """What became of a record, the oldest first."""
        return self._connection.ask(RevisionsReply, "GET", f"/records/{record_id}/revisions").revisions


def _read(path: Path) -> tuple[str, bytes]:
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}; check its name and the folder it is in.") from error
