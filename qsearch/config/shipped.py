"""The configurations that come with the package, by name: `qsearch run digits` works in any folder."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "qsearch.yaml"
"""The configuration of a command that is given none."""
_FOLDER = Path(__file__).resolve().parents[1] / "configs"
"""In a checkout a link to `configs/` at its top; a wheel holds the files themselves."""


def shipped_configs() -> dict[str, Path]:
    """The file of each shipped configuration, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.yaml"))}


def shipped_or(path: Path) -> Path:
    """The shipped configuration that a bare name stands for, or the path itself; a file of that name comes first."""
    try:
        there = path.exists() and not path.is_dir()
    except (OSError, ValueError):  # a name that no file can have; reading it says so
        return path
    return path if there else shipped_configs().get(str(path), path)
