"""Many clicks on one image through the kernels: graphs run the tokens, kernels the passes over the image's cells.

The same answers as the graphs `score` and `draw`, up to rounding in bfloat16, in less than half the time: nothing the
size of the image is written between two operations.
"""

import math
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.model.config import ModelConfig
from segany.predict.backends._openvino_requests import CompiledGraph
from segany.predict.backends.kernels import Kernels
from segany.predict.backends.kernels._drawing import DRAWN
from segany.predict.backends.kernels._layout import CHUNK, GROUP, ROW, D, H, J

__all__ = ["HALF", "TiledDecoder", "TiledPrompt", "fits"]

# Outputs of the stages that the kernels read in bfloat16.
HALF = (
    *("keys1", "values1", "queries1", "cross1", "keys2", "values2", "queries2", "cross2a", "cross2b", "keys3"),
    *("values3", "position_keys2", "position_queries2", "position_keys3", "drawn", "second"),
    *("queries", "keys", "doubled", "gram", "own", "own2", "own3", "doubled1", "doubled2"),
)
_PLACED = (
    *("keys1", "values1", "queries1", "cross1", "keys2", "values2", "queries2", "cross2a", "cross2b", "keys3"),
    *("values3", "position_keys2", "position_queries2", "position_keys3", "drawn", "norms", "base", "shift", "bias"),
    *("gain", "offset", "epsilon", "second", "second_bias"),
)
# Prompts whose tokens are computed together.
_TOGETHER = 16
# States that are kept for later prompts instead of being given back: 4 MB each.
_SPARE = 24

Arrays = Mapping[str, NDArray[Any]]


def fits(config: ModelConfig) -> bool:
    """Whether a model has the sizes that the kernels are written for."""
    sizes = config.embed_dim, config.decoder_heads, config.embedding_side
    return sizes == (2 * H * D, H, 64)


@dataclass(frozen=True, eq=False)
class _State:
    """GROUP prompts' part of the cells: z (pairs of 2 J rows) in bfloat16, 1 / sigma of the two layer norms."""

    z: NDArray[np.uint16]
    r1: NDArray[np.float32]
    r2: NDArray[np.float32]

    @classmethod
    def empty(cls, cells: int) -> "_State":
        norms = (np.empty((GROUP, cells), dtype=np.float32) for _ in range(2))
        return cls(np.empty((GROUP, cells * 2 * J), dtype=np.uint16), *norms)


class _Lease:
    """A state on loan: when the last prompt that needs it is gone, it goes back to those that wait for use."""

    def __init__(self, spare: deque[_State], cells: int) -> None:
        try:
            self.state = spare.pop()
        except IndexError:
            self.state = _State.empty(cells)
        weakref.finalize(self, spare.append, self.state)


@dataclass(frozen=True, eq=False)
class TiledPrompt:
    """A scored prompt.

    Attributes:
        hyper: [4, C] float32, its masks' weights.
        own: [E, 2 J] bfloat16, what its part of the cells becomes in the first transposed convolution.
        lease: The state of its group.
        place: Its number in the group.
    """

    hyper: NDArray[np.float32]
    own: NDArray[np.uint16]
    lease: _Lease
    place: int


class _Scratch(threading.local):
    """Memory that each thread works in."""

    def __init__(self, cells: int) -> None:
        two_heads = 2 * J // H
        self.scores = np.empty(max(two_heads * (cells + 16), GROUP * J * ROW), dtype=np.float32)
        self.weights = np.empty(max(two_heads * (cells + 32), 2 * J * ROW), dtype=np.uint16)
        self.rows = np.empty(GROUP * J * ROW, dtype=np.uint16)
        self.attention = np.empty((_TOGETHER, cells // CHUNK * J * ROW), dtype=np.uint16)


class TiledDecoder:
    """Scores and draws clicks on all threads. Threads may share it."""

    def __init__(self, graph: Callable[[str], CompiledGraph], kernels: Kernels, cells: int, threads: int) -> None:
        """Take the stages' graphs by name, the kernels, the cells of an image and how many threads to use."""
        self._graph = graph
        self._kernels = kernels
        self._cells = cells
        self._threads = threads
        self._scratch = _Scratch(cells)
        self._spare: deque[_State] = deque(maxlen=_SPARE)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="segany-tiles")

    def place(self, embedding: NDArray[np.float32]) -> Arrays:
        """What all prompts of an image share: `Placed`, by name."""
        return dict(zip(_PLACED, self._run("place", embedding), strict=True))

    def score(self, placed: Arrays, tokens: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[TiledPrompt]]:
        """Score prompts.

        Args:
            placed: Of `place`.
            tokens: [P, T, E] of the graph `prompt`.

        Returns:
            [P, 4] IoU predictions, and P prompts to draw.
        """
        share = min(_TOGETHER, -(-len(tokens) // (self._threads * GROUP)) * GROUP)
        parts = [tokens[start : start + share] for start in range(0, len(tokens), share)]
        done = list(self._pool.map(lambda part: self._score(placed, part), parts))
        return np.concatenate([scores for scores, _ in done]), [prompt for _, prompts in done for prompt in prompts]

    def draw(
        self,
        placed: Arrays,
        wanted: Sequence[tuple[TiledPrompt, NDArray[np.int64]]],
        near: float | None,
    ) -> list[NDArray[np.float32]]:
        """Draw masks.

        Args:
            placed: Of `place`.
            wanted: Prompts, and which of their masks.
            near: Where all logits of a cell and of its neighbours are this far from 0, on one side, one logit stands
                for the cell; None to draw everything.

        Returns:
            For each, [k, 4 S, 4 S].
        """
        return list(self._pool.map(lambda one: self._draw(placed, one[0], one[1], near), wanted))

    def sample(
        self, placed: Arrays, wanted: Sequence[tuple[TiledPrompt, NDArray[np.int64]]]
    ) -> list[NDArray[np.float32]]:
        """Draw one logit of each cell: [k, S, S] for each prompt; see `draw`."""
        return list(self._pool.map(lambda one: self._sample(placed, one[0], one[1]), wanted))

    def _score(self, s: Arrays, tokens: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[TiledPrompt]]:
        prompts, n, scratch = len(tokens), self._cells, self._scratch
        groups = [slice(start, min(start + GROUP, prompts)) for start in range(0, prompts, GROUP)]
        leases = [_Lease(self._spare, n) for _ in groups]
        x, queries = self._run("begin", tokens)
        out, share = np.empty((prompts, J, D), dtype=np.float32), np.empty((prompts, J), dtype=np.float32)
        self._kernels.call("read", n, prompts, s["keys1"], s["values1"], queries, out, scratch.scores, scratch.weights)
        y, values, *first = self._run("follow", tokens, x, out)
        gathered = np.empty((prompts, J, J), dtype=np.float32)
        for group, lease in zip(groups, leases, strict=True):
            self._kernels.call(
                *("first_update", n, group.stop - group.start),
                *(s[name] for name in ("queries1", "cross1", "keys2", "position_keys2", "values2", "norms")),
                *(one[group] for one in (*first, gathered, out, scratch.attention)),
                *(lease.state.r1, scratch.scores, scratch.weights),
            )
        y, both, *second = self._run("proceed", tokens, y, values, gathered, out)
        gathered = np.empty((prompts, 2 * J, J), dtype=np.float32)
        cross, read = ("cross2a", "cross2b"), ("keys3", "position_keys3", "values3")
        for group, lease in zip(groups, leases, strict=True):
            state = lease.state
            self._kernels.call(
                *("second_update", n, group.stop - group.start),
                *(s[name] for name in ("queries2", "position_queries2", *cross, *read)),
                *(s["norms"][1], s["norms"][2], s["base"], scratch.attention[group], state.r1),
                *(one[group] for one in (*second, gathered, out, share)),
                *(state.z, state.r2, scratch.scores, scratch.rows, scratch.weights),
            )
        scores, hyper, own = self._run("finish", y, both, gathered, out, share)
        made = (TiledPrompt(hyper[k], own[k], leases[k // GROUP], k % GROUP) for k in range(prompts))
        return scores, list(made)

    def _draw(
        self, s: Arrays, prompt: TiledPrompt, masks: NDArray[np.int64], near: float | None
    ) -> NDArray[np.float32]:
        count, side = len(masks), math.isqrt(self._cells)
        tiles = np.arange(self._cells // DRAWN, dtype=np.int32)
        logits = np.empty((count, 4 * side, 4 * side), dtype=np.float32)
        if near is not None:
            sample = self._sample(s, prompt, masks)
            tiles = tiles[_borders(sample, near).reshape(-1, DRAWN).any(1)]
            spread = np.broadcast_to(sample[:, :, None, :, None], (count, side, 4, side, 4))
            logits.reshape(spread.shape)[...] = spread
        if len(tiles):
            self._kernels.call("draw", self._cells, tiles, len(tiles), count, *_drawn_from(s, prompt, masks), logits)
        return logits

    def _sample(self, s: Arrays, prompt: TiledPrompt, masks: NDArray[np.int64]) -> NDArray[np.float32]:
        side = math.isqrt(self._cells)
        tiles = np.arange(self._cells // DRAWN, dtype=np.int32)
        sample = np.empty((len(masks), side, side), dtype=np.float32)
        self._kernels.call("sample", self._cells, tiles, len(tiles), len(masks), *_drawn_from(s, prompt, masks), sample)
        return sample

    def _run(self, name: str, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        return [_numbers(tensor) for tensor in self._graph(name).run(*inputs)]


def _drawn_from(s: Arrays, prompt: TiledPrompt, masks: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """What both ways of drawing read."""
    state, place = prompt.lease.state, prompt.place
    own = (state.z[place], state.r1[place], state.r2[place], prompt.own, prompt.hyper[masks])
    names = ("drawn", "shift", "bias", "gain", "offset", "second", "second_bias", "epsilon")
    return (*own, *(s[name] for name in names))


def _numbers(tensor: Any) -> NDArray[Any]:
    """A tensor's numbers, bfloat16 as integers of 16 bits."""
    numbers: NDArray[Any] = tensor.data
    return numbers.view(np.uint16) if numbers.dtype == np.float16 else numbers


def _borders(sample: NDArray[np.float32], near: float) -> NDArray[np.bool_]:
    """[cells] whether any mask [k, s, s] comes near zero in a cell or around it, or changes sides there."""
    import cv2

    around = np.ones((3, 3), dtype=np.uint8)
    found = np.zeros(sample.shape[1:], dtype=np.bool_)
    for one in sample:
        found |= (cv2.erode(one, around) < near) & (cv2.dilate(one, around) > -near)
    return found.ravel()
