"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder it stands for; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def unreadable(path: Path) -> str | None:
    """Why the system cannot even look for a path: a name that is too long, a folder that is closed; else None."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # it is not there
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None
