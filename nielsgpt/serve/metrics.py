"""What Prometheus reads: requests by route and status, their seconds, and what the engine does."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nielsgpt.serve.engine import InferenceEngine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one server."""

    def __init__(self, engine: InferenceEngine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nielsgpt_requests", "Requests.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "nielsgpt_request_seconds", "Until the last byte.", ("route",), registry=self._registry
        )
        self._registry.register(_Busy(engine))

    def note(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> bytes:
        """All figures as Prometheus text."""
        return generate_latest(self._registry)


class _Busy(Collector):
    """The engine's figures, read when they are asked for."""

    def __init__(self, engine: InferenceEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        load = self._engine.load
        gauges = {"running": "Rows that speak.", "waiting": "Rows that wait for their turn."}
        for name, words in gauges.items():
            yield GaugeMetricFamily(f"nielsgpt_rows_{name}", words, getattr(load, name))
        counters = {
            "prompt_tokens": "Tokens of prompts.",
            "drawn_tokens": "Tokens drawn.",
            "steps": "Steps of the batch.",
        }
        for name, words in counters.items():
            yield CounterMetricFamily(f"nielsgpt_{name}", words, getattr(load, name))
