"""The embedding cache: found again, never mixed up, bounded, and never in the way."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.predict import ImageEmbedding, Predictor
from segany.predict.backends import FakeBackend
from segany.predict.cache import EmbeddingCache


def photo(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def embed(seed: int, backend: FakeBackend | None = None) -> ImageEmbedding:
    return Predictor(backend=backend or FakeBackend()).embed(photo(seed))


def test_an_embedding_is_found_again_bit_for_bit(tmp_path: Path) -> None:
    cache, backend = EmbeddingCache(tmp_path, 10**6), FakeBackend()
    stored = embed(1)
    assert cache.load(stored.image_digest, backend) is None
    cache.store(stored)
    found = cache.load(stored.image_digest, backend)
    assert found is not None
    assert found.frame == stored.frame
    np.testing.assert_array_equal(found.features.to_numpy()["colour"], stored.features.to_numpy()["colour"])


def test_an_embedding_made_in_bf16_is_never_returned_to_an_fp32_predictor(tmp_path: Path) -> None:
    cache, low = EmbeddingCache(tmp_path, 10**6), FakeBackend()
    low.key = "fake/1/cpu/bfloat16"
    stored = embed(1, low)
    cache.store(stored)
    assert cache.load(stored.image_digest, FakeBackend()) is None
    assert cache.load(stored.image_digest, low) is not None


def test_another_encoder_another_image_and_another_version_are_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, other = EmbeddingCache(tmp_path, 10**6), FakeBackend()
    stored = embed(1)
    cache.store(stored)
    other.encoder_digest = "1" * 64
    assert cache.load(stored.image_digest, other) is None
    assert cache.load(embed(2).image_digest, FakeBackend()) is None
    monkeypatch.setattr("segany.predict.cache.PREPROCESS_VERSION", 99)
    assert cache.load(stored.image_digest, FakeBackend()) is None


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    backend = FakeBackend()
    size = 0
    embeddings = [embed(seed) for seed in range(6)]
    probe = EmbeddingCache(tmp_path / "probe", 10**6)
    probe.store(embeddings[0])
    size = probe.info().used_bytes
    cache = EmbeddingCache(tmp_path / "cache", int(size * 4.5))
    for age, embedding in enumerate(embeddings[:4]):
        cache.store(embedding)
        for file in (tmp_path / "cache").rglob("*.safetensors"):
            if file.stat().st_mtime > 10_000:
                os.utime(file, (1000 + age, 1000 + age))
    assert cache.load(embeddings[0].image_digest, backend) is not None  # used just now
    cache.store(embeddings[4])
    here = [cache.load(embedding.image_digest, backend) is not None for embedding in embeddings[:5]]
    assert here == [True, False, True, True, True]
    assert cache.info().used_bytes <= size * 4.5


@pytest.mark.parametrize("damage", [b"", b"x" * 50, None])
def test_a_damaged_file_is_removed_and_made_again(tmp_path: Path, damage: bytes | None) -> None:
    cache, stored = EmbeddingCache(tmp_path, 10**6), embed(1)
    cache.store(stored)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3] if damage is None else damage)
    assert cache.load(stored.image_digest, FakeBackend()) is None
    assert not file.exists()
    cache.store(stored)
    assert cache.load(stored.image_digest, FakeBackend()) is not None


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file" / "below", 10**6)
    with pytest.warns(RuntimeWarning, match="embeddings are not cached: cannot write"):
        cache.store(embed(1))
    cache.store(embed(2))  # no second warning: warnings are errors here
    assert cache.load(embed(1).image_digest, FakeBackend()) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on file size are a POSIX thing")
def test_a_full_disk_costs_time_not_the_answer(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys, warnings; import numpy as np;"
        "from segany.predict import Predictor; from segany.predict.backends import FakeBackend;"
        "from segany.predict.cache import EmbeddingCache; from pathlib import Path;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); warnings.simplefilter('error');"
        "p = Predictor(backend=FakeBackend(), cache=EmbeddingCache(Path(sys.argv[1]), 10**6));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); warnings.simplefilter('ignore');"
        "print(p.embed(np.zeros((9, 9, 3), np.uint8)).frame.original)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "9x9 (height x width)"
    assert not list(tmp_path.rglob("*.safetensors"))


def test_clear_removes_everything_and_says_how_much(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 10**6)
    for seed in range(3):
        cache.store(embed(seed))
    assert cache.clear().files == 3
    assert cache.info().files == 0


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="above 0 bytes, got 0"):
        EmbeddingCache(tmp_path, 0)


def test_a_predictor_with_a_cache_embeds_once(tmp_path: Path) -> None:
    class Counting(FakeBackend):
        encoded = 0

        def encode(self, images):  # type: ignore[no-untyped-def]
            self.encoded += len(images)
            return super().encode(images)

    backend = Counting()
    predictor = Predictor(backend=backend, cache=EmbeddingCache(tmp_path, 10**6))
    images = [photo(1), photo(2), photo(1)]
    first = predictor.embed_batch(images)
    assert backend.encoded == 3
    again = predictor.embed_batch([*images, photo(3)])
    assert backend.encoded == 4
    assert [e.image_digest for e in again[:3]] == [e.image_digest for e in first]


def _fill(folder: str, start: int) -> None:
    cache = EmbeddingCache(folder, 6000)
    for seed in range(start, start + 40):
        stored = embed(seed % 25)
        cache.store(stored)
        found = cache.load(stored.image_digest, FakeBackend())
        assert found is None or found.image_digest == stored.image_digest


def test_several_processes_share_one_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(str(tmp_path), 10 * k)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert EmbeddingCache(tmp_path, 6000).info().used_bytes <= 6000 + 3 * 1000
