"""A configuration file -> its text: regular files and pipes, UTF-8 or UTF-16, no more than a configuration may be."""

from __future__ import annotations

import codecs
import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path

from qsearch.config import bounds
from qsearch.config.shipped import DEFAULT, shipped_configs, shipped_or
from qsearch.config.yaml_reader import parse_source
from qsearch.config.yaml_source import Source
from qsearch.errors import ConfigError, did_you_mean
from qsearch.paths import expanded

_LISTED = 10
_STDIN = Path("/dev/stdin")
_MOST_BYTES = 4 * bounds.FILE_CHARACTERS + 4
"""A character takes up to four bytes."""


def read_source(path: Path) -> Source:
    """Read a YAML file, or the shipped configuration of that name; - is the standard input.

    Raises:
        ConfigError: the file is missing, unreadable, no text, or not YAML.
    """
    path = _STDIN if str(path) == "-" else shipped_or(path)
    name, path = str(path), expanded(path)
    try:
        data = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{name}: no such file{_others(path)}{_shipped(name)}") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}; name a file that you may read") from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"{name}: no such file: {error}") from None
    return parse_source(_text(data, name), name)


def _read(path: Path) -> bytes:
    """The first `_MOST_BYTES` and one more."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ConfigError(f"{path}: is a folder; name a YAML file in it")
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        raise ConfigError(f"{path}: is a device, expected a YAML file")
    # Not blocking, as nobody may ever write to a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # A pipe of the shell's ends with the command that writes to it, however long that takes.
        return b"".join(_parts(path, descriptor, stat.S_ISFIFO(mode) and path != _STDIN))
    finally:
        os.close(descriptor)


def _parts(path: Path, descriptor: int, limited: bool) -> Iterator[bytes]:
    """What is read, part by part, as pipes and some files give only a few bytes at a time."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    left = _MOST_BYTES + 1
    while left > 0:
        if not waiting.poll(bounds.PIPE_SECONDS * 1000 if limited else None):
            raise ConfigError(
                f"{path}: is a pipe from which nothing came for {bounds.PIPE_SECONDS:g} seconds; name a file"
            )
        part = os.read(descriptor, min(left, 1 << 20))
        if not part:
            return
        left -= len(part)
        yield part


def _shipped(name: str) -> str:
    """The shipped configurations, where no file but a name was given, or nothing."""
    if name not in (DEFAULT, Path(name).stem):
        return ""
    known = shipped_configs()
    return f"; shipped with qsearch: {', '.join(known)}{did_you_mean(name, known)}"


def _others(path: Path) -> str:
    """Configurations beside a file that is not there."""
    try:
        near = sorted(other.name for other in path.parent.glob("[!.]*.y*ml"))
    except OSError:
        return ""
    more = ", ..." if len(near) > _LISTED else ""
    return f"; configurations in {path.parent}: {', '.join(near[:_LISTED])}{more}" if near else ""


def _text(data: bytes, name: str) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, called = "utf-16", "UTF-16"
    else:
        encoding, called = "utf-8-sig", "UTF-8"
    cut = len(data) > _MOST_BYTES  # within a character, perhaps
    try:
        return data.decode(encoding, errors="ignore" if cut else "strict")
    except UnicodeDecodeError as error:
        # the signature is left out of the bytes that the error counts
        raise ConfigError(
            f"{name}: is not a text file ({called}): byte {error.start} is {error.object[error.start]:#04x}; "
            "save it as UTF-8"
        ) from None
