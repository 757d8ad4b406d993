"""How Sphinx builds the pages of this folder into a site: `scripts/docs`.

Pages link to files outside this folder as on a Git host, `../CONTRIBUTING.md`. For the site, the files that are linked
are copied into `_outside/`, and the links follow.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OUTSIDE = DOCS / "_outside"
LINK = re.compile(r"(?<=\]\()[^)#:\s]+(?=[)#])|(?<=<)\.\./[^>\s]+(?=>)|^\.\./\S+$", re.MULTILINE)
"""The path of a Markdown link, or of a toctree's entry that is outside this folder."""

sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import qsearch  # noqa: E402

project = "qsearch"
author = "the qsearch authors"
version = release = qsearch.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"qsearch {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
toc_object_entries_show_parents = "hide"
default_role = "code"  # docstrings quote code with single backticks
autodoc_inherit_docstrings = False  # Keras' are Markdown
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
smartquotes_action = "D"  # dashes; quotes stay as they are written
python_maximum_signature_line_length = 100


def _target(link: str, page: Path) -> Path | None:
    """The file that a link of a page leads to, both as in the repository; a folder's is its README."""
    path = (page.parent / link).resolve()
    path = path / "README.md" if path.is_dir() else path
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _of_site(path: Path) -> Path:
    return path if path.is_relative_to(DOCS) else OUTSIDE / path.relative_to(ROOT)


def _linked() -> Iterator[Path]:
    """All files outside this folder that pages link to, or pages that those link to."""
    waiting, seen = sorted(DOCS.glob("*.md")), set[Path]()
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            path = _target(link, page)
            if path is None or path in seen or path.is_relative_to(DOCS):
                continue
            seen.add(path)
            yield path
            if path.suffix == ".md":
                waiting.append(path)


def _copy_linked(*_: Any) -> None:
    shutil.rmtree(OUTSIDE, ignore_errors=True)
    for path in _linked():
        _of_site(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, _of_site(path))


def _follow_links(_: Any, document: str, source: list[str]) -> None:
    here = DOCS / f"{document}.md"
    page = ROOT / here.relative_to(OUTSIDE) if here.is_relative_to(OUTSIDE) else here

    def followed(match: re.Match[str]) -> str:
        path = _target(match[0], page)
        return match[0] if path is None else Path(os.path.relpath(_of_site(path), here.parent)).as_posix()

    source[0] = LINK.sub(followed, source[0])


def _write_llms(app: Any, error: Exception | None) -> None:
    """llms.txt at the top of the site, whose links lead to its pages."""
    if error is not None or not Path(app.outdir).is_dir():
        return

    def followed(match: re.Match[str]) -> str:
        path = _target(match[0], ROOT / "llms.txt")
        return match[0] if path is None else _of_site(path).relative_to(DOCS).with_suffix(".html").as_posix()

    text = LINK.sub(followed, (ROOT / "llms.txt").read_text(encoding="utf-8"))
    (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")


def _signature(_: Any, kind: str, __: str, what: Any, ___: Any, signature: str | None, returned: str | None) -> Any:
    """Classes by the names of their arguments alone: a layer has dozens."""
    if kind == "class" and signature is not None:
        signature = f"({', '.join(_argument(each) for each in inspect.signature(what).parameters.values())})"
    return signature, returned


def _argument(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return f"**{parameter.name}"
    if parameter.default is parameter.empty:
        return parameter.name
    value = "..." if parameter.default is ... else repr(parameter.default)
    return parameter.name if "<" in value else f"{parameter.name}={value}"


def _docstring(_: Any, __: str, ___: str, ____: Any, _____: Any, lines: list[str]) -> None:
    """`|x|` is an absolute value, and what is indented by itself is code."""
    found: list[str] = []
    for place, line in enumerate(lines):
        before = [earlier for earlier in lines[:place] if earlier]
        if line.startswith("    ") and not lines[place - 1] and before and not before[-1].startswith((" ", ":", "..")):
            found += ["::", ""]
        found.append(line.replace("|", r"\|"))
    lines[:] = found


def setup(app: Any) -> None:
    app.connect("config-inited", _copy_linked)
    app.connect("source-read", _follow_links)
    app.connect("build-finished", _write_llms)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _docstring)
