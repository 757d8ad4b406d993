"""Writes what editors and type checkers see of names that are imported late, from the tables that list them.

    python scripts/stubs.py

`qsearch/quantizers/__init__.pyi` has the classes with their real parameters, `qsearch/layers/__init__.pyi` the layers.
"""

from __future__ import annotations

from pathlib import Path

from qsearch.layers.table import CELLS, LAYERS
from qsearch.quantizers.parameters import Parameter
from qsearch.quantizers.table import QUANTIZERS

PACKAGE = Path(__file__).resolve().parent.parent / "qsearch"

_QUANTIZERS = """# Written by scripts/stubs.py from qsearch/quantizers/table.py.
from collections.abc import Mapping, Sequence
from typing import Any

from qsearch.quantizers import {modules}
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.parameters import Parameter
from qsearch.quantizers.spec import QuantizerSpec as QuantizerSpec
from qsearch.quantizers.spec import parse as parse

SIGNATURES: Mapping[str, tuple[Parameter, ...]]

def get(identifier: Any) -> Quantizer | None: ...
"""
_LAYERS = "# Written by scripts/stubs.py from qsearch/layers/table.py.\n{imports}\n__all__: list[str]\n"


def stubs() -> dict[Path, str]:
    """The files and their contents."""
    return {
        PACKAGE / "quantizers" / "__init__.pyi": quantizers(),
        PACKAGE / "layers" / "__init__.pyi": layers(),
    }


def quantizers() -> str:
    modules = ", ".join(sorted({entry.module for entry in QUANTIZERS.values()}))
    classes = [_class(name, entry.module, entry.parameters) for name, entry in QUANTIZERS.items()]
    return _QUANTIZERS.format(modules=modules) + "".join(classes)


def _class(name: str, module: str, parameters: tuple[Parameter, ...]) -> str:
    """A class of the real one, with its parameters."""
    head = f"\nclass {name}({module}.{name}):\n"
    if not parameters:
        return f"{head}    def __init__(self) -> None: ...\n"
    lines = "".join(f"        {p.name}: {p.kind.annotation} = {_shown(p.default)},\n" for p in parameters)
    return f"{head}    def __init__(\n        self,\n{lines}    ) -> None: ...\n"


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def layers() -> str:
    named = [*((entry.module, name) for name, entry in LAYERS.items()), *(("cells", name) for name in CELLS)]
    imports = "".join(f"from qsearch.layers.{module} import {name} as {name}\n" for module, name in sorted(named))
    return _LAYERS.format(imports=imports)


if __name__ == "__main__":
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")
