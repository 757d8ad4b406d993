"""Signals are heard wherever the process is, and never where something is written down."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from qsearch.interrupts import AGAIN, SIGNALS, TOO_OFTEN, Interrupts


def send(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)
    for _ in range(3):  # the handler runs between two steps
        time.sleep(0)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    # a shell has what it runs in the background ignore Ctrl-C, the tests too
    earlier = [signal.signal(number, signal.default_int_handler) for number in SIGNALS]
    with Interrupts() as found:
        yield found
    assert [signal.signal(number, handler) for number, handler in zip(SIGNALS, earlier, strict=True)] == [
        signal.default_int_handler
    ] * len(SIGNALS)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_once_where_it_is_allowed(interrupts: Interrupts, number: int) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        send(number)
        pytest.fail("was not interrupted")
    assert interrupts.asked
    interrupts.answered()
    with interrupts.allowed():
        pass


def test_what_swallows_it_is_interrupted_again(interrupts: Interrupts) -> None:
    swallowed = 0
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        try:
            send()
        except KeyboardInterrupt:
            swallowed += 1
        end = time.monotonic() + 20 * AGAIN
        while time.monotonic() < end:
            time.sleep(0.01)
    assert swallowed == 1
    assert time.monotonic() < end


def test_what_swallows_it_and_ends_is_interrupted_at_its_end(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.allowed(), suppress(KeyboardInterrupt):
        send()


def test_an_error_because_of_it_is_none(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        try:
            send()
        except KeyboardInterrupt:
            raise ValueError("a layer fails") from None


def test_a_finalizer_says_nothing(interrupts: Interrupts, capfd: pytest.CaptureFixture[str]) -> None:
    class Closing:
        def __del__(self) -> None:
            send()

    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        Closing()
    assert capfd.readouterr() == ("", "")


def test_it_waits_while_something_is_written(interrupts: Interrupts) -> None:
    written = []
    with pytest.raises(KeyboardInterrupt), interrupts.allowed():
        with interrupts.held():
            send()
            time.sleep(1.5 * AGAIN)
            written.append(1)
        pytest.fail("was not interrupted after that")
    assert written == [1]


def test_what_is_allowed_inside_something_held(interrupts: Interrupts) -> None:
    written = []
    with interrupts.allowed(), interrupts.held():
        try:
            with interrupts.allowed():
                send()
                pytest.fail("was not interrupted")
        except KeyboardInterrupt:
            time.sleep(1.5 * AGAIN)
            written.append(1)
        interrupts.answered()
    assert written == [1]


def test_it_is_heard_before_the_next_part_begins(interrupts: Interrupts) -> None:
    begun = []
    with interrupts.held():
        send()
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            begun.append(1)
    assert not begun


def test_who_insists_is_heard_everywhere(interrupts: Interrupts) -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        for _ in range(TOO_OFTEN):
            send()
        pytest.fail("was not interrupted")


def test_ignored_signals_stay_ignored() -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts, interrupts.allowed():
            send(signal.SIGHUP)
            assert not interrupts.asked
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, earlier)
