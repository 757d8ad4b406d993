"""A .tflite file in the making: tensors, operations, and the flatbuffer of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
_KINDS: Mapping[str, str] = {"int8": "INT8", "int32": "INT32", "float32": "FLOAT32"}


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """What an integer tensor means: value = scale · (q - zero_point), by channel where there are several scales."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """A tensor of the file; the shape is of one sample, the batch axis counted where it has data or not."""

    name: str
    kind: str
    shape: tuple[int, ...]
    quantization: Quantization | None
    data: NDArray[Any] | None

    @property
    def bytes(self) -> int:
        return int(numpy.prod(self.shape)) * numpy.dtype(self.kind).itemsize


@dataclass(frozen=True, kw_only=True)
class OperatorEntry:
    """An operation of the file, by the name that the schema has for it."""

    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] | None
    options_kind: str


class File:
    """Tensors and operations, in order; a tensor is known by its place."""

    def __init__(self) -> None:
        self.tensors: list[TensorEntry] = []
        self.operators: list[OperatorEntry] = []
        self.taken: set[str] = set()
        self.constants: dict[tuple[Any, ...], int] = {}

    def tensor(
        self, name: str, kind: str, shape: Sequence[int], quantization: Quantization | None = None, data: Any = None
    ) -> int:
        """The place of a new tensor; a constant where it has data."""
        found, count = name, 1
        while found in self.taken:
            found, count = f"{name}:{count}", count + 1
        self.taken.add(found)
        held = None if data is None else numpy.ascontiguousarray(data, dtype=kind)
        sides = tuple(int(side) for side in shape)
        self.tensors.append(TensorEntry(name=found, kind=kind, shape=sides, quantization=quantization, data=held))
        return len(self.tensors) - 1

    def constant(self, name: str, kind: str, data: Any, quantization: Quantization | None = None) -> int:
        """The place of a constant, which is that of an earlier one with the same numbers and meaning."""
        held = numpy.ascontiguousarray(data, dtype=kind)
        key = kind, held.shape, held.tobytes(), quantization
        if key not in self.constants:
            self.constants[key] = self.tensor(name, kind, numpy.shape(data), quantization, held)
        return self.constants[key]

    def operator(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options_kind: str = "",
        version: int = 1,
        **options: Any,
    ) -> None:
        """A new operation; its options by the names of the schema, `options_kind` without "Options"."""
        self.operators.append(
            OperatorEntry(
                kind=kind,
                version=version,
                inputs=tuple(inputs),
                outputs=tuple(outputs),
                options=options if options_kind else None,
                options_kind=options_kind,
            )
        )

    def packed(self, name: str, inputs: Sequence[int], outputs: Sequence[int], description: str) -> bytes:
        """The flatbuffer."""
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        codes = list(dict.fromkeys((one.kind, one.version) for one in self.operators))
        buffers = [_filled(schema.BufferT())]
        tensors = [self._tensor(schema, one, buffers) for one in self.tensors]
        graph = _filled(
            schema.SubGraphT(),
            name=name.encode(),
            tensors=tensors,
            inputs=list(inputs),
            outputs=list(outputs),
            operators=[self._operator(schema, one, codes.index((one.kind, one.version))) for one in self.operators],
        )
        model = _filled(
            schema.ModelT(),
            version=SCHEMA_VERSION,
            description=description.encode(),
            operatorCodes=[self._code(schema, *one) for one in codes],
            subgraphs=[graph],
            buffers=buffers,
        )
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(self, schema: Any, entry: TensorEntry, buffers: list[Any]) -> Any:
        quantization = None
        if entry.quantization is not None:
            own = entry.quantization
            quantization = _filled(
                schema.QuantizationParametersT(),
                scale=list(own.scales),
                zeroPoint=[own.zero_point] * len(own.scales),
                quantizedDimension=own.axis,
            )
        place = 0
        if entry.data is not None:
            place = len(buffers)
            buffers.append(_filled(schema.BufferT(), data=numpy.frombuffer(entry.data.tobytes(), numpy.uint8)))
        signature = None if entry.data is not None else [-1, *entry.shape[1:]]
        return _filled(
            schema.TensorT(),
            name=entry.name.encode(),
            type=getattr(schema.TensorType, _KINDS[entry.kind]),
            shape=list(entry.shape),
            shapeSignature=signature,
            hasRank=True,
            buffer=place,
            quantization=quantization,
        )

    def _operator(self, schema: Any, entry: OperatorEntry, code: int) -> Any:
        made = _filled(schema.OperatorT(), opcodeIndex=code, inputs=list(entry.inputs), outputs=list(entry.outputs))
        if entry.options is not None:
            options = getattr(schema, f"{entry.options_kind}OptionsT")()
            made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{entry.options_kind}Options")
            made.builtinOptions = _filled(options, **entry.options)
        return made

    def _code(self, schema: Any, kind: str, version: int) -> Any:
        code = getattr(schema.BuiltinOperator, kind)
        # files of before 2020 had a byte for it, which readers still look at
        return _filled(schema.OperatorCodeT(), builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)


def _filled(made: Any, **values: Any) -> Any:
    """An object of the schema with values, whose names are checked."""
    for name, value in values.items():
        if not hasattr(made, name):
            raise AttributeError(f"{type(made).__name__} has no {name}")
        setattr(made, name, value)
    return made
