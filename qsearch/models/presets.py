"""The registry of reference networks. No Keras until one is built."""

from __future__ import annotations

from collections.abc import Mapping

from qsearch.models.block_network import BlockNetwork
from qsearch.models.residual_network import ResidualNetwork

MODELS: Mapping[str, BlockNetwork | ResidualNetwork] = {
    "mnist": BlockNetwork(
        shape=(28, 28, 1),
        num_classes=10,
        kernel_size=3,
        filters=(16, 32, 48, 64, 128),
        dropout_rate=0.2,
        with_maxpooling=False,
        kernel_initializer="he_uniform",
    ),
    "fashion_mnist": BlockNetwork(
        shape=(28, 28, 1),
        num_classes=10,
        kernel_size=3,
        filters=(16, (32,) * 3, (64,) * 3),
        dropout_rate=0.2,
        kernel_initializer="he_uniform",
        use_separable="mobilenet",
        use_xnornet_trick=True,
    ),
    "cifar10": BlockNetwork(
        shape=(32, 32, 3),
        num_classes=10,
        kernel_size=3,
        filters=(16, (32,) * 3, (64,) * 3, (128,) * 3),
        dropout_rate=0.2,
        kernel_initializer="he_uniform",
        use_separable="mobilenet",
        use_xnornet_trick=True,
    ),
    "cifar100": BlockNetwork(
        shape=(32, 32, 3),
        num_classes=100,
        kernel_size=3,
        filters=(16, (32,) * 3, (64,) * 3, (128,) * 3, (256,) * 3),
        dropout_rate=0.2,
        kernel_initializer="he_uniform",
        use_separable="mobilenet",
        use_xnornet_trick=True,
    ),
    "digits": BlockNetwork(
        shape=(8, 8, 1),
        num_classes=10,
        kernel_size=3,
        filters=(16, 32, 64),
        dropout_rate=0.1,
        with_maxpooling=False,
        kernel_initializer="he_uniform",
    ),
    "resnet8": ResidualNetwork(shape=(32, 32, 3), num_classes=10, filters=(16, 32, 64)),
    "digits_resnet": ResidualNetwork(shape=(8, 8, 1), num_classes=10, filters=(8, 16)),
}
