"""The workers of a run: a cluster of processes on this machine, or a cluster of Dask's that is there already."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsearch.errors import ConfigError, WorkersError, one_line, text_of

_ANSWER = 15
"""Seconds that a scheduler has to answer."""
_LOOK = 1.0
"""Seconds for which a number of workers counts."""


@dataclass
class Pool:
    """Workers that can be reached.

    Attributes:
        client: Dask's.
        name: in words.
        threads: processor threads that a worker is to use; None: as it finds them.
    """

    client: Any
    name: str
    threads: int | None = None
    _seen: tuple[float, int] = field(default=(float("-inf"), 0), repr=False)

    @property
    def count(self) -> int:
        """How many workers there are, at the moment.

        Raises:
            WorkersError: the scheduler does not answer.
        """
        now = time.monotonic()
        if now - self._seen[0] > _LOOK:
            self._seen = now, len(self.addresses())
        return self._seen[1]

    def addresses(self) -> list[str]:
        """Of the workers that there are, as the scheduler tells now.

        Raises:
            WorkersError: it does not answer.
        """
        try:
            return [*self.client.nthreads()]
        except Exception as error:
            raise self.gone(error) from None

    def check(self) -> None:
        """See that the scheduler is still there.

        Raises:
            WorkersError: it is not.
        """
        if self.client.status != "running":
            raise self.gone(None)

    def gone(self, error: BaseException | None) -> WorkersError:
        """What to raise when the scheduler is lost."""
        why = "" if error is None or not text_of(error) else f" ({one_line(text_of(error))})"
        return WorkersError(f"{self.name}: the scheduler is gone{why}; finished trials are in the run directory")


@contextmanager
def pool(workers: int | None, scheduler: str | None) -> Iterator[Pool | None]:
    """The workers that are asked for; None where neither is given.

    Args:
        workers: how many processes to start on this machine.
        scheduler: the address of a Dask scheduler, such as tcp://host:8786 or tls://host:8786, or its scheduler file.

    Raises:
        ConfigError: both are given, or Dask Distributed is not installed.
        WorkersError: the scheduler cannot be reached, or the workers do not start.
    """
    if workers is None and scheduler is None:
        yield None
        return
    if workers is not None and scheduler is not None:
        raise ConfigError(
            "workers: found with a scheduler, which has workers of its own; give one of --workers, --scheduler"
        )
    try:
        import distributed
    except ImportError:
        raise ConfigError(
            "workers need Dask Distributed, which is not installed: pip install 'qsearch[distributed]'"
        ) from None
    with (
        _quiet(),
        _local(distributed, workers) if workers is not None else _remote(distributed, str(scheduler)) as found,
    ):
        yield found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log of what it does from the terminal: what matters of it is told by the run."""
    import dask

    loggers = [logging.getLogger(name) for name in ("distributed", "asyncio")]
    levels = [logger.level for logger in loggers]
    large = {"distributed.admin.large-graph-warning-threshold": "1GB"}  # weights, once a worker
    with dask.config.set(large):
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def threads_of(count: int) -> int | None:
    """Processor threads that each of so many workers has to itself, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // count)


@contextmanager
def _local(distributed: Any, count: int) -> Iterator[Pool]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")}
    try:
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            # its server for metrics: at 8787 two runs on a machine would be in each other's way
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=0,  # one would pause workers for ever, whose TensorFlow keeps what it has
            env={**quiet, "DASK_LOGGING__DISTRIBUTED": "critical"},
            preload=["qsearch.workers.preload"],
            silence_logs=logging.CRITICAL,
        )
    except Exception as error:
        raise WorkersError(
            f"{count} workers cannot be started: {one_line(text_of(error))}; take fewer, or leave --workers out"
        ) from None
    try:
        with _client(distributed, cluster) as client:
            yield Pool(client, f"{count} workers on this machine", threads_of(count))
    finally:
        with suppress(Exception):
            cluster.close(timeout=5)


@contextmanager
def _remote(distributed: Any, address: str) -> Iterator[Pool]:
    given = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = distributed.Client(timeout=_ANSWER, set_as_default=False, **given)
    except Exception as error:  # of names, sockets, TLS, versions
        raise WorkersError(
            f"scheduler {address}: cannot be reached ({one_line(text_of(error) or type(error).__name__)}); expected "
            "the address of a running Dask scheduler, such as tcp://host:8786, or its scheduler file"
        ) from None
    try:
        yield Pool(client, f"workers of {address}")
    finally:
        with suppress(Exception):
            client.close(timeout=5)


@contextmanager
def _client(distributed: Any, cluster: Any) -> Iterator[Any]:
    client = distributed.Client(cluster, set_as_default=False, timeout=_ANSWER)
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=5)
