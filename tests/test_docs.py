"""The pages of docs/ lead to each other, name what there is, and can be built into a site."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from configparser import ConfigParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import qsearch
from qsearch.config import load_config

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
TEXTS = [
    *sorted(DOCS.glob("*.md")),
    *sorted(ROOT.glob("*.md")),
    ROOT / "llms.txt",
    *sorted((ROOT / "examples").rglob("*.md")),
]


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """A page without what stands in fences."""
    return re.sub(r"^```.*?^```$", "", text(path), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What a Git host and the site call a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(path: Path) -> list[tuple[str, str]]:
    """(file, anchor) of each link that is no address."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(path))
    return [(file, anchor) for file, anchor in found if ":" not in file]


def toctree() -> list[str]:
    blocks = re.findall(r"^```{toctree}\n(.*?)^```$", text(DOCS / "index.md"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for file, anchor in links(path):
        target = path.parent / file if file else path
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_every_page_is_in_the_site_and_on_its_front_page() -> None:
    entries = toctree()
    assert sorted([*(entry for entry in entries if "/" not in entry), "index"]) == PAGES
    assert [entry for entry in entries if "/" in entry and not (DOCS / entry).is_file()] == []
    assert {Path(file).stem for file, _ in links(DOCS / "index.md") if "/" not in file} == {*PAGES} - {"index"}
    assert ("docs/index.md", "") in links(ROOT / "README.md")


def test_no_page_takes_the_place_of_one_of_sphinx() -> None:
    assert {"search", "genindex", "modindex", "py-modindex"} & {*PAGES} == set()


def test_every_public_name_is_in_the_reference() -> None:
    shown = text(DOCS / "api.md") + text(DOCS / "api_layers.md")
    for name in qsearch.__all__:
        kind = "automodule" if isinstance(getattr(qsearch, name), ModuleType) else r"auto(?:function|class)"
        assert re.search(rf"^\.\. {kind}:: qsearch\.{name}$", shown, re.MULTILINE), name


def test_every_benchmark_is_listed_and_every_listed_one_is_there() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert {*re.findall(r"(\w+\.py)", text(DOCS / "benchmarks.md"))} == scripts
    for path in TEXTS:
        assert {*re.findall(r"benchmarks/(\w+\.py)", text(path))} <= scripts, path


def test_the_example_of_all_keys_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text(DOCS / "configuration.md"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "all.yaml"
    path.write_text(example, encoding="utf-8")
    assert load_config(path).config.goal.type == "energy"


def pins(name: str) -> dict[str, set[str]]:
    """The versions of a lock file; of different Pythons or systems there may be several."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text(ROOT / name), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_the_site_is_made_of_versions_that_go_with_the_locked_ones() -> None:
    locked, site = pins("requirements.lock"), pins("requirements-docs.lock")
    targets = pins("requirements-extras.lock")
    assert {n: targets[n] for n in targets if n in locked and not targets[n] <= locked[n]} == {}
    assert {n: targets[n] for n in targets if n in site and not targets[n] <= site[n] | locked.get(n, set())} == {}
    assert {name: site[name] for name in site if name in locked and not site[name] <= locked[name]} == {}
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = {re.split(r"[<>=;\s]", line)[0] for line in setup["options.extras_require"]["docs"].split("\n") if line}
    assert wanted <= {*site} - {*locked}


def test_the_reading_order_is_the_same_in_the_list_and_in_the_site() -> None:
    listed = [Path(file).stem for file, _ in links(DOCS / "index.md") if "/" not in file]
    places = [toctree().index(page) for page in listed]
    assert all(a < b for a, b in pairwise(places))


def test_the_sites_llms_txt_leads_to_its_pages(tmp_path: Path) -> None:
    made = runpy.run_path(str(DOCS / "conf.py"))
    made["_write_llms"](SimpleNamespace(outdir=str(tmp_path)), None)
    found = {file for file, _ in links(tmp_path / "llms.txt")}
    assert {"programs.html", "commands.html", "_outside/CHANGELOG.html"} <= found
    assert not [file for file in found if not file.endswith(".html")]


def test_every_document_of_a_command_is_described() -> None:
    called = r"say_document\(\s*\"(\w+)\"(?:, (\d+))?"
    printed = {found for path in (ROOT / "qsearch" / "cli").glob("*.py") for found in re.findall(called, text(path))}
    assert len(printed) > 5
    described = {*re.findall(r"^\| `(qsearch\.\w+/\d+)` \|", text(DOCS / "programs.md"), re.MULTILINE)}
    assert described == {f"qsearch.{kind}/{version or 1}" for kind, version in printed}


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, ("sphinx", "furo", "myst_parser"))), reason="scripts/docs installs the generator"
)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html")
    command = (*build, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in PAGES:
        assert (tmp_path / "site" / f"{page}.html").is_file()
    assert "_outside/CONTRIBUTING.html" in text(tmp_path / "site" / "ARCHITECTURE.html")
    assert 'id="qsearch.layers.QConv2D"' in text(tmp_path / "site" / "api_layers.html")
