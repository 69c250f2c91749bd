"""BrowserDecoder: the decoder's graphs for pages that decode themselves, exported once, in a process of its own."""

import asyncio
import contextlib
import hashlib
import importlib.util
import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

from segany.deploy import PAGE_GRAPHS, ExportCard, read_card
from segany.errors import NotInStoreError, SeganyError
from segany.predict.backends.base import Backend
from segany.settings import child_environment

__all__ = ["BrowserDecoder", "DecoderState", "ServedGraph", "export_apart"]

_log = logging.getLogger("segany.serve")

DecoderState = Literal["ready", "making", "missing", "unavailable"]
_LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
_PRECISION = "float32"
# Raised when equal models are to be exported anew.
_VERSION = 1


class ServedGraph(NamedTuple):
    """One graph.

    Attributes:
        name: "prepare" or "decode".
        path: Its file.
        bytes: Its length.
        sha256: Its digest, hexadecimal.
    """

    name: str
    path: Path
    bytes: int
    sha256: str


class BrowserDecoder:
    """The graphs of one model, kept in a folder that all servers of a home share. Used from one event loop."""

    def __init__(self, model: str, backend: Backend, home: Path) -> None:
        """Make nothing yet.

        Args:
            model: A name of `segany weights list`, or a checkpoint file.
            backend: That model, loaded.
            home: Where graphs are kept, in a folder named by what they are made from.
        """
        made_from = [backend.model_digest, backend.encoder_digest, _PRECISION, _VERSION, version("segany")]
        key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]
        self._model, self._digest = model, backend.model_digest
        self._folder = home / "graphs" / key
        self._graphs: dict[str, ServedGraph] = {}
        self._making: asyncio.Task[None] | None = None
        self._failed: str | None = None

    @property
    def state(self) -> DecoderState:
        """Whether the graphs are there."""
        if self._graphs:
            return "ready"
        if self._failed is not None:
            return "unavailable"
        return "missing" if self._making is None else "making"

    @property
    def message(self) -> str | None:
        """Why they cannot be had."""
        return self._failed

    @property
    def graphs(self) -> tuple[ServedGraph, ...]:
        """The graphs, once they are there."""
        return tuple(self._graphs.values())

    def begin(self) -> None:
        """Find the graphs, or make them, unless that was begun already."""
        if self._graphs or self._making is not None or self._failed is not None:
            return
        self._making = asyncio.create_task(self._make())

    def graph(self, sha256: str) -> ServedGraph:
        """A graph by its digest.

        Raises:
            NotInStoreError: There is none.
        """
        if sha256 not in self._graphs:
            raise NotInStoreError("there is no such graph; ask for the decoder again.")
        return self._graphs[sha256]

    async def close(self) -> None:
        """Stop making them."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)

    async def _make(self) -> None:
        try:
            card = await asyncio.to_thread(self._kept)
            if card is None:
                if missing := [name for name in _LIBRARIES if not importlib.util.find_spec(name)]:
                    raise SeganyError(f"{', '.join(missing)} is not installed: pip install 'segany[export]'")
                await export_apart(self._model, self._folder)
                card = await asyncio.to_thread(self._kept)
            if card is None:
                raise SeganyError("the exported graphs are not of the model that the server runs.")
        except (SeganyError, OSError) as error:
            _log.warning("pages cannot decode by themselves: %s", error)
            self._failed = str(error)
            return
        for name in PAGE_GRAPHS:
            one = card.graphs[name]
            self._graphs[one.sha256] = ServedGraph(name, self._folder / one.file, one.bytes, one.sha256)

    def _kept(self) -> ExportCard | None:
        """What the folder holds, if it is whole and of this model."""
        try:
            card = read_card(self._folder)
        except SeganyError:
            return None
        return card if card.model_digest == self._digest and set(PAGE_GRAPHS) <= card.graphs.keys() else None


async def export_apart(model: str, folder: Path) -> None:
    """Export in a process of its own, on one thread: requests go on, and its memory is given back.

    Args:
        model: As `segany export decoder` takes it.
        folder: Where to.

    Raises:
        SeganyError: It failed.
        OSError: It could not be started.
    """
    command = ["export", "decoder", "--model", model, "--for-page", "--precision", _PRECISION, "--out", str(folder)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "segany", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(threads=1),
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise SeganyError(
            lines[-1].removeprefix("error: ") if lines else f"the export ended with {process.returncode}."
        )
