"""Who may do what: one rule for every route. What is not in the table is not allowed."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from starlette.routing import compile_path

from segany.errors import AccessError
from segany.store import ROLES, Role

__all__ = ["PREFIX", "RULES", "Match", "Principal", "Rule", "Rules", "may"]

PREFIX = "/api/v1"
Rule = Literal["public", "annotator", "reviewer", "admin"]
"""The least role that may; "public": whoever can reach the server."""

_API: dict[str, dict[str, Rule]] = {
    "/openapi.json": {"GET": "annotator"},
    "/session": {"GET": "public", "POST": "public", "DELETE": "annotator"},
    "/tokens": {"GET": "annotator", "POST": "annotator"},
    "/tokens/{token_id}": {"DELETE": "annotator"},
    "/users": {"GET": "admin", "POST": "admin"},
    "/users/{name}": {"PATCH": "admin"},
    "/records": {"GET": "annotator", "POST": "annotator"},
    "/records/{record_id}": {"GET": "annotator", "DELETE": "reviewer"},
    "/records/{record_id}/image": {"GET": "annotator"},
    "/records/{record_id}/thumbnail": {"GET": "annotator"},
    "/records/{record_id}/edits": {"POST": "annotator"},
    "/records/{record_id}/revisions": {"GET": "annotator"},
    "/records/{record_id}/restore": {"POST": "annotator"},
    # Accepting and rejecting are the reviewer's; the handler looks at each step.
    "/records/{record_id}/review": {"POST": "annotator"},
    "/records/{record_id}/embedding": {"GET": "annotator", "POST": "annotator"},
    "/records/{record_id}/embedding/features": {"GET": "annotator"},
    "/decoder": {"GET": "annotator", "POST": "annotator"},
    "/decoder/graphs/{sha256}": {"GET": "annotator"},
    "/records/{record_id}/predict": {"POST": "annotator"},
    "/records/{record_id}/names": {"POST": "annotator"},
    "/records/{record_id}/everything": {"POST": "annotator"},
    "/records/{record_id}/everything/{run}": {"GET": "annotator", "DELETE": "annotator"},
    "/records/{record_id}/everything/{run}/events": {"GET": "annotator"},
    "/records/{record_id}/everything/{run}/select": {"POST": "annotator"},
    "/categories": {"GET": "annotator"},
    "/categories/{name:path}": {"PUT": "annotator", "DELETE": "reviewer"},
    "/stats": {"GET": "annotator"},
    "/events": {"GET": "reviewer"},
    "/versions": {"GET": "annotator", "POST": "reviewer"},
    "/models": {"GET": "annotator"},
    "/engine": {"GET": "annotator"},
    "/jobs": {"GET": "reviewer"},
    "/jobs/{job_id}": {"GET": "annotator"},
    "/jobs/{job_id}/cancel": {"POST": "reviewer"},
    "/tasks/claim": {"POST": "annotator"},
    "/tasks/{job_id}/heartbeat": {"POST": "annotator"},
    "/tasks/{job_id}/finish": {"POST": "annotator"},
    "/tasks/{job_id}/release": {"POST": "annotator"},
    "/exports/plan": {"POST": "annotator"},
    "/exports": {"POST": "annotator"},
    "/exports/{job_id}/file": {"GET": "annotator"},
}

RULES: dict[tuple[str, str], Rule] = {
    **{(method, PREFIX + path): rule for path, rules in _API.items() for method, rule in rules.items()},
    ("GET", "/health/live"): "public",
    ("GET", "/health/ready"): "public",
    ("GET", "/metrics"): "admin",
    # The page itself: the same for everyone, and nothing of the store in it.
    ("GET", "/{path:path}"): "public",
}


@dataclass(frozen=True)
class Principal:
    """Who asks.

    Attributes:
        name: The actor of what they do.
        role: What they may do.
        kind: How they proved it; "local": this machine, on a server without accounts.
        key: The session's key, which CSRF tokens are made from; None for others.
    """

    name: str
    role: Role
    kind: Literal["local", "session", "token"]
    key: str | None = None


class Match(NamedTuple):
    """What a request is for.

    Attributes:
        template: The route's path.
        rule: Its rule; None for a method that it has not.
    """

    template: str
    rule: Rule | None


class Rules:
    """The table, ready to be asked."""

    def __init__(self, rules: dict[tuple[str, str], Rule] | None = None) -> None:
        """Take the table; the one of this module when left out."""
        self._rules = RULES if rules is None else rules
        paths = dict.fromkeys(path for _, path in self._rules)
        self._patterns: list[tuple[re.Pattern[str], str]] = [(compile_path(path)[0], path) for path in paths]

    def match(self, method: str, path: str) -> Match | None:
        """The rule for a request; None where there is no such path."""
        # Starlette answers HEAD by what GET would say.
        wanted = "GET" if method == "HEAD" else method
        for pattern, template in self._patterns:
            if pattern.match(path) is None:
                continue
            if template == "/{path:path}" and path.startswith("/api/"):
                return None
            return Match(template, self._rules.get((wanted, template)))
        return None


def may(principal: Principal | None, rule: Rule) -> None:
    """Go on only if they may.

    Raises:
        AccessError: They may not; or nobody asks.
    """
    if rule == "public":
        return
    if principal is None:
        raise AccessError("sign in first.")
    if ROLES.index(principal.role) < ROLES.index(rule):
        raise AccessError(f"this is for the role {rule}; {principal.name} is {principal.role}.")
