"""The page in a real browser: nothing is loaded, nothing fails, points can be reached, and a phone can show it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_run import made_run

from qsearch.report.compare_page import compared
from qsearch.report.html import page
from qsearch.report.shown_run import ShownRun

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = [pytest.mark.extras, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]

HOSTILE = "conv_{}</script><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    kinds: dict[str, dict[str, Any]] = {
        "usual": {"names": HOSTILE, "missed": 2},
        "large": {"trials": 500, "layers": 20},
        "empty": {"trials": 0},
        "blocks": {"blocks": 2},
    }
    found = {}
    for name, kind in kinds.items():
        run = ShownRun.read(str(made_run(folder / name, **kind)))
        found[name] = folder / f"{name}.html"
        found[name].write_text(page(run, run.importance() if name == "usual" else None), encoding="utf-8")
    runs = [ShownRun.read(str(folder / name)) for name in ("usual", "large")]
    found["compared"] = folder / "compared.html"
    found["compared"].write_text(compared(runs), encoding="utf-8")
    return found


class Shown:
    """A page that is open, with what it said and asked for."""

    def __init__(self, browser: Any, file: Path, width: int = 1200, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}") or dialog.dismiss())
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *problem: object) -> None:
        self.context.close()


@pytest.mark.parametrize("name", ["usual", "large", "empty", "blocks", "compared"])
def test_a_page_loads_nothing_says_nothing_and_fits(browser: Any, files: dict[str, Path], name: str) -> None:
    with Shown(browser, files[name], color_scheme="dark") as shown:
        assert shown.asked == [files[name].as_uri()]
        for width in (360, 800, 1400):
            shown.page.set_viewport_size({"width": width, "height": 900})
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.said == []


def test_focus_and_pointer_show_the_plan(browser: Any, files: dict[str, Path]) -> None:
    with Shown(browser, files["usual"]) as shown:
        page, tip = shown.page, shown.page.locator("#tip")
        assert not tip.is_visible()
        page.locator("#trade_off").locator("..").focus()
        page.keyboard.press("Tab")  # one stop for all points: the best one
        first = page.evaluate("document.activeElement.dataset.t")
        assert tip.is_visible()
        assert tip.inner_text().startswith(f"trial {first}\n")
        assert "conv_0</script><script>alert(1)</script>" in tip.inner_text()
        assert "quantized_relu(" in tip.inner_text()
        page.keyboard.press("ArrowLeft")
        second = page.evaluate("document.activeElement.dataset.t")
        assert second != first
        assert tip.inner_text().startswith(f"trial {second}\n")
        page.keyboard.press("Escape")
        assert not tip.is_visible()
        page.locator(f"#trade_off .pt[data-t='{first}']").hover()
        assert tip.inner_text().startswith(f"trial {first}\n")
        assert shown.said == []


def test_the_axis_is_switched_by_keyboard_and_by_pointer(browser: Any, files: dict[str, Path]) -> None:
    with Shown(browser, files["usual"]) as shown:
        chart = shown.page.locator("#trade_off")
        point = chart.locator(".pt[data-t='1']")
        places = point.get_attribute("data-x").split("|")
        assert point.get_attribute("transform").startswith(f"translate({places[0]} ")
        shown.page.locator("label", has_text="bit operations (BOPs)").first.click()
        assert point.get_attribute("transform").startswith(f"translate({places[2]} ")
        assert chart.locator("g[data-axis='2']").is_visible()
        assert not chart.locator("g[data-axis='0']").is_visible()
        shown.page.keyboard.press("ArrowRight")
        assert point.get_attribute("transform").startswith(f"translate({places[3]} ")
        shown.page.locator("label", has_text="most energy first").click()
        assert shown.page.locator("#energy_per_layer g[data-axis='1']").is_visible()
        assert shown.said == []


def test_the_table_is_sorted_and_the_plan_copied(browser: Any, files: dict[str, Path]) -> None:
    with Shown(browser, files["usual"], permissions=["clipboard-read", "clipboard-write"]) as shown:
        page = shown.page

        def column(index: int) -> list[str]:
            return [str(text) for text in page.locator(f"table.sortable tbody td:nth-child({index})").all_inner_texts()]

        page.locator("table.sortable th button", has_text="acc").click()
        metrics = [float(text) for text in column(4)]
        assert metrics == sorted(metrics, reverse=True)
        page.locator("table.sortable th button", has_text="trial").click()
        page.locator("table.sortable th button", has_text="trial").click()
        assert [int(text) for text in column(1)] == [*range(1, 21)]
        plan = page.locator("#plan ~ .copied").first
        plan.locator("button").click()
        sync_api.expect(plan.locator("button")).to_have_text("Copied")
        assert "quantized_relu(" in plan.locator("pre").inner_text()
        assert shown.said == []


def test_without_a_script_all_figures_are_there(browser: Any, files: dict[str, Path]) -> None:
    with Shown(browser, files["usual"], java_script_enabled=False) as shown:
        assert shown.page.locator("svg.chart").count() == 7
        assert shown.page.locator("fieldset.switch:visible").count() == 0
        assert shown.page.locator("table.sortable tbody tr").count() == 20


def test_500_trials_open_at_once(browser: Any, files: dict[str, Path]) -> None:
    started = time.monotonic()
    with Shown(browser, files["large"]) as shown:
        taken = shown.page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
        assert time.monotonic() - started < 10  # of a machine that does much else
        assert taken < 3000
        assert shown.page.locator("#trade_off .pt[data-t]").count() == 501


def test_it_is_printed_in_light_colours_on_a4(browser: Any, files: dict[str, Path]) -> None:
    with Shown(browser, files["usual"], 700, color_scheme="dark") as shown:
        shown.page.emulate_media(media="print")
        assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not shown.page.locator("nav").is_visible()
        assert shown.page.pdf(format="A4").startswith(b"%PDF")
        assert shown.page.locator("text=The first 15 are printed.").is_visible()
        assert shown.page.locator("table.sortable tbody tr:visible").count() == 15


PARTED = """() => {
  const style = element => getComputedStyle(element);
  const found = [];
  for (const figure of document.querySelectorAll("figure")) {
    if (style(figure).breakInside !== "avoid") found.push("cut: " + figure.textContent.slice(0, 40));
    for (let above = figure.previousElementSibling; above; above = above.previousElementSibling) {
      if (style(above).breakAfter !== "avoid") found.push("left alone: " + above.textContent.slice(0, 40));
      if (/^H[23]$/.test(above.tagName)) break;
    }
  }
  for (const head of document.querySelectorAll("thead"))
    if (style(head).display !== "table-header-group") found.push("not repeated: " + head.textContent.slice(0, 40));
  return found;
}"""


@pytest.mark.parametrize("name", ["usual", "blocks"])
def test_no_page_break_parts_what_belongs_together(browser: Any, files: dict[str, Path], name: str) -> None:
    with Shown(browser, files[name], 700) as shown:
        shown.page.emulate_media(media="print")
        assert shown.page.evaluate(PARTED) == []
