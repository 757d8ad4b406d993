"""The integer model: steps in order, each with what it computes and the format of its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from qsearch.hardware.integer.formats import FLOAT32_BITS, Codes, Format
from qsearch.hardware.integer.operations import Operation

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation of the integer model.

    Attributes:
        layer: the Keras layer that it is of.
        inputs: names of the steps, or inputs of the model, that it reads.
        shape: of its result, the batch axis not counted.
        exact: whether every sum is exact in float32, so that Keras must agree to the last bit.
    """

    name: str
    layer: str
    inputs: tuple[str, ...]
    operation: Operation
    form: Format
    shape: tuple[int, ...]
    exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Source:
    """An input of the model: the rounding of its real numbers to codes.

    Attributes:
        quantizer: the text of the quantizer, such as "quantized_bits(8,0,1)".
        rule: on values times 2^fraction.
    """

    name: str
    quantizer: str
    form: Format
    shape: tuple[int, ...]
    function: Callable[[Any], Any]

    def codes(self, values: Any) -> Codes:
        """The codes of real numbers."""
        rounded = numpy.asarray(self.function(numpy.asarray(values, numpy.float32)), numpy.float64)
        return numpy.round(numpy.ldexp(rounded, self.form.fraction)).astype(numpy.int64)


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output of the model.

    Attributes:
        step: whose codes it is.
        function: what Keras does behind it and no target needs: softmax; None where there is nothing.
        function_name: its name, "" for none.
        logits: where files compute that too, in float32, what they call the exact values; "" where they do not.
    """

    name: str
    step: str
    function: Callable[[Any], Any] | None = None
    function_name: str = ""
    logits: str = ""

    @property
    def exact_name(self) -> str:
        """What files call the exact values."""
        return self.logits or self.name


@dataclass(frozen=True, kw_only=True)
class IntegerModel:
    """A quantized network in integers; exact, whatever Keras' float32 rounds.

    Attributes:
        notes: what is worth knowing of the export.
    """

    name: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    notes: tuple[str, ...] = field(default=())

    def quantized(self, inputs: Mapping[str, Any]) -> dict[str, Codes]:
        """The codes of real inputs, by the name of the input."""
        return {source.name: source.codes(inputs[source.name]) for source in self.sources}

    def run(self, codes: Mapping[str, Codes], every: bool = False) -> dict[str, Codes]:
        """The codes of the outputs' steps (`every`: of all steps) for codes of the inputs."""
        wanted = {output.step for output in self.outputs}
        parts: dict[str, list[Codes]] = {}
        samples = len(next(iter(codes.values())))
        last = {name: index for index, step in enumerate(self.steps) for name in step.inputs}
        for start in range(0, samples, _BATCH):
            known = {name: part[start : start + _BATCH] for name, part in codes.items()}
            for index, step in enumerate(self.steps):
                known[step.name] = step.operation(*(known[name] for name in step.inputs))
                if not every:
                    for name in step.inputs:
                        if last[name] == index and name not in wanted:
                            known.pop(name, None)
            for name, part in known.items():
                if every or name in wanted:
                    parts.setdefault(name, []).append(part)
        return {name: numpy.concatenate(found) for name, found in parts.items()}

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, numpy.ndarray]:
        """The outputs of real inputs as Keras gives them, float32."""
        codes, forms = self.run(self.quantized(inputs)), self.forms
        found = {}
        for output in self.outputs:
            values = forms[output.step].values(codes[output.step]).astype(numpy.float32)
            found[output.name] = values if output.function is None else numpy.asarray(output.function(values))
        return found

    @property
    def forms(self) -> dict[str, Format]:
        """The format of every source and step."""
        return {source.name: source.form for source in self.sources} | {step.name: step.form for step in self.steps}

    @property
    def file_outputs(self) -> tuple[str, ...]:
        """The outputs of files, in order: those of the model, then the exact values behind which a function is kept."""
        names = [output.name for output in self.outputs]
        return (*names, *(output.exact_name for output in self.outputs if output.logits))

    @property
    def inexact(self) -> tuple[str, ...]:
        """Layers whose sums need more bits than float32 has, where Keras may differ from the integer model."""
        return tuple(dict.fromkeys(step.layer for step in self.steps if not step.exact))


def fits_float32(form: Format) -> bool:
    """Whether codes of a format are whole numbers that float32 holds."""
    return form.magnitude <= 1 << FLOAT32_BITS
