"""EmbeddingCache: embeddings on disk, one cache for every entry point and every process."""

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from segany.errors import ConfigError, EmbeddingError, OutputError
from segany.model.config import PREPROCESS_VERSION
from segany.predict.backends.base import Backend
from segany.predict.embedding import ImageEmbedding, load_embedding
from segany.settings import Settings

__all__ = ["CacheInfo", "EmbeddingCache"]

_SUFFIX = ".safetensors"
_LOCK_SECONDS = 10.0
# Make room for more than one file at a time, so that a full cache does not list its folder for every image.
_KEEP_SHARE = 0.9


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds.

    Attributes:
        folder: Where.
        files: Number of embeddings.
        used_bytes: Their size.
        max_bytes: The limit.
    """

    folder: Path
    files: int
    used_bytes: int
    max_bytes: int


class EmbeddingCache:
    """Embeddings in a folder, the longest unused dropped first.

    A file's name is a digest of everything the embedding was made from: the image's pixels, the encoder with its
    preprocessing, the preprocessing version, and the backend's runtime, version, device and precision. So an embedding
    made in bfloat16 is never found by a float32 predictor, and models that differ in their decoders alone share
    theirs. Files appear whole or not at all, and several processes may
    read and write at once. A cache that cannot be written costs time, never an answer: it says so once and goes on.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        """Use a folder, which need not exist yet.

        Args:
            folder: Where to keep the files.
            max_bytes: Most bytes to keep.

        Raises:
            ConfigError: `max_bytes` is not positive.
        """
        if max_bytes <= 0:
            raise ConfigError(f"the cache's limit must be above 0 bytes, got {max_bytes}.")
        self._folder = Path(folder)
        self._max_bytes = max_bytes
        self._used: int | None = None
        self._writable = True

    @classmethod
    def default(cls, settings: Settings | None = None) -> "EmbeddingCache":
        """The cache that the command line and every other part shares, as SEGANY_CACHE and SEGANY_HOME say."""
        read = settings or Settings.from_environment()
        return cls(read.cache or read.home / "embeddings", read.cache_bytes)

    def load(self, image_digest: str, backend: Backend) -> ImageEmbedding | None:
        """Find an embedding.

        Args:
            image_digest: sha256 of the image's pixels.
            backend: Who will read it.

        Returns:
            The embedding, or None when it is not here or its file cannot be read (then it is removed).
        """
        path = self._path(image_digest, backend.encoder_digest, PREPROCESS_VERSION, backend.key)
        if not path.is_file():
            return None
        try:
            embedding = load_embedding(path, backend, PREPROCESS_VERSION)
        except (EmbeddingError, KeyError, ValueError):
            # Cut short by a crash of the machine, or not ours: made again, as if it had never been there.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        if embedding.image_digest != image_digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return embedding

    def store(self, embedding: ImageEmbedding) -> None:
        """Keep an embedding, making room if there is none."""
        if not self._writable:
            return
        path = self._path(
            embedding.image_digest, embedding.encoder_digest, embedding.preprocess_version, embedding.backend_key
        )
        try:
            embedding.save(path)
            size = path.stat().st_size
            self._used = self.info().used_bytes if self._used is None else self._used + size
            if self._used > self._max_bytes:
                self._make_room()
        except (OutputError, OSError, Timeout) as error:
            self._writable = False
            warnings.warn(f"embeddings are not cached: {error}", RuntimeWarning, stacklevel=2)

    def info(self) -> CacheInfo:
        """Count files and bytes."""
        sizes = [size for _, _, size in self._files()]
        return CacheInfo(self._folder, len(sizes), sum(sizes), self._max_bytes)

    def clear(self) -> CacheInfo:
        """Remove every embedding.

        Returns:
            What there was.

        Raises:
            OutputError: A file cannot be removed.
        """
        before = self.info()
        try:
            for _, path, _ in self._files():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot empty {self._folder}: {error.strerror}; check who owns it.") from error
        self._used = None
        return before

    def _make_room(self) -> None:
        with FileLock(self._folder / ".lock", timeout=_LOCK_SECONDS):
            files = sorted(self._files())
            used = sum(size for _, _, size in files)
            for _, path, size in files:
                if used <= self._max_bytes * _KEEP_SHARE:
                    break
                path.unlink(missing_ok=True)
                used -= size
            self._used = used

    def _files(self) -> Iterator[tuple[float, Path, int]]:
        """Last use, path and size of every embedding; those that vanish meanwhile are passed over."""
        for path in self._folder.glob(f"*/*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                if not path.name.startswith("."):
                    yield found.st_mtime, path, found.st_size

    def _path(self, image: str, encoder: str, preprocess: int, backend: str) -> Path:
        key = hashlib.sha256(json.dumps([image, encoder, preprocess, backend]).encode()).hexdigest()
        return self._folder / key[:2] / f"{key}{_SUFFIX}"
