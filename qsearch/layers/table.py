"""Every quantized layer: a row says where its class is, what it takes the place of, and where its quantizers go.

Plain data: neither Keras nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from qsearch.plan import Role

_ACTIVATION = {"activation": Role.ACTIVATION, "activation_quantizer": Role.ACTIVATION}
_BIAS = {"bias_quantizer": Role.BIAS}
_NORM_PARTS = {
    "gamma_quantizer": Role.GAMMA,
    "beta_quantizer": Role.BETA,
    "mean_quantizer": Role.MEAN,
    "variance_quantizer": Role.VARIANCE,
    "inverse_quantizer": Role.INVERSE,
}
_FUNCTIONS = {"activation": Role.ACTIVATION, "recurrent_activation": Role.RECURRENT_ACTIVATION}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A layer class.

    Attributes:
        module: of `qsearch.layers`, where the class is.
        replaces: the Keras layers that it takes the place of; none of a layer that Keras does not have.
        in_limit: whether `limit` may name the first of these.
        keys: what an entry of `quantize_model`'s dictionary may say, and the role that it fills.
        needed: without one of these roles the layer stays as it is; empty where an empty entry means something.
        arguments: the class' argument of each role.
        width: the argument that holds the number of output channels.
        folded: the class that takes in a batch normalization.
        functions: the arguments that hold an activation, and its role.
    """

    module: str
    replaces: tuple[str, ...] = ()
    in_limit: bool = False
    keys: Mapping[str, Role] = field(default_factory=dict)
    needed: tuple[Role, ...] = (Role.KERNEL,)
    arguments: Mapping[Role, str] = field(default_factory=dict)
    width: str | None = None
    folded: str | None = None
    functions: Mapping[str, Role] = field(default_factory=lambda: _FUNCTIONS)


_KERNEL = Entry(
    module="weights",
    in_limit=True,
    keys={"kernel_quantizer": Role.KERNEL, **_BIAS, **_ACTIVATION},
    arguments={Role.KERNEL: "kernel_quantizer", Role.BIAS: "bias_quantizer"},
)
_DEPTHWISE = Entry(
    module="weights",
    in_limit=True,
    keys={"depthwise_quantizer": Role.KERNEL, "kernel_quantizer": Role.KERNEL, **_BIAS, **_ACTIVATION},
    arguments={Role.KERNEL: "depthwise_quantizer", Role.BIAS: "bias_quantizer"},
)
_SEPARABLE = Entry(
    module="separable",
    in_limit=True,
    keys={
        "depthwise_quantizer": Role.KERNEL,
        "kernel_quantizer": Role.KERNEL,
        "pointwise_quantizer": Role.POINTWISE,
        **_BIAS,
        **_ACTIVATION,
    },
    needed=(Role.KERNEL, Role.POINTWISE),
    arguments={Role.KERNEL: "depthwise_quantizer", Role.POINTWISE: "pointwise_quantizer", Role.BIAS: "bias_quantizer"},
    width="filters",
)
_RECURRENT = Entry(
    module="recurrent",
    in_limit=True,
    keys={
        "kernel_quantizer": Role.KERNEL,
        "recurrent_quantizer": Role.RECURRENT,
        "state_quantizer": Role.STATE,
        "recurrent_activation": Role.RECURRENT_ACTIVATION,
        "recurrent_activation_quantizer": Role.RECURRENT_ACTIVATION,
        **_BIAS,
        **_ACTIVATION,
    },
    arguments={
        Role.KERNEL: "kernel_quantizer",
        Role.RECURRENT: "recurrent_quantizer",
        Role.BIAS: "bias_quantizer",
        Role.STATE: "state_quantizer",
    },
    width="units",
)
_AVERAGE = Entry(
    module="pooling",
    keys={"average_quantizer": Role.AVERAGE, **_ACTIVATION},
    needed=(Role.AVERAGE,),
    arguments={Role.AVERAGE: "average_quantizer"},
)
_FUNCTION = Entry(module="activation", needed=(Role.ACTIVATION,))


def _only_quantized(module: str, arguments: Mapping[Role, str], functions: Mapping[str, Role]) -> Entry:
    """Of a layer that Keras does not have. Its width stays."""
    return Entry(
        module=module,
        keys={**{name: role for role, name in arguments.items()}, "kernel_quantizer": Role.KERNEL, **functions},
        needed=tuple(role for role in arguments if role is not Role.BIAS),
        arguments=arguments,
        functions=functions,
    )


LAYERS: Mapping[str, Entry] = {
    "QDense": replace(_KERNEL, replaces=("Dense",), width="units", folded="QDenseBatchnorm"),
    "QConv1D": replace(_KERNEL, replaces=("Conv1D",), width="filters"),
    "QConv2D": replace(_KERNEL, replaces=("Conv2D",), width="filters", folded="QConv2DBatchnorm"),
    "QConv2DTranspose": replace(_KERNEL, replaces=("Conv2DTranspose",), width="filters"),
    "QDepthwiseConv2D": replace(_DEPTHWISE, replaces=("DepthwiseConv2D",), folded="QDepthwiseConv2DBatchnorm"),
    "QSeparableConv1D": replace(_SEPARABLE, replaces=("SeparableConv1D",)),
    "QSeparableConv2D": replace(_SEPARABLE, replaces=("SeparableConv2D",)),
    "QSimpleRNN": replace(_RECURRENT, replaces=("SimpleRNN",)),
    "QLSTM": replace(_RECURRENT, replaces=("LSTM",)),
    "QGRU": replace(_RECURRENT, replaces=("GRU",)),
    "QBidirectional": replace(_RECURRENT, replaces=("Bidirectional",), in_limit=False),
    "QActivation": replace(_FUNCTION, replaces=("Activation", "ReLU", "LeakyReLU", "Lambda"), in_limit=True),
    "QAdaptiveActivation": replace(_FUNCTION, module="adaptive"),
    "QBatchNormalization": Entry(
        module="normalization",
        replaces=("BatchNormalization",),
        in_limit=True,
        keys=_NORM_PARTS,
        needed=(),
        arguments={role: name for name, role in _NORM_PARTS.items()},
    ),
    "QAveragePooling2D": replace(_AVERAGE, replaces=("AveragePooling2D",)),
    "QGlobalAveragePooling2D": replace(_AVERAGE, replaces=("GlobalAveragePooling2D",)),
    "QDenseBatchnorm": replace(_KERNEL, module="folded", width="units"),
    "QConv2DBatchnorm": replace(_KERNEL, module="folded", width="filters"),
    "QDepthwiseConv2DBatchnorm": replace(_DEPTHWISE, module="folded"),
    "QDepthwiseConv2DTranspose": _only_quantized(
        "transposed", {Role.KERNEL: "depthwise_kernel_quantizer"}, {"depthwise_activation": Role.ACTIVATION}
    ),
    "QSeparableConv2DTranspose": _only_quantized(
        "transposed",
        {
            Role.KERNEL: "depthwise_kernel_quantizer",
            Role.POINTWISE: "pointwise_kernel_quantizer",
            Role.BIAS: "bias_quantizer",
        },
        {"depthwise_activation": Role.DEPTHWISE_ACTIVATION, "pointwise_activation": Role.ACTIVATION},
    ),
    "QScaleShift": _only_quantized(
        "scale_shift",
        {Role.KERNEL: "weight_quantizer", Role.BIAS: "bias_quantizer"},
        {"activation": Role.ACTIVATION},
    ),
}
"""By the name of the class."""

CELLS = ("QGRUCell", "QLSTMCell", "QSimpleRNNCell")
"""What recurrent layers repeat; public, and no layer of a plan."""

QUANTIZED_CLASSES = tuple(entry.replaces[0] for entry in LAYERS.values() if entry.in_limit and entry.replaces)
"""Keras classes that have a quantized form, and that a limit may name."""
