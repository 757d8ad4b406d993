"""An integer model on its way to a LiteRT file: every step as operations that give its codes exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy

from qsearch.errors import ExportError
from qsearch.functions import SOFTMAX
from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import FLOAT32_BITS, Format
from qsearch.hardware.integer.model import IntegerModel, Output, Source, Step
from qsearch.hardware.targets.litert_messages import refused
from qsearch.hardware.targets.litert_moves import MovesWriter
from qsearch.hardware.targets.litert_steps import (
    ELEMENTWISE,
    RULES,
    Chain,
    Sums,
    arranged,
    identity,
    in_a_byte,
    stacked,
    sums_of,
)
from qsearch.hardware.targets.litert_sums import NotExactError
from qsearch.hardware.targets.litert_tensors import NONE, Tensor, zero_of

_MERGES = {"Add": "ADD", "Subtract": "SUB", "Multiply": "MUL", "Maximum": "MAXIMUM", "Minimum": "MINIMUM"}


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file and what its inputs and outputs are, in the order of the model's."""

    content: bytes
    network: Network
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def reals(self) -> int:
        """Operations that give float32."""
        file = self.network.file
        return sum(file.tensors[one.outputs[0]].kind == "float32" for one in file.operators)


class Network(MovesWriter):
    """A LiteRT graph of an integer model, exact with some kernels.

    Raises:
        ExportError: a step that is not exact with them, with what to change.
    """

    def __init__(self, model: IntegerModel, kernels: Sequence[str]) -> None:
        super().__init__(kernels)
        self.model = model
        self.steps = arranged(model)
        self.shapes = {source.name: source.shape for source in model.sources}
        self.shapes |= {step.name: step.shape for step in self.steps}
        self.readers: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in step.inputs:
                self.readers.setdefault(name, []).append(step)
        self.ends = {output.step for output in model.outputs}

    def written(self) -> Written:
        """The whole as a file."""
        inputs = tuple(self._source(source) for source in self.model.sources)
        for step in self.steps:
            if step.name not in self.tensors:
                self._step(step)
        outputs = tuple(self._output(output, name) for output, name in self._ends())
        ends = [tensor.index for tensor in inputs], [tensor.index for tensor in outputs]
        content = self.file.packed(self.model.name, *ends, "qsearch")
        return Written(content=content, network=self, inputs=inputs, outputs=outputs)

    def _source(self, source: Source) -> Tensor:
        readers = self.readers.get(source.name, [])
        if readers and all(isinstance(step.operation, ops.Lookup) for step in readers):
            index = self.file.tensor(source.name, "int32", (1, *source.shape))
            self.tensors[source.name] = Tensor(index=index, shape=source.shape, form=source.form, zero=None)
            return self.tensors[source.name]
        if not in_a_byte(source.form):
            raise ExportError(
                f"{source.name}: is rounded by {source.quantizer} to {source.form.bits} bits; litert: inputs have at "
                "most 8, such as sources='quantized_bits(8,0,1)' (--input-quantizer)"
            )
        tensor = self._new(source.name, source.shape, source.form, zero_of(source.form))
        self.tensors[source.name] = tensor
        return tensor

    def _ends(self) -> list[tuple[Output, str]]:
        """The outputs of the file, with their names."""
        kept = [output for output in self.model.outputs if output.logits]
        return list(zip((*self.model.outputs, *kept), self.model.file_outputs, strict=True))

    def _output(self, output: Output, name: str) -> Tensor:
        """The tensor of an output, which is no other output's and no input's."""
        found = self._shaped(self.tensors[output.step], self.shapes[output.step])
        if output.logits and name == output.name:
            found = self._probabilities(found, output)
        entry = self.file.tensors[found.index]
        made_by = [one for one in self.file.operators if found.index in one.outputs]
        if not made_by or ("output", found.index) in self.made:
            copy = self._new(f"{name}:copy", found.shape, found.form, found.zero)
            sides = self.file.constant(f"{name}:shape", "int32", [-1, *found.shape])
            self.file.operator("RESHAPE", [found.index, sides], [copy.index], "Reshape", newShape=[-1, *found.shape])
            found, entry = copy, self.file.tensors[copy.index]
        self.made["output", found.index] = found
        if name not in self.file.taken:
            self.file.tensors[found.index] = replace(entry, name=name)
        return found

    def _probabilities(self, x: Tensor, output: Output) -> Tensor:
        """The softmax or sigmoid that is kept, in float32."""
        x = self._as_real(x)
        if x.form.divisor > 1:
            by = self._real_constant(f"{output.name}:by", [1 / x.form.divisor])
            x = self._arithmetic("MUL", f"{output.name}:divided", x, by)
        made = self._new(f"{output.name}:{output.function_name}", x.shape, x.form, None)
        if output.function_name == SOFTMAX:
            self.file.operator("SOFTMAX", [x.index], [made.index], "Softmax", beta=1.0)
        else:
            self.file.operator("LOGISTIC", [x.index], [made.index])
        return made

    def _step(self, step: Step) -> None:
        try:
            self._made(step)
        except NotExactError as error:
            raise refused(step, str(error), self.kernels) from None

    def _made(self, step: Step) -> None:
        put = self.tensors.__setitem__
        match step.operation:
            case ops.Reshape():
                put(step.name, replace(self._shaped(self._read(step), step.shape), form=step.form))
            case ops.Permute(axes=axes):
                put(step.name, self._permuted(step, axes))
            case ops.Pad(padding=padding):
                put(step.name, replace(self._padded(self._plain(step), padding), form=step.form))
            case ops.Repeat(sizes=sizes):
                put(step.name, self._repeated(step, sizes))
            case ops.Pool(largest=True) | ops.Global(largest=True):
                put(step.name, self._largest(step))
            case ops.Concatenate() as rule:
                put(step.name, self._concatenated(step, rule))
            case ops.Merge() as rule:
                self._merged(step, rule)
            case ops.Stuff(strides=strides):
                put(step.name, self._stuffed(step, strides))
            case ops.Slice(axis=axis, start=start, stop=stop):
                put(step.name, replace(self._sliced(self._plain(step), axis, start, stop), form=step.form))
            case ops.Lookup(table=table):
                put(step.name, self._looked_up(step, table))
            case (
                ops.Dense()
                | ops.Convolution()
                | ops.Pool()
                | ops.Global()
                | ops.Scale()
                | ops.Uniform()
                | ops.Thresholds()
                | ops.ChannelThresholds()
                | ops.Clamp()
            ):
                self._computed(step)
            case other:
                raise ExportError(f"{step.layer}: {type(other).__name__} is not written as LiteRT yet")

    # sums and rules

    def _computed(self, step: Step) -> None:
        x, form = self._read(step), self._form(step)
        sums, after = sums_of(step, form, self.shapes[step.inputs[0]]), self._followers(step)
        if sums is None:
            channels = step.shape[-1] if step.shape else 1
            self._ruled(x, identity(form, channels), [step, *after], step.inputs[0], alone=True)
        else:
            self._ruled(x, sums, [step, *after], step.inputs[0])

    def _form(self, step: Step, index: int = 0) -> Format:
        return self.tensors[step.inputs[index]].form

    def _followers(self, step: Step) -> list[Step]:
        """The elementwise steps that alone read what comes before them."""
        found: list[Step] = []
        last = step
        while last.name not in self.ends and len(self.readers.get(last.name, [])) == 1:
            last = self.readers[last.name][0]
            if not isinstance(last.operation, ELEMENTWISE):
                break
            found.append(last)
        return found

    def _ruled(self, x: Tensor, sums: Sums, steps: Sequence[Step], source: str, alone: bool = False) -> None:
        """Sums, and as many of the steps behind them as end in a byte, as one operation; else in float32.

        Args:
            steps: the step of the sums and its followers; `alone`: all of them are rules.
        """
        lengths = [length for length in range(len(steps), 0, -1) if in_a_byte(steps[length - 1].form)]
        if lengths:
            group = steps[: lengths[0]]
            last = group[-1]
            chain = Chain(group if alone else group[1:], sums.bias)
            self.tensors[last.name] = self._reduced(x, sums, group, chain, alone)
            self.tensors |= {step.name: self.tensors[last.name] for step in group[:-1]}
            return
        rounded = [step for step in steps if isinstance(step.operation, RULES)]
        if rounded:
            raise refused(rounded[0], "bits", self.kernels)
        if alone:
            self.tensors[steps[0].name] = self._real_step(self._as_real(x), steps[0])
            return
        self.tensors[steps[0].name] = self._real_sums(x, sums, steps[0].name, steps[0].form, steps[0].shape)

    def _reduced(self, x: Tensor, sums: Sums, group: Sequence[Step], chain: Chain, alone: bool) -> Tensor:
        """The codes behind a group of steps, in int8: by one operation, or by float32 where that has too few bits."""
        first, last = group[0], group[-1]
        reason = ""
        if not x.real:
            try:
                return self._fused(x, sums, chain, last.name, last.form, first.shape)
            except NotExactError as error:
                reason = str(error)
        after = chain if alone else Chain(group[1:], None)
        try:
            real = self._as_real(x) if alone else self._real_sums(x, sums, first.name, first.form, first.shape)
            if not after.steps:
                return real
            if after.tabled:
                return self._real_table(real, after, last.name, last.form)
            return self._real_rule(real, after, last.name, last.form, sums.channels)
        except NotExactError as error:
            told = reason if reason == "kernel" else str(error)
            rules = [step for step in group if isinstance(step.operation, ops.Uniform)]
            blamed = first if told in ("kernel", "float32") else [last, *rules][-1]
            raise refused(blamed, told, self.kernels) from None

    def _real_step(self, x: Tensor, step: Step) -> Tensor:
        """A scale or a clamp whose codes int8 cannot hold, in float32."""
        if step.form.magnitude > 1 << FLOAT32_BITS:
            raise NotExactError("float32")
        form = step.form
        match step.operation:
            case ops.Scale(multiplier=multiplier, offset=offset):
                factors = numpy.ldexp(multiplier.astype(numpy.float64), x.form.fraction - form.fraction)
                found = self._arithmetic("MUL", step.name, x, self._real_constant(f"{step.name}:factors", factors))
                if offset is not None:
                    shift = numpy.ldexp(offset.astype(numpy.float64), -form.fraction)
                    number = self._real_constant(f"{step.name}:offset", shift)
                    found = self._arithmetic("ADD", step.name, found, number)
                return replace(found, form=form)
            case ops.Clamp(least=least, greatest=greatest):
                found = x
                for kind, code, old in (("MAXIMUM", least, x.form.least), ("MINIMUM", greatest, x.form.greatest)):
                    if (code > old) if kind == "MAXIMUM" else (code < old):
                        number = self._real_constant(f"{step.name}:end", [math.ldexp(code, -form.fraction)])
                        found = self._arithmetic(kind, step.name, found, number)
                return replace(found, form=form)
        raise NotExactError("bits")

    # several tensors

    def _merged(self, step: Step, rule: ops.Merge) -> None:
        inputs = [self._shaped(self.tensors[name], self.shapes[name]) for name in step.inputs]
        if not any(x.real for x in inputs) and rule.kind != "Multiply":
            if in_a_byte(step.form) and self._merged_codes(step, rule, inputs):
                return
            if rule.kind in ("Add", "Subtract") and self._stacked(step, rule, inputs):
                return
        self.tensors[step.name] = self._merged_reals(step, rule, inputs)

    def _merged_codes(self, step: Step, rule: ops.Merge, inputs: Sequence[Tensor]) -> bool:
        """In int8, where nothing is rounded: sums of any scales, the largest and smallest of one scale."""
        form = step.form
        if rule.kind in ("Maximum", "Minimum"):
            zero = zero_of(form, [x.zero for x in inputs])
            inputs = [self._as_codes(x, form.fraction, zero) for x in inputs]
        else:
            zero = zero_of(form)
            if any(factor > 1 << 15 for factor in rule.factors) or len(inputs) > 2:
                return False
        found = inputs[0]
        for other in inputs[1:]:
            own = {"ADD": "Add", "SUB": "Sub"}.get(_MERGES[rule.kind], "MaximumMinimum")
            options = {} if own == "MaximumMinimum" else {"fusedActivationFunction": NONE}
            made = self._new(step.name, step.shape, form, zero)
            self.file.operator(_MERGES[rule.kind], [found.index, other.index], [made.index], own, version=2, **options)
            found = made
        self.tensors[step.name] = found
        return True

    def _stacked(self, step: Step, rule: ops.Merge, inputs: Sequence[Tensor]) -> bool:
        """A sum and its rule by a convolution over tensors that lie one behind the other."""
        group = [step, *self._followers(step)]
        ends = [length for length in range(len(group), 1, -1) if in_a_byte(group[length - 1].form)]
        shapes = {x.shape for x in inputs}
        least = min(x.form.least * factor for x, factor in zip(inputs, rule.factors, strict=True))
        greatest = max(x.form.greatest * factor for x, factor in zip(inputs, rule.factors, strict=True))
        both = Format(fraction=step.form.fraction, least=least, greatest=greatest)
        if not ends or len(shapes) > 1 or not in_a_byte(both) or step.form.divisor > 1 or not inputs[0].shape:
            return False
        group = group[: ends[0]]
        channels = inputs[0].shape[-1]
        zero = zero_of(both, [x.zero for x in inputs])
        rows = (1, math.prod(inputs[0].shape) // channels, channels)
        parts = [self._shaped(self._as_codes(x, both.fraction, zero), rows) for x in inputs]
        x = self._joined([part.index for part in parts], f"{step.name}:stacked", (len(parts), *rows[1:]), both, zero, 1)
        signs = [1] + [-1 if rule.kind == "Subtract" else 1] * (len(parts) - 1)
        chain, last = Chain(group[1:], None), group[-1]
        try:
            made = self._fused(x, stacked(signs, both, channels), chain, last.name, last.form, rows)
        except NotExactError as error:
            raise refused(last, str(error), self.kernels) from None
        self.tensors |= {one.name: replace(made, form=last.form) for one in group}
        return True

    def _merged_reals(self, step: Step, rule: ops.Merge, inputs: Sequence[Tensor]) -> Tensor:
        if step.form.magnitude > 1 << FLOAT32_BITS:
            raise NotExactError("float32")
        parts = [self._same_divisor(step, self._as_real(x), rule.kind) for x in inputs]
        found = parts[0]
        for other in parts[1:]:
            found = replace(self._arithmetic(_MERGES[rule.kind], step.name, found, other.index), shape=step.shape)
            entry = self.file.tensors[found.index]
            self.file.tensors[found.index] = replace(entry, shape=(1, *step.shape))
        return replace(found, form=step.form)

    def _same_divisor(self, step: Step, x: Tensor, kind: str) -> Tensor:
        factor = 1 if kind == "Multiply" else step.form.divisor // x.form.divisor
        if factor == 1:
            return x
        return self._arithmetic("MUL", f"{step.name}:factor", x, self._real_constant(f"{step.name}:by", [factor]))

    def _concatenated(self, step: Step, rule: ops.Concatenate) -> Tensor:
        inputs = [self._shaped(self.tensors[name], self.shapes[name]) for name in step.inputs]
        form = step.form
        if in_a_byte(form) and not any(x.real for x in inputs):
            zero = zero_of(form, [x.zero for x in inputs])
            parts = [self._as_codes(x, form.fraction, zero) for x in inputs]
            return self._joined([part.index for part in parts], step.name, step.shape, form, zero, rule.axis)
        if form.magnitude > 1 << FLOAT32_BITS:
            raise NotExactError("float32")
        parts = [self._same_divisor(step, self._as_real(x), "Concatenate") for x in inputs]
        return self._joined([part.index for part in parts], step.name, step.shape, form, None, rule.axis)

    def _joined(
        self, parts: Sequence[int], name: str, shape: Sequence[int], form: Format, zero: int | None, axis: int
    ) -> Tensor:
        made = self._new(name, shape, form, zero)
        place = axis % (len(shape) + 1)
        self.file.operator(
            "CONCATENATION", parts, [made.index], "Concatenation", version=2, axis=place, fusedActivationFunction=NONE
        )
        return made
