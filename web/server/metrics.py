"""What can be counted about the page without knowing anybody: for /metrics, in Prometheus's text format."""

from collections.abc import Callable

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import InfoMetricFamily
from prometheus_client.registry import Collector

from cat_model import Verdict

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The counters of one page; it observes a predictor, and is told of requests by the web server."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cat_requests", "HTTP requests.", ["route", "status"], registry=self._registry
        )
        self._verdicts = Counter("cat_verdicts", "Verdicts given.", ["label"], registry=self._registry)
        self._refusals = Counter(
            "cat_refusals", "Photos and requests refused.", ["cause"], registry=self._registry
        )
        self._seconds = Histogram(
            "cat_seconds", "Seconds that a step took.", ["step"], buckets=SECONDS, registry=self._registry
        )
        self._request_seconds = Histogram(
            "cat_request_seconds",
            "Seconds that a request took.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def took(self, step: str, seconds: float, counted: bool = True) -> None:  # noqa: ARG002 - all are work
        """Count how long "decode", "inference" or "explanation" took."""
        self._seconds.labels(step).observe(seconds)

    def answered(self, verdict: Verdict, embedding: np.ndarray) -> None:  # noqa: ARG002 - not for counting
        """Count a verdict."""
        self._verdicts.labels(verdict.label).inc()

    def refused(self, cause: str, counted: bool = True) -> None:  # noqa: ARG002 - all are work
        """Count a refusal."""
        self._refusals.labels(cause).inc()

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, status).inc()
        self._request_seconds.labels(route).observe(seconds)

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Ask for a value whenever somebody asks for the metrics."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def watch_model(self, version: Callable[[], str]) -> None:
        """Name the model that answers whenever somebody asks for the metrics."""

        class Model(Collector):
            def collect(self) -> list[InfoMetricFamily]:
                return [InfoMetricFamily("cat_model", "The model that answers.", {"version": version()})]

        self._registry.register(Model())

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
