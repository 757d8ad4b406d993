"""An engine whose tasks run on workers."""

from __future__ import annotations

import pickle
import queue
import uuid
from collections.abc import Callable
from typing import Any

from qsearch.errors import WorkersError, one_line, text_of
from qsearch.interrupts import Interrupts
from qsearch.search.engine import Outcome, Task
from qsearch.search.time_limits import OutOfTimeError
from qsearch.workers.pool import Pool
from qsearch.workers.worker import Setup, UnfitError, work

_LOOK = 0.2
"""Seconds between looks at what the workers tell."""


class WorkersEngine:
    """Sends tasks to workers; one whose worker dies is given to another one."""

    def __init__(
        self,
        pool: Pool,
        setup: Setup,
        call_of: Callable[[Task], Any],
        reported: Callable[[Any], None],
        noted: Callable[[str], None],
        interrupts: Interrupts,
        out_of_time: Callable[[], str | None],
    ) -> None:
        """
        Args:
            setup: opens a session on each worker.
            call_of: what a session is given for a task.
            reported: is called with what sessions report, in this thread.
            noted: is called with what people should know.
            out_of_time: why the run has to end now, or None.
        """
        self._pool, self._call_of, self._interrupts = pool, call_of, interrupts
        self._reported, self._noted, self._out_of_time = reported, noted, out_of_time
        self._key, self._setup = uuid.uuid4().hex, pickle.dumps(setup)
        self._held: Any = None
        self._futures: dict[int, Any] = {}
        self._calls: dict[int, bytes] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._unfit: dict[str, str] = {}

    def __enter__(self) -> WorkersEngine:
        self._pool.client.subscribe_topic(self._key, lambda event: self._reports.put(event[1]["report"]))
        # as a task, and not as data: a worker that has it may die
        self._held = self._pool.client.submit(bytes, self._setup, key=f"qsearch-{self._key}", pure=False)
        return self

    def __exit__(self, *_: object) -> None:
        for number in [*self._futures]:
            self.drop(number)
        if self._pool.client.status == "running":
            self._held.release()
            self._pool.client.unsubscribe_topic(self._key)

    @property
    def slots(self) -> int:
        return max(1, self._pool.count - len(self._unfit))

    def start(self, task: Task) -> None:
        self._calls[task.number] = pickle.dumps(self._call_of(task))
        self._submit(task.number)

    def _submit(self, number: int) -> None:
        fit = None  # any of them
        if self._unfit:
            fit = [address for address in self._pool.addresses() if address not in self._unfit]
            if not fit:
                address, reason = next(iter(self._unfit.items()))
                raise WorkersError(f"worker {address} cannot train this run's trials: {reason}")
        future = self._pool.client.submit(
            work,
            self._key,
            self._held,
            self._calls[number],
            self._key,
            key=f"trial-{number}-{uuid.uuid4().hex}",
            pure=False,
            workers=fit,
        )
        self._futures[number] = future
        future.add_done_callback(lambda _: self._ended.put(number))

    def drop(self, number: int) -> None:
        self._calls.pop(number, None)
        future = self._futures.pop(number, None)
        if future is not None and self._pool.client.status == "running":
            future.cancel(force=True)

    def finished(self) -> tuple[int, Outcome]:
        """Wait for a task.

        Raises:
            WorkersError: the scheduler is gone, or no worker can train.
            OutOfTimeError: the time of the whole run is up.
        """
        with self._interrupts.allowed():
            while True:
                self._tell()
                try:
                    number = self._ended.get(timeout=_LOOK)
                except queue.Empty:
                    self._pool.check()
                    late = self._out_of_time()
                    if late is not None:
                        raise OutOfTimeError(late) from None
                    continue
                future = self._futures.get(number)
                if future is None or not future.done():  # dropped, or given to another worker
                    continue
                outcome = self._outcome(number, future)
                if outcome is not None:
                    del self._futures[number], self._calls[number]
                    return number, outcome

    def _tell(self) -> None:
        while True:
            try:
                self._reported(self._reports.get_nowait())
            except queue.Empty:
                return

    def _outcome(self, number: int, future: Any) -> Outcome | None:
        from distributed import KilledWorker

        if future.status not in ("finished", "error"):  # cancelled or lost, with its scheduler
            raise self._pool.gone(None)
        try:
            result: bytes = future.result(timeout=60)
        except KilledWorker as error:
            times = one_line(text_of(error).partition(".")[0])
            return Outcome(reason=f"its workers died while they trained it, as with too little memory ({times})")
        except UnfitError as error:
            address, reason = error.args
            if address not in self._unfit:
                self._noted(f"worker {address} is left out: {reason}")
            self._unfit[address] = reason
            self._submit(number)
            return None
        except Exception as error:
            self._pool.check()
            return Outcome(reason=f"{type(error).__name__}: {one_line(text_of(error))}")
        outcome: Outcome = pickle.loads(result)
        return outcome
