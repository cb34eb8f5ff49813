"""Figures for Prometheus: the queue, the jobs, the nodes, the workers and their memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.jobs.dispatcher import JobEnded, JobEvent, Notice, QueueChanged
from engine.jobs.events import NodeFinished, NodeStarted, Started
from engine.jobs.executor import Executor, WorkerInfo

_STATES = ("starting", "idle", "busy", "gone")
_MAX_TYPES = 500
_NODE_SECONDS = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
_JOB_SECONDS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class _Workers(Collector):
    """The state and the memory of the workers, read when asked."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def collect(self) -> Iterable[Metric]:
        """One family for states, one for bytes."""
        states = GaugeMetricFamily("easel_worker_state", "1 for the state a worker is in", labels=("worker", "state"))
        memory = GaugeMetricFamily("easel_memory_bytes", "Memory of a worker by use", labels=("worker", "use"))
        workers: Sequence[WorkerInfo] = self._executor.workers()
        for worker in workers:
            for state in _STATES:
                states.add_metric((worker.id, state), float(worker.state == state))
            for use, figure in worker.memory.items():
                memory.add_metric((worker.id, use), figure)
        return (states, memory)


class Metrics:
    """A listener of the dispatcher that counts."""

    def __init__(self, executor: Executor) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Workers(executor))
        registry = self._registry
        self._queue = Gauge("easel_queue_depth", "Jobs that wait or run", registry=registry)
        self._jobs = Counter("easel_jobs", "Jobs that ended, by state", ("state",), registry=registry)
        self._job_seconds = Histogram("easel_job_seconds", "Seconds of a run", registry=registry, buckets=_JOB_SECONDS)
        self._wait_seconds = Histogram("easel_wait_seconds", "Seconds waited", registry=registry, buckets=_JOB_SECONDS)
        self._nodes = Histogram(
            "easel_node_seconds", "Seconds by type", ("type",), registry=registry, buckets=_NODE_SECONDS
        )
        self._hits = Counter("easel_cache_hits", "Nodes whose results were there already", registry=registry)
        self._misses = Counter("easel_cache_misses", "Nodes that had to work", registry=registry)
        self._types: dict[tuple[str, str], str] = {}
        self._known: set[str] = set()

    def __call__(self, notice: Notice) -> None:
        match notice:
            case QueueChanged(remaining):
                self._queue.set(remaining)
            case JobEvent(job, _, Started(cached)):
                self._hits.inc(len(cached))
                if job.started is not None:
                    self._wait_seconds.observe((job.started - job.created) / 1000)
            case JobEvent(job, _, NodeStarted(node, node_type)):
                self._misses.inc()
                self._types[job.id, node] = node_type
            case JobEvent(job, _, NodeFinished(node, cached=False, seconds=seconds)):
                self._nodes.labels(self._label(self._types.pop((job.id, node), "?"))).observe(seconds)
            case JobEnded(job):
                self._jobs.labels(job.state).inc()
                if job.started is not None and job.ended is not None:
                    self._job_seconds.observe((job.ended - job.started) / 1000)
                self._types = {key: kind for key, kind in self._types.items() if key[0] != job.id}

    def text(self) -> bytes:
        """The figures in Prometheus' text form."""
        return generate_latest(self._registry)

    def _label(self, node_type: str) -> str:
        """Labels cost memory for ever, so there is an end to them."""
        if node_type not in self._known and len(self._known) >= _MAX_TYPES:
            return "other"
        self._known.add(node_type)
        return node_type
