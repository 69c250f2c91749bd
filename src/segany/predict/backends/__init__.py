"""Backends: who computes. The torch one is imported by its own name, so that nobody pays for torch by chance."""

from segany.predict.backends.base import Backend, Features, Scored
from segany.predict.backends.fake import FakeBackend

__all__ = ["Backend", "FakeBackend", "Features", "Scored"]
