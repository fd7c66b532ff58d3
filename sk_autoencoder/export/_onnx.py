"""Fitted estimators as ONNX models, for programs without Python or torch."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.extra_rows import ExtraRowsTransformer
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._outliers.detector import AutoEncoderOutlierDetector
from sk_autoencoder._saving.atomic_file import replace_file
from sk_autoencoder._utils.values import shortened

# Methods of all transformers, and of those that are densities.
TRANSFORMER = ("transform", "inverse_transform", "reconstruct")
DENSITY = ("posterior", "score_samples")
DETECTOR = ("score_samples", "decision_function", "predict")

if TYPE_CHECKING:
    from onnx import ModelProto


def to_onnx(
    estimator: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    method: str = "transform",
    dtype: Any = None,
) -> "ModelProto":
    """Return a method of a fitted transformer or outlier detector as an ONNX model.

    The model needs neither Python nor torch, and takes any number of samples. It is one
    of opset 18, and its numbers agree with those of the method to rounding.

    .. versionadded:: 0.2

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`~sk_autoencoder.AutoEncoderTransformer`,
        :class:`~sk_autoencoder.DenoisingAutoEncoderTransformer`,
        :class:`~sk_autoencoder.VAETransformer`, an
        :class:`~sk_autoencoder.ExtraRowsTransformer` of one, or an
        :class:`~sk_autoencoder.AutoEncoderOutlierDetector` of the first three, but for
        the conditional distributions of a masked network.
    path : path-like or None, default=None
        If given, the model is also written to this file.
    method : {"transform", "inverse_transform", "reconstruct", "posterior", \
"score_samples", "decision_function", "predict"}, default="transform"
        "posterior" is a method of :class:`~sk_autoencoder.VAETransformer`; so is
        "score_samples", which with "decision_function" and "predict" makes up those of
        a detector.
    dtype : {"float32", "float64"} or dtype, default=None
        Type of inputs, computation and outputs. None is that of the samples of `fit`.
        With "float64", operators for which ONNX Runtime has float32 only, such as
        convolutions and the error function in GELU, are computed in that.

    Returns
    -------
    model : onnx.ModelProto
        Of the inputs and outputs in the notes. It is run, for example, by
        ``onnxruntime.InferenceSession(model.SerializeToString())``.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If there is no such method, or something in the model cannot be written as ONNX,
        such as a module of the user's own that draws random numbers.

    Notes
    -----
    Samples are the input "X", of shape (n, n_features), or of the shape that they had
    in `fit`, and come back as "reconstruction". A table with columns that are not
    numbers has an input of shape (n, 1) for each, named after it (those of an array
    "x0", "x1", ...), and comes back as "reconstructed_name" for each. Text is a tensor
    of strings, "" where it is missing; booleans and whole numbers are bool and int64,
    except that a column which may have missing cells is of `dtype`, NaN where they are.
    `transform` of an imputer, ``features="reconstruction"``, gives "filled_name" for
    each column, or "filled" for a matrix. Codes are "codes"; `posterior` gives "mean"
    and "std", `score_samples` and `decision_function` "scores", `predict` "label", -1
    or 1 in int64. An output ends in "_" where a column has its name; a column that is
    called "" is named after its position.

    A model refuses nothing: NaN where none is allowed is taken for missing, as are
    levels that `fit` has not seen, whatever `handle_unknown` says; to a detector these
    are levels never seen.

    A detector's model compares all samples that it is given with up to 2,048 exemplars
    at once, in 16 kB for each sample and some times that with categories: pass it some
    thousands at a time.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_autoencoder import AutoEncoderTransformer
    >>> from sk_autoencoder.export import to_onnx
    >>> X, _ = load_iris(return_X_y=True)
    >>> reducer = AutoEncoderTransformer(max_epochs=5, random_state=0).fit(X)
    >>> model = to_onnx(reducer)
    >>> [value.name for value in model.graph.output]
    ['codes']
    """
    check_onnx("to_onnx")
    from sk_autoencoder.export._graph import to_model

    check_is_fitted(estimator)
    graph = make_graph(estimator, method, dtype)
    model: ModelProto = to_model(graph, text=f"{method} of {shortened(estimator)}")
    if path is not None:
        replace_file(path, [model.SerializeToString()])
    return model


def check_onnx(caller: str) -> None:
    """Raise ImportError with the command that helps if onnx is missing."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"expected onnx to be installed, got {caller} called without it. Run pip "
            'install "sk_autoencoder[onnx]".'
        ) from error


def make_graph(estimator: Any, method: str, dtype: Any, **parts: Any) -> Any:
    """Make the graph of a method; say what has no place in one.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    method : str
    dtype : dtype or None
    **parts
        See `assemble`.
    """
    from sk_autoencoder.export._assemble import assemble, assemble_detector
    from sk_autoencoder.export._record import Unsupported

    given = estimator
    while isinstance(estimator, ExtraRowsTransformer):
        estimator = estimator.transformer_
    is_detector = isinstance(estimator, AutoEncoderOutlierDetector)
    if not (is_detector or isinstance(estimator, BaseAutoEncoder)):
        raise TypeError(
            "expected a fitted estimator of sk_autoencoder, got estimator="
            f"{shortened(given)}. Call register_skl2onnx(), and skl2onnx.to_onnx for a "
            "pipeline with one."
        )
    _check_method(estimator, method)
    first = estimator.estimators_[0] if is_detector else estimator
    of_fit = getattr(first, "_input_dtype", np.float64)
    chosen = np.dtype(of_fit if dtype is None else dtype)
    if chosen not in (np.float32, np.float64):
        raise ValueError(
            f"expected dtype 'float32' or 'float64', got dtype={dtype!r}. Pass None "
            "for that of fit."
        )
    make = assemble_detector if is_detector else assemble
    try:
        return make(estimator, method, chosen, **parts)
    except Unsupported as error:
        raise ValueError(
            f"expected what ONNX can compute, got {error} in {method} of estimator="
            f"{shortened(given)}. Write a module of your own in other operators of "
            "torch, or keep the model in a file by save."
        ) from error


def _check_method(estimator: Any, method: str) -> None:
    """Refuse a method that has no graph."""
    is_detector = isinstance(estimator, AutoEncoderOutlierDetector)
    methods: tuple[str, ...] = DETECTOR if is_detector else TRANSFORMER
    if isinstance(estimator, VAETransformer):
        methods += DENSITY
    if method not in methods:
        raise ValueError(
            f"expected one of {', '.join(methods)} for {type(estimator).__name__}, "
            f"got method={method!r}. Pass method={methods[0]!r}."
        )
    if not is_detector and estimator._plan.imputes and method != "transform":
        raise ValueError(
            "expected method='transform' for features='reconstruction', got method="
            f"{method!r}."
        )
