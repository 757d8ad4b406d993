"""TensorFlow's start without its greetings."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qsearch.startup import importing


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep the standard error silent while libraries are imported.

    TensorFlow writes a few lines there before it has read how much it may log. An import that
    fails raises, so nothing that matters is lost.

    Raises:
        QsearchError: as `importing`.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":  # the user asked for everything
        with importing():
            yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 2)
        with importing():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(silent)
        os.close(kept)
    _quiet_loggers()


def _quiet_loggers() -> None:
    """Warnings of TensorFlow and tensorflow-datasets are about their own inner workings; errors still show."""
    import absl.logging

    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
