"""Arguments by position, in the order that QKeras' layers have them.

Layers here take keywords; what stands without one is given its name first. Orders are those of QKeras 0.9 and its
Keras 3 port, whose signatures agree but for arguments that only one of them has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from qsearch.errors import ConfigError

Init = Callable[..., None]


def in_order(*names: str) -> Callable[[Init], Init]:
    """A decorator of `__init__`: its positional arguments are `names`, in this order.

    Raises:
        ConfigError: when the layer is made, with more arguments than names or with one that is given twice.
    """

    def decorated(init: Init) -> Init:
        @wraps(init)
        def ordered(self: Any, *args: Any, **kwargs: Any) -> None:
            init(self, **named(type(self).__name__, names, args, kwargs))

        ordered.__signature__ = _signature(init, names)  # type: ignore[attr-defined]
        return ordered

    return decorated


def named(layer: str, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments by name.

    Raises:
        ConfigError: more positional arguments than names, or one that is given twice.
    """
    if len(args) > len(names):
        raise ConfigError(
            f"{layer} takes at most {len(names)} arguments by position ({', '.join(names)}), found {len(args)}"
        )
    given = dict(zip(names, args, strict=False))
    for name in given:
        if name in kwargs:
            place = names.index(name) + 1
            raise ConfigError(f"{layer}: {name} is given twice, as argument {place} ({given[name]!r}) and by name")
    return {**given, **kwargs}


def _signature(init: Init, names: Sequence[str]) -> Signature:
    """What help() shows and Keras looks at; `...` stands for the default of the Keras class."""
    own = signature(init).parameters
    both = Parameter.POSITIONAL_OR_KEYWORD
    ordered = [own[name] if name in own else Parameter(name, both, default=...) for name in names]
    first = [Parameter("self", both), *(part.replace(kind=both) for part in ordered)]
    rest = [part for name, part in own.items() if name not in (*names, "self") and part.kind is both]
    others = [*(part.replace(kind=Parameter.KEYWORD_ONLY) for part in rest), Parameter("kwargs", Parameter.VAR_KEYWORD)]
    return Signature([*first, *others])


_TRAINED = ("initializer", "regularizer", "constraint")


def weights_order(kernels: Sequence[str], between: Sequence[str] = ()) -> tuple[str, ...]:
    """use_bias, then initializers, `between`, regularizers and constraints of kernels and bias, as Keras has them."""
    parts = (*kernels, "bias")
    initializers, regularizers, constraints = (tuple(f"{part}_{kind}" for part in parts) for kind in _TRAINED)
    return ("use_bias", *initializers, *between, *regularizers, "activity_regularizer", *constraints)


def cell_order(*extra: str) -> tuple[str, ...]:
    """`weights_order` of a recurrent cell: without a regularizer of its output; `extra` follows the initializers."""
    names = weights_order(("kernel", "recurrent"), extra)
    return tuple(name for name in names if name != "activity_regularizer")


NORM_ORDER = (
    "axis",
    "momentum",
    "epsilon",
    "center",
    "scale",
    "beta_initializer",
    "gamma_initializer",
    "moving_mean_initializer",
    "moving_variance_initializer",
    "beta_regularizer",
    "gamma_regularizer",
)
FOLDED_ORDER = (*NORM_ORDER, "beta_constraint", "gamma_constraint")
"""Of the normalization in a folded layer, behind the convolution's; what comes next differs between versions."""
LOOP_ORDER = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")
CELL_QUANTIZERS = ("kernel_quantizer", "recurrent_quantizer", "bias_quantizer", "state_quantizer")
