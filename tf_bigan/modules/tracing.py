"""Functions of a SavedModel that also take empty batches, single examples and other dtypes.

A SavedModel cannot say in a line what it wants: TensorFlow lists every trace that does not match. So what is clear is
taken. That is float64, NumPy's default; images of uint8, which `tf.image.convert_image_dtype` scales in the same way;
and an example without the axis of the batch. Other integers may mean anything, and are left to TensorFlow's error.
"""

import itertools

import tensorflow as tf

_IMAGES = 4  # rank of a batch of images


def of_any_count(function, specs):
    """`function`, but with an empty result for empty inputs, on which some of TensorFlow's kernels fail.

    Args:
      function: function of tensors [N, ...] that gives a tensor [N, ...].
      specs: the specs of its inputs. Where a size is unknown, it may be 0 in an empty batch, too.
    """

    def guarded(*inputs):
        count = tf.shape(inputs[0])[0]
        more = tf.cast(tf.equal(count, 0), tf.int32)  # tf.pad by nothing does not copy
        padded = [
            tf.pad(each, [(0, more if size is None else 0) for size in spec.shape])
            for each, spec in zip(inputs, specs, strict=True)
        ]
        return function(*padded)[:count]

    return guarded


class Taking(tf.__internal__.tracking.AutoTrackable):
    """A function for a SavedModel, whose body is stored once for all kinds of inputs.

    Args:
      function: function of tensors [N, ...] that gives a tensor [N, ...].
      specs: the specs of its inputs, float32 or integer [N, ...], with names.
    """

    def __init__(self, function, specs):
        self._specs = list(specs)
        self._exact = tf.function(of_any_count(function, self._specs), input_signature=self._specs, autograph=False)

    def __call__(self, *inputs):
        return self._exact(*(_converted(each, spec) for each, spec in zip(inputs, self._specs, strict=True)))

    def signature(self):
        """The function of float32 batches as a signature of the SavedModel."""
        return self._exact.get_concrete_function()

    def kinds(self) -> list[tuple]:
        """The specs of all inputs that are taken: a list of tuples with a spec for each input.

        The first is that of float32 batches, which TensorFlow prefers for Python lists.
        """
        found = list(itertools.product(*([_with(spec, dtype) for dtype in _dtypes(spec)] for spec in self._specs)))
        if len(self._specs) == 1:
            found += [(tf.TensorSpec(spec.shape[1:], spec.dtype),) for (spec,) in found]
        return found

    def traced(self):
        """This function with positional arguments, traced for all kinds of inputs."""
        function = tf.function(lambda *inputs: self(*inputs), autograph=False)
        for specs in self.kinds():
            function.get_concrete_function(*specs)
        return function


def _dtypes(spec):
    if not spec.dtype.is_floating:
        return dict.fromkeys((spec.dtype, tf.int32, tf.int64))
    return (spec.dtype, tf.float64, *([tf.uint8] if spec.shape.rank == _IMAGES else []))


def _with(spec, dtype):
    return spec if dtype == spec.dtype else tf.TensorSpec(spec.shape, dtype)


def _converted(value, spec):
    """A value of one of the kinds that are taken as the batch that `spec` describes."""
    levels = 255.0 if value.dtype == tf.uint8 and spec.dtype.is_floating else None
    value = tf.cast(value, spec.dtype)
    value = value if levels is None else value / levels
    return value if value.shape.rank == spec.shape.rank else value[None]
