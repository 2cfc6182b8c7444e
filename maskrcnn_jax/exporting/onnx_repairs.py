"""Puts what onnxruntime runs in the place of what it does not, without a change of numbers.

jax2onnx writes a few nodes that are valid ONNX but for which onnxruntime's CPU has no kernel:
choices between bools, and pooling with a window of four sides, two of which are 1.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

# Classes of the package onnx, which is an extra.
GraphProto: TypeAlias = Any
ModelProto: TypeAlias = Any
NodeProto: TypeAlias = Any


def repaired(model: ModelProto) -> ModelProto:
    """The same model, but for such nodes, wherever in its loops they are."""
    import onnx  # type: ignore

    _repair(model.graph, onnx.shape_inference.infer_shapes(model).graph, types={})
    return model


def _repair(graph: GraphProto, inferred: GraphProto, *, types: Mapping[str, int]) -> None:
    """``inferred`` is the same graph with the types of all its values; ``types`` those around."""
    from onnx import TensorProto  # type: ignore

    types = {**types, **_element_types(inferred)}
    nodes = []
    for node, with_types in zip(graph.node, inferred.node, strict=True):
        for attribute, other in zip(node.attribute, with_types.attribute, strict=True):
            if attribute.HasField("g"):
                _repair(attribute.g, other.g, types=types)
        if node.op_type == "Where" and types.get(node.output[0]) == TensorProto.BOOL:
            nodes += _choice_of_bools(node)
        elif node.op_type == "MaxPool" and len(_attributes(node)["kernel_shape"]) == 4:
            nodes += _pooling_of_maps(node)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _element_types(graph: GraphProto) -> dict[str, int]:
    values = (*graph.value_info, *graph.input, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _choice_of_bools(node: NodeProto) -> Iterable[NodeProto]:
    """(c and x) or (not c and y)."""
    from onnx import helper  # type: ignore

    (condition, x, y), [output] = node.input, node.output
    return (
        helper.make_node("And", [condition, x], [f"{output}/then"]),
        helper.make_node("Not", [condition], [f"{output}/not"]),
        helper.make_node("And", [f"{output}/not", y], [f"{output}/else"]),
        helper.make_node("Or", [f"{output}/then", f"{output}/else"], [output]),
    )


def _pooling_of_maps(node: NodeProto) -> Iterable[NodeProto]:
    """From [1, 1, b, h, w, c], of which the window covers h and w, by way of [b, c, h, w]."""
    from onnx import helper  # type: ignore

    given, [x], [output] = _attributes(node), node.input, node.output
    pads = given.get("pads", [0] * 8)
    window = {
        "kernel_shape": given["kernel_shape"][1:3],
        "strides": given["strides"][1:3],
        "pads": [*pads[1:3], *pads[5:7]],
    }
    names = [f"{output}/{step}" for step in ("axes", "maps", "first", "pooled", "last")]
    axes, maps, first, pooled, last = names
    return (
        helper.make_node("Constant", [], [axes], value_ints=[0, 1]),
        helper.make_node("Squeeze", [x, axes], [maps]),
        helper.make_node("Transpose", [maps], [first], perm=[0, 3, 1, 2]),
        helper.make_node("MaxPool", [first], [pooled], **window),
        helper.make_node("Transpose", [pooled], [last], perm=[0, 2, 3, 1]),
        helper.make_node("Unsqueeze", [last, axes], [output]),
    )


def _attributes(node: NodeProto) -> dict[str, list]:
    return {attribute.name: list(attribute.ints) for attribute in node.attribute}
