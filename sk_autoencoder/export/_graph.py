"""A graph of ONNX operators in the making."""

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

# The last opset before those of 2024 is known to whatever runs ONNX today.
OPSETS = {"": 18, "ai.onnx.ml": 3}

# Operators without a float64 kernel in onnxruntime 1.20 or 1.32: these are computed
# in float32.
FLOAT32_ONLY = {
    *("Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
    *("Erf", "Conv", "ConvTranspose", "AveragePool"),
}


class Graph:
    """Nodes, constants, and the inputs and outputs of a graph.

    Parameters
    ----------
    prefix : str
        Of the names of all values that are made here.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : list of TensorProto
    inputs, outputs : dict
        Type and shape of each, by name; the number of rows is None.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: dict[str, tuple[np.dtype, tuple[int | None, ...]]] = {}
        self.outputs: dict[str, tuple[np.dtype, tuple[int | None, ...]]] = {}
        self._by_content: dict[Any, str] = {}
        self._n_names = 0
        self._n_rows: str | None = None

    def name(self, what: str) -> str:
        """Return a name that nothing else has."""
        self._n_names += 1
        found = f"{self.prefix}{what.lower()}_{self._n_names}"
        # A column may be called as the result of an operator.
        return self.name(what) if found in self.inputs else found

    # -- inputs and outputs ----------------------------------------------------------

    def input(self, name: str, dtype: Any, *shape: int) -> str:
        """Add an input of some rows, each of a shape."""
        self.inputs[name] = (np.dtype(dtype), (None, *shape))
        return name

    def output(self, name: str, value: str, dtype: Any, *shape: int) -> None:
        """Add an output of the graph: a value, under a name or one like it."""
        while name in self.inputs or name in self.outputs:
            name += "_"
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self.outputs[name] = (np.dtype(dtype), (None, *shape))

    # -- values ----------------------------------------------------------------------

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator, and return the name of its result."""
        return self.ops(kind, *inputs, n=1, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, n: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add an operator, and return the names of its n results."""
        results = [self.name(kind) for _ in range(n)]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(
            # Named: a release of ONNX Runtime takes two without a name for the same.
            helper.make_node(
                kind, inputs, results, name=results[0], domain=domain, **attributes
            )
        )
        return results

    def real(self, kind: str, dtype: Any, *inputs: str, **attributes: Any) -> str:
        """Add an operator on numbers of a dtype, in float32 where it has no other."""
        if dtype == np.float64 and kind == "Sigmoid":
            # Not by its name: x * Sigmoid(x) is fused by ONNX Runtime up to 1.23, which
            # then has no kernel for it in float64.
            one = self.constant(1.0)
            return self.op(
                "Div", one, self.op("Add", self.op("Exp", self.op("Neg", *inputs)), one)
            )
        if dtype != np.float64 or kind not in FLOAT32_ONLY:
            return self.op(kind, *inputs, **attributes)
        narrow = [self.cast(value, np.float32) if value else "" for value in inputs]
        return self.cast(self.op(kind, *narrow, **attributes), np.float64)

    def cast(self, value: str, dtype: Any) -> str:
        """Return numbers in another dtype."""
        return self.op("Cast", value, to=onnx_type(dtype))

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Return the name of a constant: the same for the same content."""
        array = np.asarray(value, dtype)
        content: Any = array.tobytes()
        if array.dtype.kind in "OUS":
            array = array.astype(object)
            content = tuple(array.ravel().tolist())
        key = (array.dtype.str, array.shape, content)
        if key not in self._by_content:
            name = self._by_content[key] = self.name("constant")
            self.constants.append(numpy_helper.from_array(array, name))
        return self._by_content[key]

    def ints(self, values: Sequence[int]) -> str:
        """Return a constant vector of int64."""
        return self.constant(list(values), np.int64)

    def n_rows(self) -> str:
        """Return the number of rows, a vector of one int64."""
        if self._n_rows is None:
            shape = self.op("Shape", next(iter(self.inputs)), start=0, end=1)
            self._n_rows = shape
        return self._n_rows

    def used_constants(self) -> list[TensorProto]:
        """Return the constants that a node has for its input."""
        used = {name for node in self.nodes for name in node.input}
        return [value for value in self.constants if value.name in used]

    def search_sorted(self, x: str, steps: np.ndarray, *, right: bool) -> str:
        """Return how many steps lie below each number, or also at it, in int64.

        Parameters
        ----------
        x : str
            Numbers in the dtype of the steps, of shape (n_series, n), or (n, 1) for one
            series.
        steps : ndarray of shape (n_series, n_steps)
            In increasing order.
        right : bool
            Whether to count a step that is equal.
        """
        # A binary search: with all steps beside each number memory would not do.
        n_series, n_steps = steps.shape
        size = 1 << n_steps.bit_length()
        filled = np.pad(steps, ((0, 0), (1, size - n_steps)), constant_values=np.inf)
        flat = self.constant(filled.ravel())
        start = np.arange(n_series)[:, None] * (size + 1)
        starts = self.constant(start, np.int64)
        kind = "GreaterOrEqual" if right else "Greater"
        zeros = self.op("Mul", self.cast(self.op("IsNaN", x), np.int64), self.ints([0]))
        found, step = zeros, size // 2
        while step:
            further = self.op("Add", found, self.ints([step]))
            at = self.op("Gather", flat, self.op("Add", further, starts))
            found = self.op("Where", self.op(kind, x, at), further, found)
            step //= 2
        return found


def onnx_type(dtype: Any) -> int:
    """Return ONNX's number of a dtype."""
    dtype = np.dtype(dtype)
    if dtype.kind == "O":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def to_model(graph: Graph, *, text: str) -> ModelProto:
    """Make a model of a graph."""
    inputs, outputs = (
        [
            helper.make_tensor_value_info(name, onnx_type(dtype), ["n", *shape[1:]])
            for name, (dtype, shape) in values.items()
        ]
        for values in (graph.inputs, graph.outputs)
    )
    opsets = [helper.make_opsetid(name, number) for name, number in OPSETS.items()]
    return helper.make_model(
        helper.make_graph(
            graph.nodes, "sk_autoencoder", inputs, outputs, graph.used_constants()
        ),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
        producer_name="sk_autoencoder",
        producer_version=metadata.version("sk-autoencoder"),
        doc_string=text,
    )
