"""The workers of a run: a cluster of processes on this machine, or a cluster of Dask's that is there already."""

from __future__ import annotations

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
        here: whether they run on this machine.
    """

    client: Any
    name: str
    threads: int | None = None
    here: bool = False
    _seen: tuple[float, int] = field(default=(float("-inf"), 0), repr=False)

    @property
    def count(self) -> int:
        """How many workers there are, at the moment.

        Raises:
            WorkersError: the scheduler does not answer.
        """
        now = time.monotonic()
        if now - self._seen[0] > _LOOK:
            self._seen = now, len(self._asked())
        return self._seen[1]

    def _asked(self) -> Any:
        try:
            return self.client.nthreads()
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
    with _local(distributed, workers) if workers is not None else _remote(distributed, str(scheduler)) as found:
        yield found


@contextmanager
def _local(distributed: Any, count: int) -> Iterator[Pool]:
    import dask

    threads = max(1, len(os.sched_getaffinity(0)) // count) if hasattr(os, "sched_getaffinity") else 1
    quiet = {"TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")}
    # a limit of memory would pause workers for ever, whose TensorFlow keeps what it has
    options = {"memory_limit": 0, "dashboard_address": None, "env": quiet, "silence_logs": "CRITICAL"}
    with dask.config.set({"logging.distributed": "critical", "distributed.admin.large-graph-warning-threshold": "1GB"}):
        try:
            cluster = distributed.LocalCluster(n_workers=count, threads_per_worker=1, processes=True, **options)
        except Exception as error:
            raise WorkersError(f"{count} workers cannot be started: {one_line(text_of(error))}") from None
        try:
            with _client(distributed, cluster) as client:
                yield Pool(client, f"{count} workers on this machine", threads, here=True)
        finally:
            with suppress(Exception):
                cluster.close(timeout=5)


@contextmanager
def _remote(distributed: Any, address: str) -> Iterator[Pool]:
    import dask

    given = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
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
