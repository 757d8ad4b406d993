"""`qsearch schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qsearch.cli.output import say, say_exactly
from qsearch.files import writable, written_whole
from qsearch.paths import expanded


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there; default: print.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of a configuration, with which editors complete and check keys.

    An editor with a YAML language server reads it where the first line of a configuration says so:
    # yaml-language-server: $schema=qsearch.schema.json
    """
    text = schema_text()
    if output is None:
        say_exactly(text)
        return
    path = expanded(output)
    writable(path)
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
    say(f"wrote {path}", err=True)


def schema_text() -> str:
    """The schema as a file has it."""
    from qsearch.config.json_schema import json_schema

    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
