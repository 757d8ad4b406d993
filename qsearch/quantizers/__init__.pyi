# Written by scripts/stubs.py from qsearch/quantizers/table.py.
from collections.abc import Mapping, Sequence
from typing import Any

from qsearch.quantizers import activations, fixed_point, power_of_two, signs
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.parameters import Parameter
from qsearch.quantizers.spec import QuantizerSpec as QuantizerSpec
from qsearch.quantizers.spec import parse as parse

SIGNATURES: Mapping[str, tuple[Parameter, ...]]

def get(identifier: Any) -> Quantizer | None: ...

class quantized_bits(fixed_point.quantized_bits):
    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        keep_negative: bool = True,
        alpha: float | Sequence[Any] | str | None = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | Sequence[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
        elements_per_scale: int | Sequence[int] | None = None,
        min_po2_exponent: int | None = None,
        max_po2_exponent: int | None = None,
        post_training_scale: float | Sequence[Any] | None = None,
        rounding: str | None = None,
    ) -> None: ...

class quantized_linear(fixed_point.quantized_linear):
    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = True,
        keep_negative: bool = True,
        alpha: float | Sequence[Any] | str | None = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | Sequence[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_variables: bool = False,
        rounding: str | None = None,
    ) -> None: ...

class quantized_relu(activations.quantized_relu):
    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        use_sigmoid: bool = False,
        negative_slope: float = 0.0,
        use_stochastic_rounding: bool = False,
        relu_upper_bound: float | None = None,
        is_quantized_clip: bool = True,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
        enable_fast_inference: bool = False,
        rounding: str | None = None,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class quantized_po2(power_of_two.quantized_po2):
    def __init__(
        self,
        bits: int = 8,
        max_value: float | None = None,
        use_stochastic_rounding: bool = False,
        quadratic_approximation: bool = False,
        log2_rounding: str = "rnd",
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
    ) -> None: ...

class quantized_relu_po2(power_of_two.quantized_relu_po2):
    def __init__(
        self,
        bits: int = 8,
        max_value: float | None = None,
        negative_slope: float = 0,
        use_stochastic_rounding: bool = False,
        quadratic_approximation: bool = False,
        log2_rounding: str = "rnd",
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_ste: bool = True,
        use_variables: bool = False,
    ) -> None: ...

class binary(signs.binary):
    def __init__(
        self,
        use_01: bool = False,
        alpha: float | Sequence[Any] | str | None = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | Sequence[int] | None = None,
        elements_per_scale: int | Sequence[int] | None = None,
        min_po2_exponent: int | None = None,
        max_po2_exponent: int | None = None,
    ) -> None: ...

class stochastic_binary(signs.stochastic_binary):
    def __init__(
        self,
        alpha: float | Sequence[Any] | str | None = None,
        temperature: float = 6.0,
        use_real_sigmoid: bool = True,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class bernoulli(signs.bernoulli):
    def __init__(
        self,
        alpha: float | Sequence[Any] | str | None = None,
        temperature: float = 6.0,
        use_real_sigmoid: bool = True,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class ternary(signs.ternary):
    def __init__(
        self,
        alpha: float | Sequence[Any] | str | None = None,
        threshold: float | None = None,
        use_stochastic_rounding: bool = False,
        number_of_unrolls: int = 5,
    ) -> None: ...

class stochastic_ternary(signs.stochastic_ternary):
    def __init__(
        self,
        alpha: float | Sequence[Any] | str | None = None,
        threshold: float | None = None,
        temperature: float = 8.0,
        use_real_sigmoid: bool = True,
        number_of_unrolls: int = 5,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class quantized_ulaw(activations.quantized_ulaw):
    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        u: float = 255.0,
        rounding: str | None = None,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class quantized_tanh(activations.quantized_tanh):
    def __init__(
        self,
        bits: int = 8,
        use_stochastic_rounding: bool = False,
        symmetric: bool = False,
        use_real_tanh: bool = False,
        rounding: str | None = None,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class quantized_sigmoid(activations.quantized_sigmoid):
    def __init__(
        self,
        bits: int = 8,
        symmetric: bool = False,
        use_real_sigmoid: bool = False,
        use_stochastic_rounding: bool = False,
        rounding: str | None = None,
        internal_sigmoid: str = "hard",
    ) -> None: ...

class quantized_hswish(fixed_point.quantized_hswish):
    def __init__(
        self,
        bits: int = 8,
        integer: int = 0,
        symmetric: bool = False,
        alpha: float | Sequence[Any] | str | None = None,
        use_stochastic_rounding: bool = False,
        scale_axis: int | Sequence[int] | None = None,
        qnoise_factor: float = 1.0,
        var_name: str | None = None,
        use_variables: bool = False,
        relu_shift: float = 3,
        relu_upper_bound: float = 6,
        rounding: str | None = None,
    ) -> None: ...

class hard_sigmoid(activations.hard_sigmoid):
    def __init__(self) -> None: ...

class hard_tanh(activations.hard_tanh):
    def __init__(self) -> None: ...

class smooth_sigmoid(activations.smooth_sigmoid):
    def __init__(self) -> None: ...

class smooth_tanh(activations.smooth_tanh):
    def __init__(self) -> None: ...

class binary_sigmoid(activations.binary_sigmoid):
    def __init__(self) -> None: ...

class binary_tanh(activations.binary_tanh):
    def __init__(self) -> None: ...
