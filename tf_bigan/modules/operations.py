"""Which operations of TensorFlow a graph from a `.keras` file may have: those that compute, but touch no file."""

from tf_bigan.errors import InputError

_COMPUTES = """
    Add AddN AddV2 All Any ArgMax AvgPool BatchMatMulV2 BiasAdd BroadcastTo Cast Ceil ClipByValue ConcatV2 Const Conv2D
    Conv2DBackpropFilter Conv2DBackpropInput DepthToSpace DepthwiseConv2dNative DisableCopyOnRead Elu EnsureShape Equal
    Erf Exp ExpandDims Fill Floor FloorDiv FloorMod FusedBatchNormV3 GatherV2 Greater GreaterEqual Identity IdentityN
    If LeakyRelu Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool Maximum Mean Min
    MirrorPad Minimum Mul Neg NoOp NotEqual OneHot Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow
    Prod Range ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor
    ReverseV2 Round Rsqrt ScaleAndTranslate Select SelectV2 Selu Shape Sigmoid Sign Slice Softmax Softplus
    SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StatefulPartitionedCall StatelessIf StopGradient
    StridedSlice Sub Sum Tanh Tile Transpose Unpack Where ZerosLike
"""
# Those with which a SavedModel writes and reads its variables. Loading a layer runs none of them.
_SAVES = "MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch StringJoin AssignVariableOp"


def check_operations(graph: bytes, name: str):
    """Raises InputError if the graph of a layer, the bytes of saved_model.pb, may do more than compute.

    Its functions may only consist of operations that compute, and may not call those with which it saves its variables.
    It may have no objects, such as tables, that loading sets up.

    Args:
      graph: the content of saved_model.pb.
      name: the layer's name; for messages.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        (found,) = saved_model_pb2.SavedModel.FromString(graph).meta_graphs
    except Exception:  # protobuf's own error, or another number of graphs
        raise InputError(f"the graph of the layer {name} is damaged") from None
    computes, saves = set(_COMPUTES.split()), set(_SAVES.split())
    functions = {each.signature.name: each for each in found.graph_def.library.function}
    saving = {each for each, function in functions.items() if saves & {node.op for node in function.node_def}}
    odd = {"a resource"} if {each.WhichOneof("kind") for each in found.object_graph_def.nodes} & {"resource"} else set()
    odd |= {node.op for node in found.graph_def.node if node.op in ("PyFunc", "EagerPyFunc")}
    for each in functions.keys() - saving:
        for node in functions[each].node_def:
            odd |= {node.op} - computes - (functions.keys() - saving)
            odd |= {f"a call of {called}" for called in _called(node) if called in saving}
    if odd:
        raise InputError(
            f"the graph of the layer {name} has {sorted(odd)[0]}, which may do more than compute; load the file with "
            "safe_mode=False if you trust whoever made it"
        )


def _called(node):
    """The names of the functions that a node's attributes name."""
    for attribute in node.attr.values():
        yield attribute.func.name
        yield from (each.name for each in attribute.list.func)
