"""First sentences of docstrings, read from the files of the package: importing some modules would import TensorFlow."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.resources import files


def sentence(module: str, name: str | None = None) -> str:
    """What a module, or a class of it, says of itself; empty where it says nothing.

    Args:
        module: in the package: "quantizers.fixed_point".
        name: of the class; None for the module.
    """
    tree = _tree(module)
    if tree is None:
        return ""
    if name is None:
        return first_sentence(ast.get_docstring(tree))
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    return "" if found is None else first_sentence(ast.get_docstring(found))


def first_sentence(docstring: str | None) -> str:
    """Of a docstring, in one line, without its full stop."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return _END.split(paragraph, maxsplit=1)[0].removesuffix(".")


_END = re.compile(r"\.\s+(?=[A-Z])")
"""Of a sentence, and not of "et al. 2016"."""


@cache
def _tree(module: str) -> ast.Module | None:
    path = files("qsearch").joinpath(*module.split(".")[:-1], f"{module.rpartition('.')[2]}.py")
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None
