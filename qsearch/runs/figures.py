"""The parts of result.json and energy.json: frozen records that read and write JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import core_schema
from pydantic_core.core_schema import SerializationInfo

from qsearch.plan import QuantizationPlan

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A figure of a model; null in JSON, which has no NaN, where it is no number."""


class _AsDictionary:
    """A plan as its dictionary."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def read(plan: QuantizationPlan | Mapping[str, Any]) -> QuantizationPlan:
            return plan if isinstance(plan, QuantizationPlan) else QuantizationPlan.from_dict(plan)

        written = core_schema.plain_serializer_function_ser_schema(lambda plan: plan.to_dict())
        return core_schema.no_info_plain_validator_function(read, serialization=written)


Plan = Annotated[QuantizationPlan, _AsDictionary]

METRIC = "metric"


class Part(BaseModel):
    """A record of JSON; keys of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True, populate_by_name=True)


class Scored(Part):
    """A record with the target metric, whose key in JSON is the metric's own name ("acc").

    That name is the `metric` of the validation's and the serialization's context.
    """

    metric: Number

    @model_validator(mode="before")
    @classmethod
    def _plain_key(cls, shown: Any, info: ValidationInfo) -> Any:
        name = (info.context or {}).get(METRIC)
        if name is None or not isinstance(shown, Mapping):
            return shown
        return {METRIC if key == name else key: value for key, value in shown.items()}

    @model_serializer(mode="wrap")
    def _own_key(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        name = (info.context or {}).get(METRIC, METRIC)
        return {name if key == METRIC else key: value for key, value in handler(self).items()}


class Evaluation(Part):
    """A trained model's loss and metrics on the selection set and on the test set, and its parameters."""

    selection: Mapping[str, Number]
    test: Mapping[str, Number]
    parameters: int


class Footprint(Part):
    """Bytes of memory: parameters bit by bit, and in whole bytes; activations alive at once, in whole bytes."""

    weights_packed: int
    weights: int
    activations: int


class Reference(Evaluation):
    """The unquantized model; cost in the goal's unit, energy in pJ.

    Attributes:
        curve: the target metric on the selection set after each epoch that a run trained it for; none of runs by
            versions that did not tell.
    """

    cost: float
    energy: float
    footprint: Footprint | None = None
    curve: tuple[Number, ...] = ()


class FinalTraining(Part):
    """What the winner's last training came to; `best_epoch` 0: no epoch improved on its trial."""

    epochs: int
    best_epoch: int
    metrics: Mapping[str, Number]


class BestModel(Evaluation):
    """The winner.

    Attributes:
        trial_metrics: as its trial left it; `selection` and `test` are of the model as saved.
        energy_ratio, cost_ratio: the reference's over its own; None where its own is 0.
    """

    trial: int
    score: float
    delta: float
    trial_metrics: Mapping[str, Number]
    final_training: FinalTraining | None
    cost: float
    energy: float
    energy_ratio: float | None
    cost_ratio: float | None
    footprint: Footprint | None = None
    plan: Plan


class KeptModel(Evaluation):
    """A further model that was saved, and as what: "best 2", "front", "knee"."""

    trial: int
    roles: tuple[str, ...] = Field(alias="as")
    folder: str
    score: float
    cost: float
    energy: float


class UnsearchedLayer(Part):
    """A layer that the search left out; share: of the reference's cost."""

    layer: str
    class_name: str = Field(alias="class")
    reason: str
    share: float


class DearerLayer(Part):
    """A layer that costs the best model more than the reference, in the goal's unit."""

    layer: str
    reference: float
    best: float


class Limit(Part):
    """One limit of the budget, and what the reference and the best model have of it.

    Attributes:
        cost: the budget's key.
        unit: of all three figures.
    """

    cost: str
    unit: str
    most: float
    reference: float
    best: float | None


class Demands(Scored):
    """What the user demanded, None where nothing, and whether the best trial keeps to it.

    Attributes:
        limits: of all costs, energy and the goal's own among them; empty in files of versions that did not tell.
    """

    energy: float | None
    cost: float | None
    metric: float | None  # type: ignore[assignment]  # a demand may be absent, a figure not
    met: bool | None
    limits: tuple[Limit, ...] = ()


class FrontPoint(Scored):
    """A trial that no other beats in both metric and cost."""

    trial: int
    cost: float
    energy: float
    score: float


class Corner(Scored):
    """Where the hypervolume is measured from."""

    cost: float


class Front(Part):
    """The trade-off, by rising cost; the knee is a trial's number."""

    trials: tuple[FrontPoint, ...]
    knee: int | None
    hypervolume: float
    corner: Corner


class TrialCounts(Part):
    """How many trials ended how."""

    completed: int
    failed: int
    skipped: int


class SharedWeightsFigures(Part):
    """What weights that all plans share were worth, in a search by them.

    Attributes:
        epochs: that they were trained.
        plans: that they ranked; compared: of these, how many were fine-tuned.
        tau: Kendall's tau-b between the metrics of these before and after; None where it is not defined.
        fell_back: the trial after which the ranking was not believed any more; None: it always was.
        epochs_in_all: these, and those that trials were trained.
    """

    epochs: int
    plans: int
    compared: int
    tau: float | None
    fell_back: int | None
    epochs_in_all: int


class Standing(Scored):
    """Metric on the selection set, energy, cost and score before or after a block."""

    energy: float
    cost: float
    score: float


class BlockResult(Part):
    """A block before and after its search.

    Attributes:
        share: of the reference's cost.
        trial: the best one; None where nothing better was found.
        chosen: the plan of the block's own layers.
    """

    block: int
    pattern: str
    share: float
    combinations: int
    trials: TrialCounts
    before: Standing
    after: Standing
    trial: int | None
    chosen: Plan
    ended: str
    seconds: float


class LayerEnergy(Part):
    """A layer in energy.json, pJ.

    Attributes:
        counted: names of the parts that enter the total, as the others are charged to neighbours. None
            in files of versions that did not tell.
        formats: of what it reads, has and gives, as QTools spells them.
    """

    class_name: str = Field(alias="class")
    inputs: float
    parameters: float
    op_cost: float
    outputs: float
    total: float
    counted: tuple[str, ...] | None = None
    operations: int
    formats: Mapping[str, Any]


class ModelEnergy(Part):
    """A model in energy.json, pJ."""

    total: float
    priced_share: float
    layers: Mapping[str, LayerEnergy]
    notes: tuple[str, ...] = ()


class LayerCosts(Part):
    """What each layer adds to a goal's cost that is no energy.

    Attributes:
        goal: its type.
    """

    goal: str
    unit: str
    reference: Mapping[str, float]
    best: Mapping[str, float] | None


class Energies(Part):
    """energy.json: reference and best, per layer; and what they have of the goal's cost, where that is another one."""

    unit: str
    reference: ModelEnergy
    best: ModelEnergy | None
    costs: LayerCosts | None = None

    def to_dict(self) -> dict[str, Any]:
        """The content of energy.json."""
        return self.model_dump(mode="json", by_alias=True)
