"""The protocols, by name. `segany.evaluate.protocol` tells how to add one."""

from collections.abc import Mapping
from types import MappingProxyType

from segany.evaluate.protocol import EvaluationProtocol

__all__ = ["PROTOCOLS"]

_ALL: tuple[type[EvaluationProtocol], ...] = ()

PROTOCOLS: Mapping[str, type[EvaluationProtocol]] = MappingProxyType({one.name: one for one in _ALL})
