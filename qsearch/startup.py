"""What Keras and TensorFlow need before they can be imported, and what stops them in one message."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

from qsearch.errors import ConfigError, OutputError, QsearchError, raised_here, shown, told

BACKEND = "tensorflow"
_STDERR = 2


@contextmanager
def importing() -> Iterator[None]:
    """Around imports of Keras.

    Raises:
        ConfigError: another backend is asked for, or Keras cannot be imported as it is installed and set up.
        OutputError: there is no folder for temporary files.
    """
    _check_backend()
    check_temporary()
    try:
        yield
    except QsearchError:
        raise
    except Exception as error:  # a broken installation or a wrong keras.json fails in many ways
        if raised_here(error):
            raise
        raise ConfigError(
            f"Keras cannot be imported: {told(error)}; see what is installed, and the file keras.json in ~/.keras"
        ) from None


def check_temporary() -> None:
    """TensorFlow asks for a folder for temporary files when it is imported.

    Raises:
        OutputError: there is none.
    """
    try:
        tempfile.gettempdir()
    except OSError:
        raise OutputError(
            "no folder for temporary files can be written to; set TMPDIR to one that can, or free some space"
        ) from None


def _check_backend() -> None:
    keras = sys.modules.get("keras")
    loaded = keras.config.backend() if keras is not None and hasattr(keras, "config") else None
    backend = loaded or os.environ.get("KERAS_BACKEND") or BACKEND
    if backend != BACKEND:
        way_out = "import qsearch before keras, with" if loaded else "unset it, or set"
        raise ConfigError(
            f"KERAS_BACKEND: found {shown(backend)}, and qsearch needs {BACKEND!r}; {way_out} KERAS_BACKEND={BACKEND}"
        )


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep the standard error silent while libraries are imported.

    TensorFlow writes a few lines there before it has read how much it may log. An import that
    fails raises, so nothing that matters is lost.

    Raises:
        QsearchError: as `importing`.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":  # the user asked for everything
        with _into_the_log(), importing():
            yield
        return
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, _STDERR)
        with importing():
            yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(silent)
        os.close(kept)
    _quiet_loggers()


@contextmanager
def _into_the_log() -> Iterator[None]:
    """Where a log has taken the place of the standard error, and Python writes past it: have Python write to the log.

    Without it, a log would bring to the terminal what is silent there else.
    """
    try:
        past = sys.stderr.fileno() != _STDERR
    except (AttributeError, OSError, ValueError):  # none, or one that is no file
        past = False
    if not past:
        yield
        return
    with open(_STDERR, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as log, redirect_stderr(log):
        yield


def _quiet_loggers() -> None:
    """Warnings of TensorFlow and tensorflow-datasets are about their own inner workings; errors still show."""
    import absl.logging

    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
