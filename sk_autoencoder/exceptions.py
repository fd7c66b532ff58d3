"""Errors of sk_autoencoder; each is also the builtin error that a caller expects."""

__all__ = ["DivergenceError"]


class DivergenceError(FloatingPointError):
    """Training produced NaN or infinity before any usable state was reached.

    Raised by `fit` and `partial_fit`. The estimator is left as it was before the
    call.

    Examples
    --------
    >>> from sk_autoencoder.exceptions import DivergenceError
    >>> issubclass(DivergenceError, FloatingPointError)
    True
    """
