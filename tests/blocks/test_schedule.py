"""Patterns, trials and stages of a search block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
import yaml
from keras import layers

from qsearch.blocks.schedule import Schedule, blockwise, whole
from qsearch.blocks.table import BlockTable, block_table
from qsearch.config import load_config
from qsearch.config.extent import Extent
from qsearch.config.schema import BlockRatesConfig
from qsearch.errors import ConfigError
from qsearch.graph.from_keras import read_model
from qsearch.models import build_model
from qsearch.plan import QuantizationPlan
from qsearch.runner.experiment import read_experiment, schedule_of
from qsearch.search.limits import indexed_layers, search_space

LIMIT = {"Dense": [4, 8, 4], "Conv2D": [4, 8, 4], "Activation": [4]}
COSTS = {"stem_conv": 100.0, "res0_conv0": 300.0, "res0_conv1": 200.0, "res1_conv0": 350.0, "dense": 50.0}
WHOLE = ["^stem_", "^res0_", "^res1_", "^dense"]


def cut(folder: Path, blocks: list[str], model: keras.Model | None = None, **run: Any) -> tuple[BlockTable, Schedule]:
    model = model or build_model("digits_resnet")
    settings = {"blocks": blocks, "max_trials": 40, **run}
    config = {"dataset": {"name": "digits"}, "model": {"name": "digits"}, "limit": LIMIT, "run": settings}
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    loaded = load_config(path)
    graph = read_model(model)
    names = [layer.name for layer in model.layers]
    space = search_space(graph, names, loaded)
    table = block_table(loaded, indexed_layers(graph.name, names, loaded), space, COSTS, sum(COSTS.values()))
    return table, blockwise(loaded, graph, space, table)


def test_trials_are_the_share_of_the_cost_and_at_least_the_minimum(tmp_path: Path) -> None:
    table, _ = cut(tmp_path, WHOLE)
    assert [block.trials for block in table.blocks] == [10, 20, 14, 10]
    table, schedule = cut(tmp_path, WHOLE, min_trials_per_block=3)
    assert [block.trials for block in table.blocks] == [4, 20, 14, 3]
    assert [stage.trials for stage in schedule.stages] == [4, 20, 14, 3]
    assert [block.share for block in table.blocks] == [0.1, 0.5, 0.35, 0.05]


def test_the_order_is_the_files_or_that_of_the_cost(tmp_path: Path) -> None:
    mixed = ["^dense", "^res1_", "^stem_", "^res0_"]
    assert [block.pattern for block in cut(tmp_path, mixed)[0].blocks] == mixed
    by_cost = cut(tmp_path, mixed, schedule_block="cost")[1]
    assert [stage.block.pattern for stage in by_cost.stages if stage.block] == ["^res0_", "^res1_", "^stem_", "^dense"]
    assert [stage.number for stage in by_cost.stages] == [1, 2, 3, 4]


def test_stages_know_what_is_done_and_what_is_to_come(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, ["^stem_", "^res1_", "^dense"])
    first, second, third = schedule.stages
    assert first.names == {"stem_conv", "stem_act"}
    assert first.earlier == frozenset()
    assert second.earlier == {"stem_conv", "stem_bn", "stem_act"}
    assert third.later == frozenset()
    assert first.later == second.names | third.names
    assert schedule.notes[-1] == (
        "in no block, and therefore not quantized: res0_conv0, res0_act0, res0_conv1, res0_act1"
    )


def test_each_group_of_layers_has_its_rate(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, WHOLE)
    rates = schedule.stages[1].rates(BlockRatesConfig(quantized=0.2, current=0.8, rest=0.5), COSTS, 0.5)
    assert rates["stem_conv"] == 0.2
    assert rates["res0_conv0"] == rates["res0_bn1"] == 0.4
    assert rates["res1_conv0"] == rates["dense"] == 0.5
    flat = whole(schedule.space, Extent(trials=7))
    assert flat.stages[0].rates(BlockRatesConfig(), COSTS, 0.5) == {}
    assert flat.stages[0].trials == 7


def test_sizes_multiply_at_once_and_add_up_block_by_block(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, WHOLE)
    spaces = schedule.spaces()
    assert sum(schedule.sizes) == sum(space.size for space in spaces)
    flat = 1
    for space in spaces:
        flat *= space.size
    assert schedule.space.size == flat  # nothing is tied here


def test_a_width_that_a_block_decides_is_not_decided_again(tmp_path: Path) -> None:
    """stem_conv and res0_conv1 are added: the first block that comes chooses for both."""
    _, schedule = cut(tmp_path, WHOLE, tune_filters="layer")
    stem, res0, *_ = schedule.spaces()
    assert {"network_filters_stem_conv"} <= {dimension.name for dimension in stem.dimensions}
    assert "network_filters_stem_conv" not in {dimension.name for dimension in res0.dimensions}
    values = {d.name: 2.0 if "filters" in d.name else d.options[0] for d in stem.dimensions}
    plan = stem.plan(values)
    assert plan.layers["res0_conv1"].filters == 16
    assert not plan.quantized("res0_conv1")
    following = schedule.space.part(schedule.stages[1].names, plan)
    later = following.plan({d.name: d.options[0] for d in following.dimensions})
    assert later.layers["res0_conv1"].filters == 16
    assert later.quantized("res0_conv1")
    assert isinstance(later, QuantizationPlan)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (
            ["^stem", "^res0_.*0$", "^res0_.*1$", "^res1", "dense"],
            [
                "run.blocks[1]: pattern '^res0_.*0$' takes res0_conv0 of the residual block that ends in res0_add, but "
                "not res0_conv1 (in '^res0_.*1$'); where filters are tuned, a block must hold all of it: join "
                "res0_conv0, res0_conv1 in one pattern, or name them in run.tune_filters_exceptions",
            ],
        ),
        (["^stem", "^res[01]_conv"], ["takes res1_conv0, res1_conv1", "but not res1_shortcut (in none)"]),
    ],
)
def test_a_split_residual_block_says_what_to_join(tmp_path: Path, blocks: list[str], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        cut(tmp_path, blocks, tune_filters="layer")
    for word in words:
        assert word in str(caught.value)
    cut(tmp_path, blocks)  # without filters nothing has to fit together
    cut(tmp_path, blocks, tune_filters="layer", tune_filters_exceptions="^res")


def test_layers_of_a_residual_block_may_be_searched_again(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, ["^stem", "^res0", "^res1", ".*_conv0$"], tune_filters="layer")
    *_, res1, last = schedule.spaces()
    assert [dimension.name for dimension in res1.dimensions if "filters" in dimension.name]
    assert not [dimension.name for dimension in last.dimensions if "filters" in dimension.name]
    assert {layer.name for layer in last.layers} == {"res0_conv0", "res1_conv0"}


def test_a_width_tied_to_a_layer_in_no_block_stays(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, ["^res0", "^res1", "^dense"], tune_filters="layer")
    res0 = schedule.spaces()[0]
    assert [d.name for d in res0.dimensions if "filters" in d.name] == ["network_filters_res0_conv0"]
    assert (
        "res0_conv1: keeps its 8 filters: its channels are added to those of stem_conv, which is in no block"
        in schedule.notes
    )


def test_overlapping_patterns_search_a_layer_in_each(tmp_path: Path) -> None:
    table, schedule = cut(tmp_path, ["^res0", ".*_conv0$"])
    assert table.matched_twice["res0_conv0"] == ("^res0", ".*_conv0$")
    assert "res0_conv0" in schedule.stages[0].names & schedule.stages[1].names
    assert "res0_conv0" not in schedule.stages[0].later
    assert "res0_conv0" not in schedule.stages[1].earlier  # it is of the current block again
    assert "res0_conv0: is in several blocks (^res0, .*_conv0$) and searched in each of them" in schedule.notes


def test_blocks_with_nothing_to_search(tmp_path: Path) -> None:
    _, schedule = cut(tmp_path, ["^stem", "pool|flatten"])
    assert len(schedule.stages) == 1
    assert "block 'pool|flatten': nothing in it is searched" in schedule.notes
    with pytest.raises(
        ConfigError, match=r"run\.blocks: take no layer that is searched; searched are: stem_conv, stem_act"
    ):
        cut(tmp_path, ["pool|flatten"])


def test_patterns_that_match_nothing_are_all_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cut(tmp_path, ["^stem", "rez0_conv0", "^blub"])
    first, second = str(caught.value).splitlines()
    assert first.endswith("run.blocks[1]: pattern 'rez0_conv0' matches no layer; did you mean 'res0_conv0'?")
    assert second.endswith("run.blocks[2]: pattern '^blub' matches no layer")


def test_convolution_blocks_of_other_models_are_found_too(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    x = layers.Add(name="sum")([layers.Conv2D(4, 1, name="b")(x), layers.Conv2D(4, 1, name="c")(x)])
    model = keras.Model(inputs, layers.Dense(2, name="d")(layers.Flatten()(x)))
    with pytest.raises(ConfigError, match=r"takes b of the residual block that ends in sum, but not c \(in 'c'\)"):
        cut(tmp_path, ["a", "b", "c", "d"], model, tune_filters="layer")


def test_raw_operations_belong_to_blocks_too(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3), name="in")
    x = keras.ops.relu(keras.layers.Conv2D(4, 1, name="c")(inputs))
    name = x._keras_history.operation.name
    keras.Model(inputs, keras.layers.Dense(2, name="d")(x)).save(tmp_path / "m.keras")
    text = f"dataset: {{name: digits}}\nmodel: {{path: {tmp_path / 'm.keras'}}}\n"
    text += "limit: {Conv2D: [4], Activation: [4], Dense: [4]}\n"
    (tmp_path / "c.yaml").write_text(f"{text}run: {{blocks: ['^c|^{name}', '^d']}}\n", encoding="utf-8")
    experiment = read_experiment(load_config(tmp_path / "c.yaml"))
    first, second = schedule_of(experiment).stages
    assert first.names == {"c", name}
    assert second.names == {"d"}
