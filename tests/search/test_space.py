"""Values -> plans."""

from __future__ import annotations

from specs import specs

from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers import parse
from qsearch.search.space import FILTER_FACTORS, Dimension, SearchedLayer, SearchSpace

SPACE = SearchSpace(
    dimensions=(
        Dimension("k", specs("binary", "quantized_bits(4,0,1,alpha=1.0)")),
        Dimension("a", specs("quantized_relu(3,1)")),
        Dimension("f", FILTER_FACTORS),
    ),
    layers=(
        SearchedLayer(name="c0", key="Conv2D", dimensions={Role.KERNEL: "k"}, filters=3, filters_dimension="f"),
        SearchedLayer(name="c1", key="Conv2D", dimensions={Role.KERNEL: "k"}, fixed={Role.BIAS: parse("ternary")}),
        SearchedLayer(name="a0", key="Activation", dimensions={Role.ACTIVATION: "a"}),
        SearchedLayer(name="bn", key="BatchNormalization"),
    ),
)


def test_size_is_the_number_of_combinations() -> None:
    assert SPACE.size == 2 * 1 * 5
    assert [SPACE.candidates(layer) for layer in SPACE.layers] == [10, 2, 1, 1]


def test_values_become_a_plan() -> None:
    kernel = parse("quantized_bits(4,0,1,alpha=1.0)")
    plan = SPACE.plan({"k": kernel, "a": parse("quantized_relu(3,1)"), "f": 1.5})
    assert plan == QuantizationPlan(
        {
            "c0": LayerPlan({Role.KERNEL: kernel}, 4),
            "c1": LayerPlan({Role.KERNEL: kernel, Role.BIAS: parse("ternary")}),
            "a0": LayerPlan({Role.ACTIVATION: parse("quantized_relu(3,1)")}),
            "bn": LayerPlan(),
        }
    )
    assert plan.to_dict()["c0"] == {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "filters": 4}


def test_filters_are_rounded_down_and_at_least_one() -> None:
    base = {"k": parse("binary"), "a": parse("quantized_relu(3,1)")}
    filters = [SPACE.plan({**base, "f": factor}).layers["c0"].filters for factor in FILTER_FACTORS]
    assert filters == [1, 2, 3, 4, 6]
    single = SearchSpace(
        dimensions=(Dimension("f", (0.5,)),),
        layers=(SearchedLayer(name="c", key="Conv2D", filters=1, filters_dimension="f"),),
    )
    assert single.plan({"f": 0.5}).layers["c"].filters == 1


def test_equal_plans_from_different_values_are_equal_and_hash_alike() -> None:
    one = SPACE.plan({"k": parse("binary"), "a": parse("quantized_relu(3,1)"), "f": 0.5})
    other = SPACE.plan({"k": parse("binary()"), "a": parse("quantized_relu(3,1,0)"), "f": 0.5})
    assert one == other
    assert hash(one) == hash(other)


def test_what_has_no_value_stays_as_it_is() -> None:
    kernel, relu = parse("binary"), parse("quantized_relu(3,1)")
    assert SPACE.plan({}) == QuantizationPlan({"c1": LayerPlan({Role.BIAS: parse("ternary")}), "bn": LayerPlan()})
    narrow = SPACE.plan({"f": 0.5})
    assert narrow.layers["c0"] == LayerPlan(filters=1)
    assert "a0" not in narrow
    alone = SPACE.plan({"k": kernel})
    assert alone.layers["c0"] == LayerPlan({Role.KERNEL: kernel})
    assert SPACE.plan({"a": relu}).layers["a0"] == LayerPlan({Role.ACTIVATION: relu})
