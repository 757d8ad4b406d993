"""Writes qsearch/quantizers/__init__.pyi: the classes with their real parameters, for editors and type checkers.

python scripts/quantizer_stub.py
"""

from __future__ import annotations

from pathlib import Path

from qsearch.quantizers.parameters import Parameter
from qsearch.quantizers.table import QUANTIZERS

STUB = Path(__file__).resolve().parent.parent / "qsearch" / "quantizers" / "__init__.pyi"

HEAD = """# Written by scripts/quantizer_stub.py from qsearch/quantizers/table.py.
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


def stub() -> str:
    """The content of the file."""
    modules = ", ".join(sorted({entry.module for entry in QUANTIZERS.values()}))
    classes = [_class(name, entry.module, entry.parameters) for name, entry in QUANTIZERS.items()]
    return HEAD.format(modules=modules) + "".join(classes)


def _class(name: str, module: str, parameters: tuple[Parameter, ...]) -> str:
    """A class of the real one, with its parameters."""
    head = f"\nclass {name}({module}.{name}):\n"
    if not parameters:
        return f"{head}    def __init__(self) -> None: ...\n"
    lines = "".join(f"        {p.name}: {p.kind.annotation} = {_shown(p.default)},\n" for p in parameters)
    return f"{head}    def __init__(\n        self,\n{lines}    ) -> None: ...\n"


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
