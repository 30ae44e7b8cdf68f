"""What the functions of a SavedModel take and give, and which variables they use."""

import tensorflow as tf

from tf_bigan.errors import InputError
from tf_bigan.modules.loading import named_functions


def form_of(module, output=None) -> dict:
    """What a function of a `Module` takes and gives, as JSON.

    Args:
      module: a `Module`.
      output: the name of a layer, or "code"; None = the module itself.

    Returns:
      "inputs": [name, shape, dtype] of each input; "takes": whether a "dictionary" of them, or each as an argument;
      "training": whether there is an argument `training`; "outputs": the shape of a result, without the batch.

    Raises:
      InputError: there is no such output, or it cannot be called with tensors alone.
    """
    module.check_layer(output)
    traces = _traces(module.loaded, output)
    if not traces:
        raise InputError(f"{module.path} has no function from tensors to a tensor, which a layer needs")
    inputs, flag = _inputs_of(traces[0])
    named = inputs[0] if isinstance(inputs[0], dict) else {spec.name: spec for spec in inputs}
    # TensorFlow restores dictionaries in any order.
    named = dict(sorted(named.items())) if isinstance(inputs[0], dict) else named
    return {
        "inputs": [[name, spec.shape.as_list(), spec.dtype.name] for name, spec in named.items()],
        "takes": "dictionary" if isinstance(inputs[0], dict) else "arguments",
        "training": flag is not None,
        "outputs": traces[0].structured_outputs.shape.as_list()[1:],
    }


def variables_of(loaded, output=None) -> list:
    """The variables that a function of a SavedModel uses, each once; `output` is as in `form_of`."""
    found = {}
    for trace in _traces(loaded, output):
        found.update((id(variable), variable) for variable in trace.variables)
    return list(found.values())


def runner(loaded, output, form):
    """A function of a SavedModel as a function of (a list of its inputs, whether it is training)."""
    called = loaded if output is None else named_functions(loaded)[output]
    names = [name for name, *_ in form["inputs"]]

    def run(inputs, training):
        arguments = [dict(zip(names, inputs, strict=True))] if form["takes"] == "dictionary" else inputs
        return called(*arguments, **({"training": training} if form["training"] else {}))

    return run


def _traces(loaded, output):
    """The traces of a function for float32 batches, one for each value of `training`."""
    function = getattr(loaded, "__call__", None) if output is None else named_functions(loaded)[output]  # noqa: B004
    found = {}
    for trace in getattr(function, "concrete_functions", ()):
        inputs, flag = _inputs_of(trace)
        specs = tf.nest.flatten(inputs)
        single = isinstance(trace.structured_outputs, tf.TensorSpec)
        if single and specs and all(isinstance(spec, tf.TensorSpec) for spec in specs):
            doubles = sum(
                spec.dtype.is_floating and spec.dtype != tf.float32 or spec.dtype == tf.uint8 for spec in specs
            )
            singles = -sum(spec.shape.rank or 0 for spec in specs)
            found.setdefault(flag, []).append((doubles, singles, len(found), trace))
    best = {flag: min(each, key=lambda entry: entry[:2])[-1] for flag, each in found.items()}
    return [best[flag] for flag in sorted(best, key=str)]


def _inputs_of(trace):
    """(the positional inputs of a trace, its value of `training` or None)."""
    args, kwargs = trace.structured_input_signature
    flags = [value for value in (*args, *kwargs.values()) if isinstance(value, bool)]
    return [value for value in args if value is not None and not isinstance(value, bool)], (flags or [None])[0]
