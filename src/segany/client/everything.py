"""Everything: a run on the server, followed as it goes, and selected from for free."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from segany.client._http import Connection
from segany.errors import ServiceError
from segany.wire import AnnotationReply, EverythingReply, SelectReply, SelectRequest, ThresholdWords

__all__ = ["Everything"]


class Everything:
    """One run.

    Attributes:
        record_id: Of which record.
        run: What the server names it by.
    """

    def __init__(self, connection: Connection, record_id: int, run: str) -> None:
        """A run that was begun; from `Client.everything`."""
        self._connection, self.record_id, self.run = connection, record_id, run

    def state(self) -> EverythingReply:
        """Where it stands. Raises GoneError when the server forgot it."""
        return self._connection.ask(EverythingReply, "GET", self._path)

    def masks(
        self, thresholds: ThresholdWords | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[AnnotationReply]:
        """Each mask as it comes.

        Args:
            thresholds: What to keep; the reference's defaults when left out.
            progress: Called with the clicks made and the clicks in all.

        Raises:
            GoneError: The server forgot the run.
            ServiceError: The run failed.
        """
        query = {} if thresholds is None else thresholds.model_dump()
        with self._connection.stream(f"{self._path}/events", **query) as response:
            for name, data in _events(response.iter_lines()):
                if name == "mask":
                    yield AnnotationReply.model_validate(data)
                elif name == "progress" and progress is not None:
                    progress(data["done"], data["total"])
                elif name == "error":
                    raise ServiceError(data["message"])
                elif name == "done":
                    return
        raise ServiceError("the server ended the stream early; ask for the masks again.")

    def select(self, thresholds: ThresholdWords | None = None, *, link_parts: bool = False) -> list[AnnotationReply]:
        """The masks that pass other thresholds; cheap.

        Args:
            thresholds: What to keep.
            link_parts: Say in `parent_id` which mask is a part of which.

        Raises:
            GoneError: The run is not done, or was forgotten.
        """
        asked = SelectRequest(thresholds=thresholds or ThresholdWords(), link_parts=link_parts)
        return self._connection.ask(SelectReply, "POST", f"{self._path}/select", asked).annotations

    def stop(self) -> None:
        """End it."""
        self._connection.send("DELETE", self._path)

    @property
    def _path(self) -> str:
        return f"/records/{self.record_id}/everything/{self.run}"


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events (WHATWG HTML, sec. 9.2.6): name and data."""
    name, data = "message", ""
    for line in lines:
        if not line:
            if data:
                yield name, json.loads(data)
            name, data = "message", ""
        elif line.startswith("event:"):
            name = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:").strip()
