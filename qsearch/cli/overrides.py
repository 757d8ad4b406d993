"""Values of a command line in place of a file's: `--set KEY=VALUE`, or the plain word `KEY=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from qsearch.cli.arguments import CONFIG_FILE, is_there
from qsearch.cli.config_words import ConfigWord
from qsearch.config.shipped import DEFAULT, shipped_configs
from qsearch.errors import ConfigError, shown

Command = TypeVar("Command", bound=Callable[..., Any])

_KEY = re.compile(r"[^\s=/\\]+")
"""A key with sections before it, `limit.^conv` among them; a path with folders is none."""


def overrides_option(command: Command) -> Command:
    """The option `--set KEY=VALUE`, and plain words KEY=VALUE behind the command's other arguments.

    The command gets `overrides: tuple[str, ...]`, those of the options first: the last one of a key counts. Put it
    below the arguments.
    """

    @click.argument("words", nargs=-1, type=ConfigWord(), metavar="[KEY=VALUE]...")
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        type=ConfigWord(),
        metavar="KEY=VALUE",
        help="Change a value, e.g. --set run.max_trials=3; the word run.max_trials=3 does the same.",
    )
    @wraps(command)
    def with_words(*args: Any, words: tuple[str, ...], overrides: tuple[str, ...], **kwargs: Any) -> Any:
        _check(words)
        return command(*args, overrides=(*overrides, *words), **kwargs)

    return with_words  # type: ignore[return-value]


def config_argument(command: Command) -> Command:
    """The argument CONFIG, by default qsearch.yaml, with `overrides_option` behind it.

    A first word KEY=VALUE that is no file is an override, and CONFIG the default. The command gets `config: Path` and
    `overrides`.
    """

    @click.argument("config", type=CONFIG_FILE, required=False)
    @overrides_option
    @wraps(command)
    def with_config(*args: Any, config: Path | None, overrides: tuple[str, ...], **kwargs: Any) -> Any:
        return command(*args, config=config or Path(DEFAULT), overrides=overrides, **kwargs)

    # words are told apart before `overrides_option` sees them
    @wraps(with_config)
    def sorted_words(*args: Any, config: Path | None, words: tuple[str, ...], **kwargs: Any) -> Any:
        if config is not None and not is_there(config):
            if is_override(str(config)):
                config, words = None, (str(config), *words)
            else:
                _check_config(str(config), words)
        return with_config(*args, config=config, words=words, **kwargs)

    return sorted_words  # type: ignore[return-value]


def is_override(word: str) -> bool:
    """Whether a word is KEY=VALUE, and no path with folders."""
    key, equals, _ = word.partition("=")
    return bool(equals) and _KEY.fullmatch(key) is not None


def _check(words: Sequence[str]) -> None:
    """See that each word is KEY=VALUE.

    Raises:
        ConfigError: one is not; with what was probably meant.
    """
    for index, word in enumerate(words):
        if "=" in word.lstrip("="):
            continue
        meant = _meant(words[index:])
        near = f"; did you mean {shown(meant)}?" if meant else ", e.g. run.max_trials=3"
        raise ConfigError(f"{shown(word)}: expected KEY=VALUE{near}")


def _check_config(name: str, words: Sequence[str]) -> None:
    """A CONFIG that is not there, and looks like half an override.

    Raises:
        ConfigError: with what was probably meant.
    """
    if name in shipped_configs():
        return
    meant = _meant((name, *words))
    if meant is not None:
        raise ConfigError(f"{shown(name)}: no such file; did you mean {shown(meant)}?")


def _meant(words: Sequence[str]) -> str | None:
    """The KEY=VALUE that the first of these words begins: `key value`, `key = value`, `key =value`, `key:value`."""
    first, rest = words[0].removeprefix("--"), words[1:]
    if "." in first and ":" in first and _KEY.fullmatch(first.partition(":")[0]):
        key, _, value = first.partition(":")
        return f"{key}={value}" if value else None
    if "." not in first or _KEY.fullmatch(first) is None or first.endswith((".yaml", ".yml")):
        return None
    if rest and rest[0] == "=":
        rest = rest[1:]
    return f"{first}={rest[0].removeprefix('=')}" if rest else f"{first}=VALUE"
