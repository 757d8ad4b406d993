# Written by scripts/stubs.py from qsearch/layers/table.py.
from qsearch.layers.activation import QActivation as QActivation
from qsearch.layers.adaptive import QAdaptiveActivation as QAdaptiveActivation
from qsearch.layers.cells import QGRUCell as QGRUCell
from qsearch.layers.cells import QLSTMCell as QLSTMCell
from qsearch.layers.cells import QSimpleRNNCell as QSimpleRNNCell
from qsearch.layers.folded import QConv2DBatchnorm as QConv2DBatchnorm
from qsearch.layers.folded import QDenseBatchnorm as QDenseBatchnorm
from qsearch.layers.folded import QDepthwiseConv2DBatchnorm as QDepthwiseConv2DBatchnorm
from qsearch.layers.normalization import QBatchNormalization as QBatchNormalization
from qsearch.layers.pooling import QAveragePooling2D as QAveragePooling2D
from qsearch.layers.pooling import QGlobalAveragePooling2D as QGlobalAveragePooling2D
from qsearch.layers.recurrent import QBidirectional as QBidirectional
from qsearch.layers.recurrent import QGRU as QGRU
from qsearch.layers.recurrent import QLSTM as QLSTM
from qsearch.layers.recurrent import QSimpleRNN as QSimpleRNN
from qsearch.layers.scale_shift import QScaleShift as QScaleShift
from qsearch.layers.separable import QSeparableConv1D as QSeparableConv1D
from qsearch.layers.separable import QSeparableConv2D as QSeparableConv2D
from qsearch.layers.transposed import QDepthwiseConv2DTranspose as QDepthwiseConv2DTranspose
from qsearch.layers.transposed import QSeparableConv2DTranspose as QSeparableConv2DTranspose
from qsearch.layers.weights import QConv1D as QConv1D
from qsearch.layers.weights import QConv2D as QConv2D
from qsearch.layers.weights import QConv2DTranspose as QConv2DTranspose
from qsearch.layers.weights import QDense as QDense
from qsearch.layers.weights import QDepthwiseConv2D as QDepthwiseConv2D

__all__: list[str]
