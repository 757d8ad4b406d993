"""AutoQKeras' example network of convolutional blocks, with its layer names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from qsearch.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    import keras

Separable = Literal[False, "none", "dsp", "mobilenet"]
Filters = int | Sequence[int]
SEPARABLE: tuple[Separable, ...] = (False, "none", "dsp", "mobilenet")


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One convolution of the network: its place in its block, and what follows it."""

    suffix: str
    filters: int
    kernel: tuple[int, int]
    strides: int
    ends_block: bool


@dataclass(frozen=True, kw_only=True)
class BlockNetwork:
    """Options of the network.

    Each entry of `filters` is a block; a block of several numbers has as many convolutions. Without max
    pooling the last convolution of a block has stride 2.

    Attributes:
        shape: of an image: height, width, channels.
        num_classes: outputs.
        kernel_size: of every convolution, height and width alike.
        filters: per block, a number or a list of numbers; kept as tuples.
        dropout_rate: of a Dropout layer at the end of each block; 0 leaves it out.
        with_maxpooling: end each block with a 2x2 max pooling.
        with_batchnorm: batch normalization after each convolution, which then has no bias.
        use_separable: "dsp": each convolution as 1xk then kx1; "mobilenet": depthwise then 1x1.
        use_xnornet_trick: with max pooling, a block's last batch norm and relu come after the pooling.
        all_conv: a 1x1 convolution in place of the dense layer.

    Raises:
        ModelError: an option that makes no network.
    """

    shape: tuple[int, int, int]
    num_classes: int
    kernel_size: int
    filters: Sequence[Filters]
    dropout_rate: float = 0.0
    with_maxpooling: bool = True
    with_batchnorm: bool = True
    kernel_initializer: str = "he_normal"
    bias_initializer: str = "zeros"
    use_separable: Separable = False
    use_xnornet_trick: bool = False
    all_conv: bool = False

    def __post_init__(self) -> None:
        if not (_is_list(self.shape) and len(self.shape) == 3 and all(map(_is_count, self.shape))):
            raise ModelError(f"shape: found {self.shape!r}, expected height, width and channels, each >= 1")
        for option in ("num_classes", "kernel_size"):
            if not _is_count(getattr(self, option)):
                raise ModelError(f"{option}: found {getattr(self, option)!r}, expected a whole number >= 1")
        blocks = self.filters if _is_list(self.filters) else ()
        if not blocks or not all(_is_count(b) or (_is_list(b) and b and all(map(_is_count, b))) for b in blocks):
            raise ModelError(
                f"filters: found {self.filters!r}, expected one or more blocks, each a number >= 1 or a list of them"
            )
        if self.use_separable not in SEPARABLE:
            allowed = ", ".join(str(value) for value in SEPARABLE)
            near = did_you_mean(str(self.use_separable), ("none", "dsp", "mobilenet"))
            raise ModelError(f"use_separable: found {self.use_separable!r}, allowed: {allowed}{near}")
        if self.use_separable == "dsp" and self.kernel_size == 1:
            raise ModelError("use_separable: 'dsp' cannot split a kernel of kernel_size 1; use 'none'")
        if not isinstance(self.dropout_rate, int | float) or not 0 <= self.dropout_rate < 1:
            raise ModelError(f"dropout_rate: found {self.dropout_rate!r}, allowed: 0 <= rate < 1")
        most = min(self.shape[:2]).bit_length() - 1
        if self.with_maxpooling and len(self.filters) > most:
            raise ModelError(
                f"filters: {len(self.filters)} blocks with max pooling halve an image of "
                f"{self.shape[0]}x{self.shape[1]} to nothing; at most {most} fit"
            )
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "filters", tuple(tuple(b) if isinstance(b, list | tuple) else b for b in blocks))

    def build(self, name: str = "block_network") -> keras.Model:
        """The Keras model, with freshly initialised weights."""
        import keras
        from keras import layers

        inputs = keras.Input(self.shape, name="input")
        x = inputs
        for step in self._steps():
            x = self._convolve(x, step)
            if not step.ends_block:
                continue
            if self.with_maxpooling:
                x = layers.MaxPooling2D(2, 2, name=f"mp_{step.suffix}")(x)
                if self.use_xnornet_trick:
                    normalize = layers.BatchNormalization(
                        beta_initializer=self.bias_initializer, name=f"mp_bn_{step.suffix}"
                    )
                    x = normalize(x)
                    x = layers.Activation("relu", name=f"mp_act_{step.suffix}")(x)
            if self.dropout_rate > 0:
                x = layers.Dropout(self.dropout_rate, name=f"drop_{step.suffix}")(x)
        initializers = {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}
        if self.all_conv:
            x = layers.Conv2D(self.num_classes, 1, padding="same", name="dense", **initializers)(x)
            x = layers.Activation("softmax", name="softmax")(x)
            x = layers.Flatten(name="flatten")(x)
        else:
            x = layers.Flatten(name="flatten")(x)
            x = layers.Dense(self.num_classes, name="dense", **initializers)(x)
            x = layers.Activation("softmax", name="softmax")(x)
        return keras.Model(inputs, x, name=name)

    def _convolve(self, x: Any, step: _Step) -> Any:
        from keras import layers

        size = "".join(str(side) for side in step.kernel)
        kernel, strides, suffix = step.kernel, step.strides, step.suffix
        if self.use_separable == "mobilenet":
            depthwise = layers.DepthwiseConv2D(
                kernel, padding="same", strides=strides, use_bias=False, name=f"conv2d_dw_{size}_{suffix}"
            )
            x = depthwise(x)
            if self.with_batchnorm:
                x = layers.BatchNormalization(name=f"conv2d_dw_bn_{size}_{suffix}")(x)
            x = layers.Activation("relu", name=f"conv2d_dw_act_{size}_{suffix}")(x)
            kernel, strides, suffix = (1, 1), 1, f"11_{suffix}"
        elif self.use_separable == "dsp":
            suffix = f"{size}_{suffix}"
        x = layers.Conv2D(
            step.filters,
            kernel,
            strides=strides,
            use_bias=not self.with_batchnorm,
            padding="same",
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            name=f"conv2d_{suffix}",
        )(x)
        if step.ends_block and self.with_maxpooling and self.use_xnornet_trick:
            return x
        if self.with_batchnorm:
            x = layers.BatchNormalization(beta_initializer=self.bias_initializer, name=f"bn_{suffix}")(x)
        return layers.Activation("relu", name=f"act_{suffix}")(x)

    def _blocks(self) -> tuple[tuple[int, ...], ...]:
        return tuple((block,) if isinstance(block, int) else tuple(block) for block in self.filters)

    def _steps(self) -> Iterator[_Step]:
        side = self.kernel_size
        kernels = [(1, side), (side, 1)] if self.use_separable == "dsp" else [(side, side)]
        blocks = self._blocks()
        for number, block in enumerate(blocks):
            block_name = [str(number)] if len(blocks) > 1 else []
            for index, filters in enumerate(block):
                suffix = "_".join([*block_name, *([str(index)] if len(block) > 1 else [])])
                for kernel in kernels:
                    last = index == len(block) - 1 and kernel is kernels[-1]
                    yield _Step(
                        suffix=suffix,
                        filters=filters,
                        kernel=kernel,
                        strides=1 if self.with_maxpooling or not last else 2,
                        ends_block=last,
                    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)
