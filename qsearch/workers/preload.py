"""Read by Dask when it starts a worker of a local cluster (https://docs.dask.org/en/stable/deploying-worker.html)."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ctrl-C is for the process that began the run, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
