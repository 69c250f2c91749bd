"""Metrics: what Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_BUCKETS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server; each server has a registry of its own.

    Attributes:
        requests: By method, route and status.
        seconds: By route: until the first byte of the answer.
        refused: By reason: rate, busy, body, host, origin, csrf, login.
        embeddings: By where they came from: memory, disk, made.
        waiting: By queue.
        predictions: Prompts answered.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self.requests = Counter("segany_requests", "Requests.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "segany_request_seconds", "Until the answer begins.", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        self.refused = Counter("segany_refused", "Requests refused.", ["reason"], registry=self.registry)
        self.embeddings = Counter("segany_embeddings", "Embeddings used.", ["source"], registry=self.registry)
        self.waiting = Gauge("segany_waiting", "Work that waits.", ["queue"], registry=self.registry)
        self.predictions = Counter("segany_predictions", "Prompts answered.", registry=self.registry)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
