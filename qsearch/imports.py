"""Objects of the user's own, by import path: "my_package.my_module:build".

A configuration may come from somebody else: what it names is looked for beside it, in the current folder and among the
installed packages. Python's own library is left out, as no function of it makes a model, a data set or a loss, and many
(`os:system`, `subprocess:run`, `builtins:eval`) run whatever they are given.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qsearch.errors import QsearchError, did_you_mean, shown, told

_INSTALLERS = frozenset({"pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel"})
"""Of every environment, and as able to run commands as Python's own library."""
_WHOSE = "a configuration may name modules of yours, beside it or in the current folder, and installed packages"


def look_in(folder: Path) -> None:
    """Find modules in a folder too; what is installed and what is in earlier folders comes first."""
    try:
        path = str(folder.resolve())
    except OSError:  # the current folder has been removed: there is nothing to find in it
        return
    if path not in sys.path:
        sys.path.append(path)


def imported(path: str, error: Callable[[str], QsearchError]) -> Any:
    """What an import path names; modules are looked for in the current folder too, as `python -m` does.

    Args:
        path: "module:name".
        error: makes the error to raise of a message.

    Raises:
        QsearchError: as `error` makes it: no such module or name, one of Python's own, or the module fails when it is
            imported.
    """
    module_name, _, names = path.partition(":")
    refused = refusal(path)
    if refused is not None:
        raise error(refused)
    look_in(Path())
    try:
        thing: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as problem:  # whatever the user's module does while it is imported
        raise error(f"{path}: {module_name} cannot be imported ({told(problem)})") from None
    parts = names.split(".")
    for index, name in enumerate(parts):
        try:
            missing = not hasattr(thing, name)
        except Exception as problem:  # of a __getattr__ of the user's
            raise error(f"{path}: {module_name} fails when it is asked for {shown(name)} ({told(problem)})") from None
        if missing:
            public = [known for known in vars(thing) if not known.startswith("_")]
            raise error(f"{path}: {module_name} has no {shown(name)}{did_you_mean(name, public)}")
        thing = getattr(thing, name)
        if inspect.ismodule(thing):
            module = ".".join([module_name, *parts[: index + 1]])
            raise error(f"{path}: {name!r} is a module; write {module}:{'.'.join(parts[index + 1 :]) or 'NAME'}")
    if _is_pythons(_home(thing)):
        raise error(f"{path}: is {_home(thing)}.{thing.__name__}, which is of Python itself; {_WHOSE}")
    return thing


def refusal(path: str) -> str | None:
    """Why what an import path names is not even imported, or None."""
    module = path.partition(":")[0]
    return f"{path}: {module} is a module of Python itself; {_WHOSE}" if _is_pythons(module) else None


def origin(path: str) -> str | None:
    """The file that an import path's module would be imported from; None where there is none. Imports nothing."""
    folders: Sequence[str] | None = None  # of the first part: those of all packages
    name, home = "", None
    for part in path.partition(":")[0].split("."):
        name = f"{name}.{part}" if name else part
        specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return None
        folders = spec.submodule_search_locations or ()
        home = spec.origin or next(iter(folders), None)
    return home


def _is_pythons(module: str) -> bool:
    """Whether a module is of Python's library; one of the user's own with such a name is hidden by it."""
    return module.partition(".")[0] in sys.stdlib_module_names | _INSTALLERS


def _home(thing: Any) -> str:
    """The module that a function or class is from; "" for anything else. Main modules are the user's own."""
    if not (inspect.isroutine(thing) or inspect.isclass(thing)):
        return ""
    module = str(getattr(thing, "__module__", "") or "")
    return "" if module == "__main__" else module
