"""docs/configuration_keys.md is what the schema says."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from config_fuzz import KEYS


@pytest.fixture(scope="module")
def made(root: Path) -> ModuleType:
    spec = spec_from_file_location("config_keys", root / "scripts" / "config_keys.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes(made: ModuleType) -> None:
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run scripts/config_keys.py"


def test_it_has_every_key_of_the_schema(made: ModuleType) -> None:
    page = made.page()
    assert [key for key in KEYS if f"| `{key[-1]}` |" not in page] == []
    assert "anything" not in page
