"""Small residual networks: those of He et al. 2016 (arXiv:1512.03385), cut to the size of a microcontroller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qsearch.errors import ModelError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class _Step:
    """One residual block; a convolution block where its shortcut needs another width or size."""

    name: str
    filters: int
    strides: int
    shortcut: bool


@dataclass(frozen=True, kw_only=True)
class ResidualNetwork:
    """Options of the network.

    A stem convolution; for each entry of `filters` a stack of residual blocks, of which every stack but the first
    halves the image; average pooling over what is left; a dense layer. A residual block is two convolutions, each
    with batch normalization, added to the block's input, or to a 1x1 convolution of it. With shape (32, 32, 3) and
    filters (16, 32, 64) it is the ResNet-8 of MLPerf Tiny (Banbury et al. 2021, arXiv:2106.07597).

    Attributes:
        shape: of an image: height, width, channels.
        num_classes: outputs.
        kernel_size: of the convolutions on the main path, height and width alike.
        filters: per stack a number, or a list of numbers, one for each of its blocks; kept as tuples.

    Raises:
        ModelError: an option that makes no network.
    """

    shape: tuple[int, int, int]
    num_classes: int
    filters: Sequence[int | Sequence[int]]
    kernel_size: int = 3
    kernel_initializer: str = "he_normal"
    bias_initializer: str = "zeros"

    def __post_init__(self) -> None:
        stacks = tuple(tuple(e) if isinstance(e, list | tuple) else (e,) for e in self.filters)
        counts = [number for stack in stacks for number in stack]
        if not stacks or not all(stacks) or not all(type(number) is int and number >= 1 for number in counts):
            raise ModelError(
                f"filters: found {self.filters!r}, expected one or more stacks, each a number >= 1 or a list of them"
            )
        if type(self.kernel_size) is not int or self.kernel_size < 1:
            raise ModelError(f"kernel_size: found {self.kernel_size!r}, expected a whole number >= 1")
        if len(stacks) > min(self.shape[:2]).bit_length():
            raise ModelError(
                f"filters: {len(stacks)} stacks halve an image of {self.shape[0]}x{self.shape[1]} to nothing; "
                f"at most {min(self.shape[:2]).bit_length()} fit"
            )
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "filters", stacks)

    def build(self, name: str = "residual_network") -> keras.Model:
        """The Keras model, with freshly initialised weights."""
        import keras
        from keras import layers

        inputs = keras.Input(self.shape, name="input")
        steps = list(self._steps())
        x = self._convolve(inputs, "stem_conv", steps[0].filters)
        x = layers.BatchNormalization(name="stem_bn")(x)
        x = layers.Activation("relu", name="stem_act")(x)
        for step in steps:
            x = self._residual_block(x, step)
        x = layers.AveragePooling2D(x.shape[1:3], name="pool")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(self.num_classes, name="dense", **self._initializers())(x)
        x = layers.Activation("softmax", name="softmax")(x)
        return keras.Model(inputs, x, name=name)

    def _residual_block(self, x: Any, step: _Step) -> Any:
        from keras import layers

        start, name = x, step.name
        x = self._convolve(x, f"{name}_conv0", step.filters, step.strides)
        x = layers.BatchNormalization(name=f"{name}_bn0")(x)
        x = layers.Activation("relu", name=f"{name}_act0")(x)
        x = self._convolve(x, f"{name}_conv1", step.filters)
        x = layers.BatchNormalization(name=f"{name}_bn1")(x)
        if step.shortcut:
            start = self._convolve(start, f"{name}_shortcut", step.filters, step.strides, 1)
        x = layers.Add(name=f"{name}_add")([x, start])
        return layers.Activation("relu", name=f"{name}_act1")(x)

    def _convolve(self, x: Any, name: str, filters: int, strides: int = 1, size: int | None = None) -> Any:
        from keras import layers

        convolution = layers.Conv2D(
            filters, size or self.kernel_size, strides=strides, padding="same", name=name, **self._initializers()
        )
        return convolution(x)

    def _initializers(self) -> dict[str, str]:
        return {"kernel_initializer": self.kernel_initializer, "bias_initializer": self.bias_initializer}

    def _steps(self) -> Iterator[_Step]:
        before = None
        for number, stack in enumerate(self.filters):
            blocks = (stack,) if isinstance(stack, int) else tuple(stack)
            for index, filters in enumerate(blocks):
                name = f"res{number}" if len(blocks) == 1 else f"res{number}_{index}"
                strides = 2 if number and not index else 1
                yield _Step(name, filters, strides, strides > 1 or filters != (before or filters))
                before = filters
