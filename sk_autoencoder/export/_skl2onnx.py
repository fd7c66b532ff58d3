"""A converter for skl2onnx, which makes ONNX models of whole pipelines."""

from typing import Any

import numpy as np

from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._estimators.extra_rows import ExtraRowsTransformer
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._outliers.detector import AutoEncoderOutlierDetector
from sk_autoencoder.export._onnx import make_graph

KINDS = (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
    ExtraRowsTransformer,
)


def register_skl2onnx() -> None:
    """Have skl2onnx convert pipelines with estimators of this package.

    After this call, ``skl2onnx.to_onnx(pipeline, ...)`` works for pipelines of which
    skl2onnx knows the other steps. A matrix of numbers is one input; where the first
    step reads a table, name the type of each column in `initial_types`, as
    :func:`to_onnx` describes them. The model computes in float64 where an input of the
    estimator is `DoubleTensorType`, else in float32. Of an
    :class:`~sk_autoencoder.AutoEncoderOutlierDetector` the outputs are those of
    skl2onnx's outlier detectors: "label", and "scores" of `decision_function`, each of
    shape (n, 1).

    .. versionadded:: 0.2

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_autoencoder import AutoEncoderTransformer
    >>> from sk_autoencoder.export import register_skl2onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> reducer = AutoEncoderTransformer(max_epochs=5, random_state=0)
    >>> pipeline = make_pipeline(reducer, LogisticRegression()).fit(X, y)
    >>> register_skl2onnx()
    >>> model = to_onnx(pipeline, X[:1].astype("float32"))
    >>> [value.name for value in model.graph.output]
    ['output_label', 'output_probability']
    """
    try:
        import skl2onnx
    except ImportError as error:
        raise ImportError(
            "expected skl2onnx to be installed, got register_skl2onnx called without "
            "it. Run pip install skl2onnx."
        ) from error
    for kind in KINDS:
        skl2onnx.update_registered_converter(
            kind, f"SkAutoencoder{kind.__name__}", _set_output_type, _convert
        )


def _dtypes(operator: Any) -> list[np.dtype]:
    """Return the dtypes of an operator's inputs."""
    from skl2onnx.common.data_types import guess_numpy_type

    kinds = [np.dtype(guess_numpy_type(value.type)) for value in operator.inputs]
    return [np.dtype(object) if kind.kind == "U" else kind for kind in kinds]


def _set_output_type(operator: Any) -> None:
    """Set type and shape of what an estimator gives; asked by skl2onnx."""
    from skl2onnx.common.data_types import (
        DoubleTensorType,
        FloatTensorType,
        Int64TensorType,
    )

    double = np.dtype(np.float64) in _dtypes(operator)
    kind = DoubleTensorType if double else FloatTensorType
    if isinstance(operator.raw_operator, AutoEncoderOutlierDetector):
        operator.outputs[0].type = Int64TensorType([None, 1])
        operator.outputs[1].type = kind([None, 1])
        return
    n_columns = len(operator.raw_operator.get_feature_names_out())
    operator.outputs[0].type = kind([None, n_columns])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator; asked by skl2onnx."""
    from sk_autoencoder.export._assemble import Given
    from sk_autoencoder.export._graph import OPSETS

    opset = container.target_opset_any_domain("")
    if opset < OPSETS[""]:
        raise ValueError(
            f"expected target_opset of {OPSETS['']} or later, got target_opset={opset}."
        )
    dtypes = _dtypes(operator)
    names = [value.onnx_name for value in operator.inputs]
    is_detector = isinstance(operator.raw_operator, AutoEncoderOutlierDetector)
    parts = {"with_decision": True} if is_detector else {}
    graph = make_graph(
        operator.raw_operator,
        "predict" if is_detector else "transform",
        np.float64 if np.dtype(np.float64) in dtypes else np.float32,
        prefix=scope.get_unique_operator_name("sk_autoencoder") + "_",
        given=[Given(*pair) for pair in zip(names, dtypes, strict=True)],
        **parts,
    )
    outputs = list(graph.outputs)
    if is_detector:
        axis = graph.ints([1])
        outputs = [graph.op("Unsqueeze", output, axis) for output in outputs]
    elif len(outputs) > 1:
        raise ValueError(
            "expected a transformer that gives a matrix, got "
            f"{type(operator.raw_operator).__name__}, which fills the columns of a "
            "table, in a pipeline. Export it by itself, by to_onnx."
        )
    container.initializers.extend(graph.used_constants())
    container.nodes.extend(graph.nodes)
    container.node_domain_version_pair_sets.update(OPSETS.items())
    for value, output in zip(outputs, operator.outputs, strict=True):
        container.add_node(
            "Identity",
            [value],
            [output.full_name],
            name=scope.get_unique_operator_name("Identity"),
        )
