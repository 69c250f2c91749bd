"""The protocols, by name. `segany.evaluate.protocol` tells how to add one."""

from collections.abc import Mapping
from types import MappingProxyType

from segany.errors import ConfigError
from segany.evaluate.protocol import EvaluationProtocol
from segany.evaluate.protocols.agreement import Agreement
from segany.evaluate.protocols.boxes import Boxes
from segany.evaluate.protocols.calibration import Calibration
from segany.evaluate.protocols.clicks import Clicks
from segany.evaluate.protocols.edges import Edges
from segany.evaluate.protocols.everything import Everything
from segany.evaluate.protocols.hierarchy import Hierarchy
from segany.evaluate.protocols.noc import NoC
from segany.evaluate.protocols.video import Video

__all__ = [
    "PROTOCOLS",
    "Agreement",
    "Boxes",
    "Calibration",
    "Clicks",
    "Edges",
    "Everything",
    "Hierarchy",
    "NoC",
    "Video",
    "find_protocol",
]

_ALL: tuple[type[EvaluationProtocol], ...] = (
    Clicks,
    NoC,
    Boxes,
    Agreement,
    Calibration,
    Edges,
    Everything,
    Hierarchy,
    Video,
)

PROTOCOLS: Mapping[str, type[EvaluationProtocol]] = MappingProxyType({one.name: one for one in _ALL})


def find_protocol(name: str) -> type[EvaluationProtocol]:
    """Find a protocol by its name.

    Raises:
        ConfigError: There is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol is named {name!r}; there are {', '.join(sorted(PROTOCOLS))}.")
    return PROTOCOLS[name]
