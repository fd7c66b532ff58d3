"""Fitted estimators as ONNX models, for programs without Python or torch."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.extra_rows import ExtraRowsTransformer
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._saving.atomic_file import replace_file
from sk_autoencoder._utils.values import shortened

# Methods of all transformers, and of those that are densities.
TRANSFORMER = ("transform", "inverse_transform", "reconstruct")
DENSITY = ("posterior", "score_samples")

if TYPE_CHECKING:
    from onnx import ModelProto


def to_onnx(
    estimator: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    method: str = "transform",
    dtype: Any = None,
) -> "ModelProto":
    """Return a method of a fitted transformer as an ONNX model.

    The model needs neither Python nor torch, and takes any number of samples. It is one
    of opset 18, and its numbers agree with those of the method to rounding.

    Parameters
    ----------
    estimator : estimator
        A fitted :class:`~sk_autoencoder.AutoEncoderTransformer`,
        :class:`~sk_autoencoder.DenoisingAutoEncoderTransformer`,
        :class:`~sk_autoencoder.VAETransformer`, or an
        :class:`~sk_autoencoder.ExtraRowsTransformer` of one.
    path : path-like or None, default=None
        Where to write the model to, besides.
    method : {"transform", "inverse_transform", "reconstruct", "posterior", \
"score_samples"}, default="transform"
        The last two are methods of :class:`~sk_autoencoder.VAETransformer`.
    dtype : {"float32", "float64"} or dtype, default=None
        Of the numbers that the model takes, computes and gives. None is that of the
        samples of `fit`. With "float64", operators for which ONNX Runtime has float32
        only, such as convolutions and the error function in GELU, are computed in that.

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
    in `fit`, and come back as "reconstruction". A table some columns of which are no
    numbers has an input of shape (n, 1) for each, named after it (those of an array
    "x0", "x1", ...), and comes back as "reconstructed_name" for each. Text is a tensor
    of strings, "" where it is missing; booleans and whole numbers are bool and int64,
    except that a column which may have missing cells is of `dtype`, NaN where they are.
    `transform` of an imputer, ``features="reconstruction"``, gives "filled_name" for
    each column, or "filled" for a matrix. Codes are "codes"; `posterior` gives "mean"
    and "std", `score_samples` "scores".

    A model refuses nothing: NaN where none is allowed is taken for missing, as are
    levels that `fit` has not seen, whatever `handle_unknown` says.

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
    from sk_autoencoder.export._assemble import assemble
    from sk_autoencoder.export._record import Unsupported

    given = estimator
    while isinstance(estimator, ExtraRowsTransformer):
        estimator = estimator.transformer_
    if not isinstance(estimator, BaseAutoEncoder):
        raise TypeError(
            "expected a fitted transformer of sk_autoencoder, got estimator="
            f"{shortened(given)}. Call register_skl2onnx(), and skl2onnx.to_onnx for a "
            "pipeline with one."
        )
    methods = TRANSFORMER + (DENSITY if isinstance(estimator, VAETransformer) else ())
    if method not in methods:
        raise ValueError(
            f"expected one of {', '.join(methods)} for a {type(estimator).__name__}, "
            f"got method={method!r}."
        )
    if estimator._plan.imputes and method != "transform":
        raise ValueError(
            "expected method='transform' for features='reconstruction', got method="
            f"{method!r}."
        )
    chosen = np.dtype(estimator._input_dtype if dtype is None else dtype)
    if chosen not in (np.float32, np.float64):
        raise ValueError(
            f"expected dtype 'float32' or 'float64', got dtype={dtype!r}. Pass None "
            "for that of fit."
        )
    try:
        return assemble(estimator, method, chosen, **parts)
    except Unsupported as error:
        raise ValueError(
            f"expected what ONNX can compute, got {error} in {method} of estimator="
            f"{shortened(given)}. Write a module of your own in other operators of "
            "torch, or keep the model in a file by save."
        ) from error
