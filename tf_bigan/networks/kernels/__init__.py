"""Functions and layers that are faster on CPUs than plain Keras layers. Networks import them from this package only.

Where the faster method does not apply, each function or layer uses the plain one by itself.
"""

from tf_bigan.networks.kernels.batch_norm import fused_batch_norm
from tf_bigan.networks.kernels.elementwise import masked, maxout
from tf_bigan.networks.kernels.layers import Convolution, TransposedConvolution

__all__ = ["Convolution", "TransposedConvolution", "fused_batch_norm", "masked", "maxout"]
