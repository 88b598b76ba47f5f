"""What `/metrics` tells Prometheus: counts and times, never a text and never a raw path."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

# prometheus_client reads it when it is imported; `server` sets it where there are several workers.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The service's counters; with several workers, each answers for all of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "stance_requests_total",
            "Requests answered.",
            ["path", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "stance_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["path"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self._registry,
        )
        self.sentences = Counter(
            "stance_sentences_total", "Sentences labelled.", registry=self._registry
        )
        self.pending = Gauge(
            "stance_queue_sentences",
            "Sentences that wait or are in work.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.capacity = Gauge(
            "stance_queue_capacity_sentences",
            "Sentences that may wait before requests are refused.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def render(self) -> bytes:
        """The text exposition format."""
        registry = self._registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def close(self) -> None:
        """Take this process out of the sums."""
        if FOLDER_VARIABLE in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
