"""Scales, marks and figures: what is where, and that nothing of anybody's gets out of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from made_run import made_run

from qsearch.errors import ConfigError
from qsearch.report import pictures
from qsearch.report.figures.blocks import blocks_figure
from qsearch.report.figures.draw import alone, inline
from qsearch.report.figures.layers import counted, energy_per_layer, layer_rows
from qsearch.report.figures.marks import Label, PointMark, clipped
from qsearch.report.figures.marks import Path as PathMark
from qsearch.report.figures.palette import bits_step
from qsearch.report.figures.progress import curves, progress
from qsearch.report.figures.scales import cost_scale, scale, tick_texts
from qsearch.report.figures.trade_off import trade_off
from qsearch.report.pictures import drawn, pictures_of
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import energy
from qsearch.runs.figures import LayerEnergy

SVG = "{http://www.w3.org/2000/svg}"


def points(run: ShownRun) -> list[PointMark]:
    marks = [mark for layer in trade_off(run).layers for mark in layer.marks]
    return [mark for mark in marks if isinstance(mark, PointMark) and mark.trial]


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.91, 0.93), (-3.0, 17.0), (5.0, 5.0), (0.0, 0.0), (1e-9, 2e-9)]
)
def test_a_scale_holds_its_values_between_round_ends(low: float, high: float) -> None:
    made = scale([low, high], 400, 0)
    assert made.low <= low <= high <= made.high
    assert 0 <= made(high) <= made(low) <= 400
    assert 2 <= len(made.ticks) <= 13
    assert len({*tick_texts(made.ticks)}) == len(made.ticks)


def test_costs_that_span_much_are_shown_by_their_logarithm() -> None:
    wide, narrow = cost_scale([385.0, 12626.0], 0, 700), cost_scale([385.0, 500.0], 0, 700)
    assert wide.is_log
    assert not narrow.is_log
    assert wide(1000) - wide(500) == pytest.approx(wide(2000) - wide(1000))
    assert wide.ticks == (500.0, 1000.0, 2000.0, 5000.0, 10000.0)
    assert not cost_scale([0.0, 100.0], 0, 700).is_log  # zero has no logarithm


def test_the_trade_off_has_every_trial_where_it_belongs(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 30)))
    found = {mark.trial: mark for mark in points(run)}
    assert found.keys() == {trial.number for trial in run.completed}
    assert len(run.axes) == 5
    for index, axis in enumerate(run.axes):
        by_cost = sorted(found, key=lambda number: axis.costs[number])
        places = [found[number].xs[index] for number in by_cost]
        assert places == sorted(places, key=float)  # type: ignore[arg-type]
    by_metric = sorted(run.completed, key=lambda trial: trial.metric)
    heights = [found[trial.number].y for trial in by_metric]
    assert heights == sorted(heights, reverse=True)
    assert run.best is not None
    assert [mark.trial for mark in found.values() if mark.kind == "best"] == [run.best.number]


def test_trials_of_earlier_blocks_are_shown_and_not_on_the_front(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 20, blocks=2)))
    assert run.best is not None
    kinds, best = {mark.trial: mark.kind for mark in points(run)}, {run.best.number}
    assert {number for number, kind in kinds.items() if kind == "earlier"} == {*range(1, 11)} - best
    assert {*run.front_numbers} <= {*range(11, 21)}


def test_blocks_are_drawn_from_before_to_after_with_their_trials(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 20, blocks=2)))
    assert run.result is not None
    figure = blocks_figure(run)
    assert figure is not None
    marks = [mark for layer in figure.layers for mark in layer.marks]
    texts = [mark.text for mark in marks if isinstance(mark, Label)]
    assert {"1. ^conv_0$", "2. ^conv_1$", "40.0% of the cost, 10 of 10 trials"} <= {*texts}
    tips = [mark.tip for mark in marks if isinstance(mark, PathMark) and mark.tip]
    first, second = run.result.blocks
    assert tips == [
        f"block {block.block}, {what}: {text(getattr(block.before, key))} → {text(getattr(block.after, key))}"
        for what, key, text in (
            ("energy", "energy", energy),
            ("acc", "metric", "{:.4f}".format),
            ("score", "score", "{:.4f}".format),
        )
        for block in (first, second)
    ]
    dotted = [mark.d.count("M") for mark in marks if isinstance(mark, PathMark) and mark.kind == "dots"]
    assert dotted == [10] * 6  # the trials of each block, for each of the three figures
    ends = [mark.xs[0] for mark in marks if isinstance(mark, PointMark) and mark.kind == "best"]
    assert len(ends) == 6
    assert blocks_figure(ShownRun.read(str(made_run(tmp_path / "whole", 5)))) is None


def test_the_reference_has_its_learning_curve(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", 5)
    lines = {mark.kind: mark.d for mark in _curve_paths(folder)}
    assert lines["reference-curve"].count("L") == 4  # five epochs
    record = json.loads((folder / "result.json").read_text())
    del record["reference"]["curve"]  # of an earlier version
    (folder / "result.json").write_text(json.dumps(record))
    assert "reference-curve" not in {mark.kind for mark in _curve_paths(folder)}
    record["reference"]["curve"] = [0.5 + place / 1000 for place in range(100)]  # far longer than the trials' three
    (folder / "result.json").write_text(json.dumps(record))
    figure = curves(ShownRun.read(str(folder)))
    assert figure is not None
    texts = {mark.text for layer in figure.layers for mark in layer.marks if isinstance(mark, Label)}
    assert {"epoch (logarithmic)", "1", "2", "100"} <= texts


def _curve_paths(folder: Path) -> list[PathMark]:
    figure = curves(ShownRun.read(str(folder)))
    assert figure is not None
    return [mark for layer in figure.layers for mark in layer.marks if isinstance(mark, PathMark)]


def test_a_metric_of_which_less_is_better_has_its_front_below(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 30, minimise=True)))
    assert not run.maximize
    front = run.front_by(run.axes[0])
    assert [trial.metric for trial in front] == sorted((trial.metric for trial in front), reverse=True)
    assert front[-1].metric == min(trial.metric for trial in run.completed)
    old = ShownRun.read(str(made_run(tmp_path / "old", 30, minimise=True, finished=False, costs=False)))
    assert not old.maximize  # told by the signs of scores alone


def test_parts_of_a_layer_add_up_to_what_is_counted(tmp_path: Path) -> None:
    layer = LayerEnergy.model_validate(
        {"class": "Conv2D", "inputs": 2.88, "parameters": 5.28, "op_cost": 691.2, "outputs": 19.82}
        | {"total": 699.36, "operations": 1, "formats": {}}
    )
    assert counted(layer) == {"inputs": 2.88, "parameters": 5.28, "op_cost": 691.2}
    assert counted(layer.model_copy(update={"total": 5.28})) == {"parameters": 5.28}
    told = layer.model_copy(update={"total": 691.2, "counted": ("op_cost",)})
    assert counted(told) == {"op_cost": 691.2}
    assert counted(told.model_copy(update={"counted": ()})) == {}  # nothing is priced
    run = ShownRun.read(str(made_run(tmp_path / "run")))
    assert run.energies is not None
    assert [row.name for row in layer_rows(run.energies)] == [f"conv_{place}" for place in range(5)]
    figure = energy_per_layer(run.energies)
    orders = [[m.text for m in layer.marks if isinstance(m, Label) and m.kind == "name"] for layer in figure.layers[1:]]
    assert orders[1] == orders[0][::-1]  # each layer of the made run costs more than the one before


@pytest.mark.parametrize("trials", [0, 1, 2, 120])
def test_every_figure_is_a_file_that_parses(tmp_path: Path, trials: int) -> None:
    name = 'conv_{}</text><script>alert("1")</script>\x07\x00'
    run = ShownRun.read(str(made_run(tmp_path / "run", trials, names=name, missed=2)))
    found = pictures_of(run, run.importance())
    assert len(found) == {0: 2, 1: 10, 2: 10, 120: 11}[trials]
    for name, figure in found.items():
        root = ElementTree.fromstring(drawn(figure, "svg"))
        assert root.tag == f"{SVG}svg", name
        assert not [*root.iter(f"{SVG}script")]
        texts = [text for text in root.iter(f"{SVG}text") if text.text]
        assert texts, name
        assert "var(" not in alone(figure)
        assert "<script" not in inline(figure)


@pytest.mark.extras
def test_a_png_shows_its_text(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    run = ShownRun.read(str(made_run(tmp_path / "run", 12)))
    figure = progress(run)
    without = replace(
        figure,
        layers=tuple(replace(la, marks=tuple(m for m in la.marks if not isinstance(m, Label))) for la in figure.layers),
    )
    image, bare = drawn(figure, "png"), drawn(without, "png")
    assert image.startswith(b"\x89PNG")
    assert len(image) > len(bare) + 5_000  # letters take room


def test_a_png_needs_a_package_that_the_message_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(ConfigError, match=r'pip install "qsearch\[figures\]"; or --format svg'):
        pictures.check_format("png")
    pictures.check_format("svg")


def test_more_bits_are_darker_and_long_names_keep_their_ends() -> None:
    steps = [bits_step(bits) for bits in (1, 2, 3, 4, 6, 8, 16, 32)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 6)
    assert clipped("a_rather_long_name_of_a_layer_12", 12) == "a_rat…ayer_12"[0:5] + "…" + "ayer_12"[1:]
    assert len(clipped("x" * 300, 12)) == 12
