"""Copies are found; different photos are not."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segany.settings import Settings
from segany.sources import iter_image_paths, open_image
from segany.store.near_duplicates import HASH_BYTES, MAX_DIFFERING_BITS, HashIndex, perceptual_hash


def photo(seed: int, size: tuple[int, int] = (120, 160)) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def differing(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def test_copies_are_close_and_others_are_not() -> None:
    original = photo(0)
    wanted = perceptual_hash(original)
    assert len(wanted) == HASH_BYTES
    half = cv2.resize(original, (80, 60), interpolation=cv2.INTER_AREA)
    brighter = np.clip(original * 1.1 + 5, 0, 255).astype(np.uint8)
    recompressed = cv2.imdecode(cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
    for copy in (half, brighter, recompressed):
        assert differing(wanted, perceptual_hash(np.asarray(copy, dtype=np.uint8))) <= MAX_DIFFERING_BITS
    assert min(differing(wanted, perceptual_hash(photo(seed))) for seed in range(1, 60)) > MAX_DIFFERING_BITS


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3, 2), (64, 64)])
def test_any_size_has_one(size: tuple[int, int]) -> None:
    assert len(perceptual_hash(np.full((*size, 3), 7, dtype=np.uint8))) == HASH_BYTES


def test_the_index_agrees_with_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, HASH_BYTES, dtype=np.uint8)
    hashes = []
    for flips in range(0, 60, 2):
        bits = np.unpackbits(base)
        bits[rng.choice(len(bits), flips, replace=False)] ^= 1
        hashes.append(np.packbits(bits).tobytes())
    hashes += [rng.bytes(HASH_BYTES) for _ in range(200)]
    index = HashIndex()
    for start in range(0, len(hashes), 37):
        part = hashes[start : start + 37]
        index.add(list(range(start + 1, start + 1 + len(part))), part)
    assert len(index) == len(hashes)
    distances = {number: differing(base.tobytes(), each) for number, each in enumerate(hashes, 1)}
    wanted = sorted((n for n, d in distances.items() if d <= MAX_DIFFERING_BITS), key=lambda n: (distances[n], n))
    assert index.near(base.tobytes()) == wanted


def test_real_copies() -> None:
    """BSDS500 and the GrabCut set share images; nothing else of the two is alike."""
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    hashes = {
        name: {
            path.stem: perceptual_hash(open_image(path).pixels) for path in iter_image_paths([data / name / "images"])
        }
        for name in ("grabcut", "bsds500")
    }
    pairs = {
        (a, b)
        for a, first in hashes["grabcut"].items()
        for b, second in hashes["bsds500"].items()
        if differing(first, second) <= MAX_DIFFERING_BITS
    }
    assert pairs == {(name, name) for name in hashes["grabcut"].keys() & hashes["bsds500"].keys()}
    assert pairs
