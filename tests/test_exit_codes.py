"""One table of exit codes."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from qsearch import errors
from qsearch.cli.main import cli
from qsearch.exit_codes import ExitCode, as_markdown


def test_the_docs_hold_the_table(root: Path) -> None:
    text = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    assert as_markdown() in text, f"docs/commands.md: put this table in:\n{as_markdown()}"


def test_help_names_every_code() -> None:
    told = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for code in ExitCode:
        assert f"{code.value} {code.meaning}" in told


def test_every_error_has_a_code_of_its_own() -> None:
    bases = (errors.QsearchError, errors.ConfiguredError)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.QsearchError)]
    kinds = [kind for kind in kinds if kind not in bases]
    assert len({kind.exit_code for kind in kinds}) == len(kinds) >= 6
    assert {kind.exit_code for kind in kinds} <= set(ExitCode)
