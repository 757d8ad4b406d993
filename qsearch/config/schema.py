"""The typed configuration. One class per section of the file; docs/configuration.md explains every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Strict,
    Tag,
    field_validator,
    model_validator,
)

from qsearch.config import bounds
from qsearch.config.augment import Augment, AugmentConfig
from qsearch.config.budget import BudgetConfig, ToleranceConfig
from qsearch.config.chosen import Chosen, Losses, Metric
from qsearch.config.class_weight import ClassWeight
from qsearch.config.durations import Duration
from qsearch.config.extent import Extent, refused
from qsearch.config.fields import (
    AutoOrBool,
    AutoOrCount,
    BitWidth,
    Bool,
    Count,
    Factor,
    Few,
    ImportPath,
    NotNegative,
    Pattern,
    PlacedError,
    Positive,
    Seed,
    Share,
    Side,
    Text,
    Whole,
    named,
)
from qsearch.config.goals import BitsGoalConfig, GoalConfig
from qsearch.config.hardware import Export, Target
from qsearch.config.layer_indexes import AsIndexes, LayerIndexes
from qsearch.config.limits import Limits, QuantizationConfig
from qsearch.config.names import DATASETS, METRICS, MODELS, STRATEGIES
from qsearch.config.observers import Observer
from qsearch.config.optimizers import Optimizer, OptimizerConfig
from qsearch.config.schedules import Schedule, ScheduleConfig, check_warmup
from qsearch.config.search_modes import LEARNED_EPOCHS, MODES, SEARCH_MODES, SHARED_EPOCHS, SearchMode
from qsearch.config.section import Section
from qsearch.errors import shown


def _fraction(value: Any) -> Any:
    if isinstance(value, str) and value in ("test", "given"):
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ValueError(
        f"found {shown(value)}, allowed: 'test' (select on the test set, as AutoQKeras does), 'given' (on a set of its "
        "own that npz or factory has), or a fraction between 0 and 1 (held out of the training set)"
    )


_WrittenValidation = Literal["test", "given"] | Annotated[float, Field(gt=0, lt=1)]


class DatasetConfig(Section):
    """A registry name, or data of the user's own: a file of arrays, or a function that makes them."""

    name: Annotated[Text, named(DATASETS)] | None = None
    npz: Text | None = None
    factory: ImportPath | None = None
    train_samples: Count | None = None
    test_samples: Count | None = None
    validation: Annotated[
        Literal["test", "given"] | float, BeforeValidator(_fraction, json_schema_input_type=_WrittenValidation)
    ] = "test"
    augment: Augment | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        _exactly_one(self, ("name", "npz", "factory"))
        if self.validation == "given" and self.name is not None:
            text = f"found 'given', which is for npz and factory; of {self.name} hold out a part: validation: 0.1"
            raise PlacedError(text, ("validation",))
        return self

    @property
    def origin(self) -> str:
        """What people call it."""
        return str(self.name or self.npz or self.factory)

    @property
    def augmentations(self) -> tuple[AugmentConfig | str, ...]:
        """What is done to training samples, in order."""
        if self.augment is None:
            return ()
        return self.augment if isinstance(self.augment, tuple) else (self.augment,)


def _exactly_one(section: Section, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if getattr(section, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ValueError(f"found {found}, expected exactly one of: {', '.join(keys)}")


Filters = Annotated[
    Annotated[Side, Tag("filters")] | Annotated[tuple[Side, ...], Tag("block")],
    Discriminator(lambda value: "block" if isinstance(value, list | tuple) else "filters"),
]


def _no_number(value: Any) -> Any:
    """0 is False to Python, and not to whoever reads the file again."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"found {shown(value)}, allowed: false, none, dsp, mobilenet")
    return value


class ModelConfig(Section):
    """A registry name, with options of its network to change, a model file, or a function that builds one."""

    name: Annotated[Text, named(MODELS)] | None = None
    path: Text | None = None
    weights: Text | None = None
    factory: ImportPath | None = None
    arguments: Mapping[str, Any] | None = None
    custom_objects: tuple[ImportPath, ...] = ()
    kernel_size: Side | None = None
    filters: tuple[Filters, ...] | None = None
    dropout_rate: NotNegative | None = None
    with_maxpooling: Bool | None = None
    with_batchnorm: Bool | None = None
    kernel_initializer: Text | None = None
    bias_initializer: Text | None = None
    use_separable: Annotated[Literal[False, "none", "dsp", "mobilenet"] | None, BeforeValidator(_no_number)] = None
    use_xnornet_trick: Bool | None = None
    all_conv: Bool | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        _exactly_one(self, ("name", "path", "factory"))
        if self.name is None and self.options():
            raise ValueError(f"options {', '.join(self.options())} belong to a registry name")
        if self.factory is None and self.arguments is not None:
            raise ValueError("arguments belong to a factory")
        if self.weights is not None and not str(self.path).endswith(".json"):
            raise ValueError(
                f"weights: found {shown(self.weights)}, but they belong to the path of a .json architecture"
            )
        return self

    def options(self) -> dict[str, Any]:
        """Options of the registered network that the file sets."""
        own = {"name", "path", "weights", "factory", "arguments", "custom_objects"}
        return self.model_dump(exclude=own, exclude_none=True)

    @property
    def origin(self) -> str:
        """What people call it."""
        return str(self.name or self.path or self.factory)


class ReferenceConfig(Section):
    """How the reference is compiled and trained; trials use the same optimizer, loss and metrics.

    `loss` may be one for each head. `direction` says whether more of the target metric is better, where its name
    does not.
    """

    optimizer: Optimizer = OptimizerConfig()
    loss: Losses = Chosen("categorical_crossentropy")
    loss_weights: Mapping[str, NotNegative] | None = None
    metrics: tuple[Metric, ...] = (Chosen("acc"),)
    direction: Literal["max", "min"] | None = None
    class_weight: ClassWeight = None
    """"balanced", or a mapping of class numbers to weights."""
    epochs: Whole = 10
    batch_size: Count = 32
    learning_rate_schedule: Schedule = ScheduleConfig()

    @field_validator("metrics")
    @classmethod
    def _at_least_one(cls, value: tuple[Chosen, ...]) -> tuple[Chosen, ...]:
        if not value:
            raise ValueError(f"found no metric, expected at least one of: {', '.join(METRICS)}")
        spellings: dict[str, int] = {}
        for index, metric in enumerate(value):
            first = spellings.setdefault(metric.meaning, index)
            if first < index:
                same = "" if metric.name == value[first].name else f", which is another name of {value[first]}"
                raise PlacedError(f"found {metric} again{same}; it is metrics[{first}] already", (index,))
        return value

    @field_validator("loss_weights")
    @classmethod
    def _some_loss_counts(cls, value: Mapping[str, float] | None) -> Mapping[str, float] | None:
        if value is not None and not any(value.values()):
            raise ValueError(f"found {shown(dict(value))}: no loss counts, so that nothing would be trained")
        return value

    @model_validator(mode="after")
    def _time_to_warm_up(self) -> Self:
        check_warmup(self.learning_rate_schedule, self.epochs)
        return self


class BlockRatesConfig(Section):
    """Factors of the learning rate in a search block by block, one for each group of layers.

    `quantized`: of the blocks that were searched before; `current`: of the block that is searched; `rest`: of all
    other layers.
    """

    quantized: Factor = 0.2
    current: Factor = 1.0
    rest: Factor = 1.0

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if self.quantized == self.current == self.rest == 0:
            raise ValueError("found 0 for all layers, so that nothing would be trained")
        return self


class RunConfig(Section):
    """The keys of AutoQKeras' run_config, with its defaults, and qsearch's own.

    Options that are None have a default of their mode; see `search.oracle`.
    """

    output_dir: Text | None = None
    overwrite: Bool = True
    mode: Annotated[Text, named(MODES)] = "random"
    seed: Seed = 0
    max_trials: Count = 10
    max_epochs_total: Count | None = None
    epochs: Count = 10
    batch_size: Count = 32
    executions_per_trial: Count = 1
    trial_timeout: Duration | None = None
    time_limit: Duration | None = None
    max_failures: Count = 5
    max_epochs: Count | None = None
    factor: Annotated[int, Strict(), Field(ge=2, le=bounds.COUNT)] | None = None
    hyperband_iterations: Count | None = None
    num_initial_points: Count | None = None
    shared_epochs: Count | None = None
    shared_plans: Count | None = None
    shared_trials: Count | None = None
    learned_epochs: Count | None = None
    start: Literal["auto", "uniform", "sensitivity"] = "uniform"
    alpha: Positive | None = None
    beta: NotNegative | None = None
    budget: BudgetConfig = BudgetConfig()
    max_drop: Share | None = None
    tolerance: ToleranceConfig = ToleranceConfig()
    early_stop: Literal["none", "bound"] = "none"
    best_models: Count = 1
    trials: Literal["auto", "shared", "rebuilt"] = "auto"
    jit_compile: AutoOrBool = "auto"
    steps_per_execution: AutoOrCount = "auto"
    learning_rate_optimizer: Bool = False
    learning_rate_schedule: Schedule = ScheduleConfig()
    transfer_weights: Bool | None = None
    head_name: Text | None = None
    score_metric: Metric | None = None
    prune: Bool = True
    frozen_layers: Annotated[tuple[Text, ...], Few] = ()
    activation_bits: BitWidth = 4
    fold_batch_norm: Bool = False
    tune_filters: Literal["layer", "block", "none"] = "none"
    tune_filters_exceptions: Pattern | None = None
    layer_indexes: Annotated[LayerIndexes | None, AsIndexes] = None
    distribution_strategy: Annotated[Text, named(STRATEGIES)] = "auto"
    blocks: Annotated[tuple[Pattern, ...], Few] | None = None
    schedule_block: Literal["sequential", "cost"] = "sequential"
    min_trials_per_block: Count = 10
    blocks_to_come: Literal["typical", "reference"] = "typical"
    block_learning_rates: BlockRatesConfig = BlockRatesConfig()
    observers: Annotated[tuple[Observer, ...], Few] = ()

    @model_validator(mode="after")
    def _time_to_warm_up(self) -> Self:
        check_warmup(self.learning_rate_schedule, self.max_epochs or self.epochs)
        return self

    @model_validator(mode="after")
    def _shapes_for_xla(self) -> Self:
        if self.jit_compile is True and self.trials == "shared":
            raise PlacedError(
                "found true with trials: shared, whose one model has no fixed shapes, which XLA needs; take trials: "
                "rebuilt, or leave one of them to auto",
                ("jit_compile",),
            )
        return self

    @model_validator(mode="after")
    def _whole_network_without_training(self) -> Self:
        if self.blocks and self.start == "sensitivity":
            raise PlacedError(
                "found sensitivity with run.blocks, and sensitivities are of the whole network; take uniform",
                ("start",),
            )
        if self.blocks and not self.search_mode.trains:
            raise PlacedError(
                f"found blocks; mode: {self.mode} is for a whole network, leave one of them out", ("blocks",)
            )
        return self

    @model_validator(mode="after")
    def _epochs_that_end_it(self) -> Self:
        mode, epochs = self.search_mode, self.max_epochs_total
        text = refused(self.mode, epochs, self.epochs_shared, mode.trains, mode.continues)
        if text is not None:
            raise PlacedError(text, ("max_epochs_total",))
        return self

    @model_validator(mode="after")
    def _shared_at_once(self) -> Self:
        if self.blocks and self.search_mode.shares:
            raise PlacedError(
                f"found {self.mode} with run.blocks: its weights are shared over the whole network; leave out blocks, "
                "or take guided",
                ("mode",),
            )
        if self.transfer_weights is False and self.search_mode.shares:
            raise PlacedError(
                f"found false with mode {self.mode}, whose trials start from the shared weights; leave it out",
                ("transfer_weights",),
            )
        return self

    @property
    def transfers(self) -> bool:
        """Whether trials start from trained weights."""
        return self.search_mode.transfers if self.transfer_weights is None else self.transfer_weights

    @property
    def epochs_shared(self) -> int:
        """Epochs of the weights that plans share, before the trials; 0 in modes without them."""
        if self.search_mode.learns:
            return self.learned_epochs or LEARNED_EPOCHS
        return (self.shared_epochs or SHARED_EPOCHS) if self.search_mode.shares else 0

    @property
    def extent(self) -> Extent:
        """How much is trained: so many trials, or so many epochs."""
        each = self.epochs * self.executions_per_trial
        return Extent.of(self.max_trials, self.max_epochs_total, self.epochs_shared, each)

    @property
    def search_mode(self) -> SearchMode:
        """What the mode is like."""
        return SEARCH_MODES[self.mode]


class FinalTrainingConfig(Section):
    """The best model, trained longer from its trained weights."""

    optimizer: Optimizer = OptimizerConfig()
    epochs: Whole = 0
    batch_size: Count = 32
    learning_rate_schedule: Schedule = ScheduleConfig()

    @model_validator(mode="after")
    def _time_to_warm_up(self) -> Self:
        check_warmup(self.learning_rate_schedule, self.epochs)
        return self


class Config(Section):
    """A run, in one file."""

    dataset: DatasetConfig
    model: ModelConfig
    reference: ReferenceConfig = ReferenceConfig()
    quantization_config: QuantizationConfig = QuantizationConfig()
    limit: Annotated[Limits, Few]
    goal: GoalConfig = BitsGoalConfig(type="bits")
    run: RunConfig = RunConfig()
    final_training: FinalTrainingConfig | None = None
    target: Target | None = None
    export: Annotated[tuple[Export, ...], Few] = ()

    @property
    def wants_front(self) -> bool:
        """Whether the models of the whole front are kept."""
        return self.run.search_mode.whole_front or any(one.models == "front" for one in self.export)
