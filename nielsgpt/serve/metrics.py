"""Prometheus metrics: requests by route and status, their seconds, and the engine's load."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nielsgpt.serve.engine import InferenceEngine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one server."""

    def __init__(self, engine: InferenceEngine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nielsgpt_requests", "Requests.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "nielsgpt_request_seconds",
            "Seconds to the last byte.",
            ("route",),
            registry=self._registry,
        )
        self._registry.register(_EngineCollector(engine))

    def record(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """The engine's load, read on each scrape."""

    def __init__(self, engine: InferenceEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        load = self._engine.load
        gauges = {"running": "Rows being generated.", "waiting": "Rows in the queue."}
        for name, description in gauges.items():
            yield GaugeMetricFamily(f"nielsgpt_rows_{name}", description, getattr(load, name))
        counters = {
            "prompt_tokens": ("Tokens of prompts.", load.prompt_tokens),
            "drawn_tokens": ("Generated tokens.", load.generated_tokens),
            "steps": ("Steps of the batch.", load.steps),
        }
        for name, (description, value) in counters.items():
            yield CounterMetricFamily(f"nielsgpt_{name}", description, value)
