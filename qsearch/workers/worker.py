"""What runs on a worker: a session that is opened once, and tasks in it, one at a time.

Tasks and results travel as bytes, which are unpickled in the session's own thread: importing TensorFlow takes seconds,
in which a worker has to answer its scheduler. Keras keeps state by thread, so that it is always the same one.
"""

from __future__ import annotations

import pickle
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from qsearch.errors import QsearchError, plain, told
from qsearch.startup import quiet_start

HELD = "qsearch_session"
"""The attribute of Dask's worker that holds the session."""
_EVERY = 0.2
"""Seconds between reports of a task, at least."""

Report = Callable[[Any], None]


class Session(Protocol):
    """Something that runs tasks."""

    def run(self, task: Any, report: Report) -> Any:
        """What came of a task; `report` is called while it goes on, with what JSON could say."""


class Setup(Protocol):
    """Says how to open a session."""

    def open(self, earlier: Any, index: int | None) -> Session:
        """A session.

        Args:
            earlier: the session before it, whose data it may share; None for the first one.
            index: of the worker, in a cluster that numbers them.

        Raises:
            QsearchError: this worker cannot do it.
        """


class UnfitError(Exception):
    """A worker that cannot open the session; the arguments are its address and the reason."""


@dataclass
class _Held:
    """The session of a worker, and its thread."""

    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "qsearch"))
    key: str = ""
    session: Session | None = None


def work(key: str, setup: bytes, task: bytes, topic: str) -> bytes:
    """Run a task in the session that a setup opens.

    Args:
        key: of the session; another one opens another session.
        topic: of the events that tell how the task goes on.

    Raises:
        UnfitError: the session cannot be opened here.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    held = getattr(worker, HELD, None)
    if held is None:
        _let_draw_alone()
        held = _Held()
        setattr(worker, HELD, held)
    return held.thread.submit(_work, worker, held, key, setup, task, topic).result()


def _let_draw_alone() -> None:
    """Give Dask's threads generators of their own.

    They draw from Python's at any moment, also between the seed of a trial and its first weights, which Keras draws
    from there too.
    """
    own = random.Random()
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] in ("dask", "distributed", "tornado") and getattr(module, "random", None) is random:
            module.random = own  # type: ignore[attr-defined]


def _work(worker: Any, held: _Held, key: str, setup: bytes, task: bytes, topic: str) -> bytes:
    if held.key != key or held.session is None:
        earlier, held.session, held.key = held.session, None, key
        try:
            with quiet_start():
                opening: Setup = pickle.loads(setup)
            held.session = opening.open(earlier, int(worker.name) if str(worker.name).isdigit() else None)
        except QsearchError as error:
            raise UnfitError(worker.address, plain(error)) from None
        except Exception as error:  # whatever a worker lacks
            raise UnfitError(worker.address, told(error)) from None
    last = 0.0

    def report(what: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY:
            last = now
            worker.log_event(topic, {"report": what})  # Dask adds its own

    return pickle.dumps(held.session.run(pickle.loads(task), report))
