"""What TensorFlow's CPU kernels do faster than plain Keras layers, behind one door: networks import from here alone.

Where a faster way does not apply, each function and layer takes the plain one by itself.
"""

from tf_bigan.networks.kernels.batch_norm import fused_batch_norm
from tf_bigan.networks.kernels.elementwise import masked, maxout
from tf_bigan.networks.kernels.layers import Convolution, TransposedConvolution

__all__ = ["Convolution", "TransposedConvolution", "fused_batch_norm", "masked", "maxout"]
