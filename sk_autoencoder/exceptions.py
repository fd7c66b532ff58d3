"""Errors and warnings of sk_autoencoder; each is also one that a caller expects."""

from sklearn import exceptions

__all__ = ["CorruptFileError", "DivergenceError", "InconsistentVersionWarning"]


class CorruptFileError(ValueError):
    """A file is damaged, or is not one that `save` has written.

    Raised by `sk_autoencoder.load` and `sk_autoencoder.read_metadata`.

    .. versionadded:: 0.2

    Parameters
    ----------
    message : str
        What was expected, what the file is, and what to do.
    what : str or None, default=None
        Why the file is refused, without the rest; the message by default.

    Attributes
    ----------
    what : str
        Why the file is refused.

    Examples
    --------
    >>> from sk_autoencoder.exceptions import CorruptFileError
    >>> issubclass(CorruptFileError, ValueError)
    True
    """

    def __init__(self, message: str, what: str | None = None) -> None:
        super().__init__(message)
        self.what = message if what is None else what


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


class InconsistentVersionWarning(exceptions.InconsistentVersionWarning):
    """A file was written by another version of sk_autoencoder.

    Given by `sk_autoencoder.load`. The file is of a format that this version knows, and
    what it holds gives what it gave then, to rounding.

    .. versionadded:: 0.2

    Parameters
    ----------
    estimator_name : str
        Class of what is loaded.
    current_version, original_version : str
        Of sk_autoencoder: now, and when the file was written.

    Attributes
    ----------
    estimator_name : str
        Class of what is loaded.
    current_version, original_version : str
        Of sk_autoencoder: now, and when the file was written.

    See Also
    --------
    sk_autoencoder.read_metadata : What a file holds, its versions too.

    Examples
    --------
    >>> import sklearn.exceptions
    >>> from sk_autoencoder.exceptions import InconsistentVersionWarning
    >>> kind = sklearn.exceptions.InconsistentVersionWarning
    >>> issubclass(InconsistentVersionWarning, kind)
    True
    """

    def __init__(
        self, *, estimator_name: str, current_version: str, original_version: str
    ) -> None:
        self.estimator_name = estimator_name
        self.current_version = current_version
        self.original_version = original_version

    def __str__(self) -> str:
        return (
            f"This {self.estimator_name} was saved by sk_autoencoder "
            f"{self.original_version} and is loaded by {self.current_version}. It "
            "gives what it gave, to rounding; save it again and there is no warning."
        )
