"""The typed configuration. One class per section of the file; README.md explains every key."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Tag, field_validator, model_validator

from qsearch.config.fields import Bool, Count, Int, NotNegative, Pattern, Positive, Text, Whole, one_of
from qsearch.config.goals import BitsGoalConfig, GoalConfig
from qsearch.config.limits import Limits, QuantizationConfig
from qsearch.config.names import DATASETS, LATER_MODES, LOSSES, METRICS, MODELS, MODES, OPTIMIZERS
from qsearch.config.section import Section


def _fraction(value: Any) -> Any:
    if value == "test" and isinstance(value, str):
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ValueError(
        f"found {value!r}, allowed: 'test' (select on the test set, as the seed does) or a fraction between 0 and 1 "
        "(held out of the training set)"
    )


class DatasetConfig(Section):
    name: Annotated[Text, BeforeValidator(one_of(DATASETS))]
    train_samples: Count | None = None
    test_samples: Count | None = None
    validation: Annotated[Literal["test"] | float, BeforeValidator(_fraction)] = "test"


Filters = Annotated[
    Annotated[Count, Tag("filters")] | Annotated[tuple[Count, ...], Tag("block")],
    Discriminator(lambda value: "block" if isinstance(value, list | tuple) else "filters"),
]


class ModelConfig(Section):
    """A registry name, with options of the block network to change, or a model file."""

    name: Annotated[Text, BeforeValidator(one_of(MODELS))] | None = None
    path: Text | None = None
    kernel_size: Count | None = None
    filters: tuple[Filters, ...] | None = None
    dropout_rate: NotNegative | None = None
    with_maxpooling: Bool | None = None
    with_batchnorm: Bool | None = None
    kernel_initializer: Text | None = None
    bias_initializer: Text | None = None
    use_separable: Annotated[
        Literal[False, "none", "dsp", "mobilenet"] | None, BeforeValidator(lambda value: value)
    ] = None
    use_xnornet_trick: Bool | None = None
    all_conv: Bool | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.name is None) == (self.path is None):
            found = "neither" if self.name is None else "both"
            raise ValueError(f"found {found} of 'name' and 'path', expected one: a registry name or a model file")
        if self.path is not None and self.options():
            raise ValueError(f"options {', '.join(self.options())} belong to a registry name, not to a model file")
        return self

    def options(self) -> dict[str, Any]:
        """The block network's options that the file sets."""
        return self.model_dump(exclude={"name", "path"}, exclude_none=True)


class OptimizerConfig(Section):
    name: Annotated[Text, BeforeValidator(one_of(tuple(OPTIMIZERS)))] = "adam"
    learning_rate: Positive = 0.001
    weight_decay: NotNegative | None = None
    clipnorm: Positive | None = None
    global_clipnorm: Positive | None = None
    clipvalue: Positive | None = None
    beta_1: NotNegative | None = None
    beta_2: NotNegative | None = None
    epsilon: Positive | None = None
    amsgrad: Bool | None = None
    momentum: NotNegative | None = None
    nesterov: Bool | None = None
    rho: NotNegative | None = None
    centered: Bool | None = None
    initial_accumulator_value: NotNegative | None = None

    @model_validator(mode="after")
    def _options_of_its_own(self) -> Self:
        allowed = OPTIMIZERS[self.name]
        for option in self.options():
            if option not in allowed:
                raise ValueError(f"{self.name} has no option '{option}', allowed: {', '.join(allowed)}")
        return self

    def options(self) -> dict[str, Any]:
        """What the optimizer is made with, its name aside."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


class ReferenceConfig(Section):
    """How the reference is compiled and trained; trials use the same optimizer and loss."""

    optimizer: OptimizerConfig = OptimizerConfig()
    loss: Annotated[Text, BeforeValidator(one_of(LOSSES))] = "categorical_crossentropy"
    metrics: tuple[Annotated[Text, BeforeValidator(one_of(METRICS))], ...] = ("acc",)
    epochs: Whole = 10
    batch_size: Count = 32

    @field_validator("metrics")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"found no metric, expected at least one of: {', '.join(METRICS)}")
        return value


class IndexRange(Section):
    """`range(start, stop)` over the model's layers; a negative end counts from the last layer."""

    start: Int = 0
    stop: Int | None = None


def _indexes(value: Any) -> Any:
    found = re.fullmatch(r"range\(\s*(-?\d+)\s*,\s*(-?\d+)\s*\)", value) if isinstance(value, str) else None
    if found:
        return {"start": int(found[1]), "stop": int(found[2])}
    if isinstance(value, dict | list | tuple | IndexRange) or value is None:
        return value
    raise ValueError(f"found {value!r}, expected a list of indexes or {{start: 1, stop: -1}}")


LayerIndexes = Annotated[
    Annotated[IndexRange, Tag("range")] | Annotated[tuple[Int, ...], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "range"),
]


def _mode(value: Any) -> str:
    if isinstance(value, str) and value in LATER_MODES:
        raise ValueError(f"found {value!r}, which this version does not have yet; allowed: {', '.join(MODES)}")
    return one_of(MODES)(value)


def _strategy(value: Any) -> str:
    if isinstance(value, str) and value in ("mirrored", "tpu"):
        raise ValueError(f"found {value!r}, which this version does not have yet; allowed: auto, none")
    return one_of(("auto", "none"))(value)


class RunConfig(Section):
    """The keys of AutoQKeras' run_config, with its defaults."""

    output_dir: Text | None = None
    overwrite: Bool = True
    mode: Annotated[Text, BeforeValidator(_mode)] = "random"
    seed: Whole = 0
    max_trials: Count = 10
    epochs: Count = 10
    batch_size: Count = 32
    learning_rate_optimizer: Bool = False
    transfer_weights: Bool = False
    frozen_layers: tuple[Text, ...] = ()
    activation_bits: Count = 4
    tune_filters: Literal["layer", "block", "none"] = "none"
    tune_filters_exceptions: Pattern | None = None
    layer_indexes: Annotated[LayerIndexes | None, BeforeValidator(_indexes)] = None
    distribution_strategy: Annotated[Text, BeforeValidator(_strategy)] = "auto"
    blocks: tuple[Pattern, ...] | None = None
    schedule_block: Literal["sequential", "cost"] = "sequential"


class FinalTrainingConfig(Section):
    """The best model, trained longer from its trained weights."""

    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: Whole = 0
    batch_size: Count = 32


class Config(Section):
    dataset: DatasetConfig
    model: ModelConfig
    reference: ReferenceConfig = ReferenceConfig()
    quantization_config: QuantizationConfig = QuantizationConfig()
    limit: Limits
    goal: GoalConfig = BitsGoalConfig(type="bits")
    run: RunConfig = RunConfig()
    final_training: FinalTrainingConfig | None = None
