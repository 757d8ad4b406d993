"""What failed trials have in common is told, and what they share by the space's own doing is not."""

from __future__ import annotations

from specs import specs

from qsearch.plan import QuantizationPlan, Role
from qsearch.quantizers.spec import parse
from qsearch.search.candidates import Unpriced
from qsearch.search.failures import in_common
from qsearch.search.proposals import Proposal
from qsearch.search.space import FILTER_FACTORS, LEARNING_RATE, Choice, Dimension, SearchedLayer, SearchSpace, Values
from qsearch.search.trials import FailedTrial

KERNELS = specs(
    "binary", "quantized_po2(4,1)", "quantized_po2(4,2)", "quantized_bits(4)", "ternary", "quantized_bits(8)"
)
SPACE = SearchSpace(
    dimensions=(
        Dimension("k0", KERNELS),
        Dimension("k1", KERNELS),
        Dimension("only", specs("binary")),
        Dimension("f0", FILTER_FACTORS),
        Dimension(LEARNING_RATE, tuple(range(5))),
    ),
    layers=(
        SearchedLayer(
            name="conv", key="Conv2D", dimensions={Role.KERNEL: "k0"}, fixed={}, filters=8, filters_dimension="f0"
        ),
        SearchedLayer(name="dense", key="Dense", dimensions={Role.KERNEL: "k1"}),
        SearchedLayer(name="last", key="Dense", dimensions={Role.KERNEL: "only"}),
    ),
)


def failed_trial(number: int, reason: str, values: Values) -> FailedTrial:
    return FailedTrial(number=number, proposal=Proposal(Unpriced(values, QuantizationPlan(), reason)), reason=reason)


def trial(number: int, reason: str, **values: Choice) -> FailedTrial:
    """A trial that shares nothing with its neighbours but what is given."""
    own: dict[str, Choice] = {
        "k0": KERNELS[number % 6],
        "k1": KERNELS[(number + 3) % 6],
        "only": parse("binary"),
        "f0": FILTER_FACTORS[number % 5],
        LEARNING_RATE: number % 5,
    }
    return failed_trial(number, reason, {**own, **values})


def test_the_same_reason_whatever_its_numbers() -> None:
    told = in_common([trial(i, f"cannot multiply {i} by {i * 2.5}") for i in range(5)], SPACE)
    assert told == "all 5 for the same reason: cannot multiply 0 by 0.0"


def test_most_of_them() -> None:
    failed = [trial(i, "no memory for it" if i == 2 else "bad shape 3", k1=parse("ternary")) for i in range(5)]
    assert in_common(failed, SPACE) == ("4 of 5 for the same reason: bad shape 3; all of these have k1 = ternary")


def test_reasons_of_their_own_in_one_layer() -> None:
    failed = [trial(i, f"layer 'block/conv': {word}") for i, word in enumerate(("one", "two", "three"))]
    assert in_common(failed, SPACE) == "3 reasons, the last: layer 'block/conv': three; all in layer block/conv"
    nodes = [trial(i, f"{word} at node net_1/conv_{i}/Mul") for i, word in enumerate(("one", "two", "three"))]
    assert in_common(nodes, SPACE).endswith("; all in layer conv")


def test_what_they_share_the_least_likely_first() -> None:
    failed = [trial(i, "x", k0=KERNELS[1 + i % 2], f0=(1.5, 2.0)[i % 2], k1=parse("ternary")) for i in range(4)]
    assert in_common(failed, SPACE) == (
        "all 4 for the same reason: x; all have k1 = ternary, k0 = one of the family quantized_po2 and "
        "f0 = wider than the reference"
    )


def test_learning_rates() -> None:
    failed = [trial(i, "training diverged: no epoch of 3", **{LEARNING_RATE: 3 + i % 2}) for i in range(4)]
    assert in_common(failed, SPACE) == (
        "all 4 for the same reason: training diverged: no epoch of 3; all have learning_rate_step = of the higher "
        "rates; lower reference.optimizer.learning_rate, which trials train with too, or give the optimizer "
        "clipnorm: 1.0"
    )


def test_what_two_trials_share_or_many_may_by_chance_shows_nothing() -> None:
    two = [trial(i, "x", k0=parse("ternary")) for i in range(2)]
    assert in_common(two, SPACE) == "all 2 for the same reason: x"
    pair = SearchSpace(dimensions=(Dimension("k0", specs("binary", "ternary")),), layers=SPACE.layers[:1])
    for count, told in ((4, False), (5, True)):
        same = [failed_trial(i, "x", {"k0": parse("ternary")}) for i in range(count)]
        assert ("k0 = ternary" in in_common(same, pair)) is told


def test_one_trial_and_none() -> None:
    assert in_common([trial(1, "ResourceExhaustedError: OOM when allocating")], SPACE) == (
        "ResourceExhaustedError: OOM when allocating; it is too little memory: lower run.batch_size, or the widths "
        "that are searched"
    )
    assert in_common([], SPACE) == "no trial failed"
