"""Objects of the user's own, by import path: "my_package.my_module:build"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qsearch.errors import QsearchError, did_you_mean, told


def imported(path: str, error: Callable[[str], QsearchError]) -> Any:
    """What an import path names; modules are looked for in the current folder too, as `python -m` does.

    Args:
        path: "module:name".
        error: makes the error to raise of a message.

    Raises:
        QsearchError: as `error` makes it: no such module or name, or the module fails when it is imported.
    """
    module_name, _, names = path.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing that is installed
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as problem:  # whatever the user's module raises while it is imported
        raise error(f"{path}: {module_name} cannot be imported ({told(problem)})") from None
    for name in names.split("."):
        if not hasattr(found, name):
            public = [known for known in vars(found) if not known.startswith("_")]
            raise error(f"{path}: {module_name} has no {name!r}{did_you_mean(name, public)}")
        found = getattr(found, name)
    return found
