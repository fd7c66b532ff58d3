"""Reads estimators that were saved."""

import os
from collections.abc import Mapping
from typing import Any

from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.denoising import DenoisingAutoEncoderTransformer
from sk_autoencoder._estimators.extra_rows import ExtraRowsTransformer
from sk_autoencoder._estimators.vae import VAETransformer
from sk_autoencoder._outliers.detector import AutoEncoderOutlierDetector
from sk_autoencoder._saving.files import read
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet

#: Names of the types of this package that a skops file of any estimator may hold:
#: estimators and network specifications. For `skops.io.load(path, trusted=...)`.
TRUSTED_TYPES = [
    f"{kind.__module__}.{kind.__qualname__}"
    for kind in (
        AutoEncoderTransformer,
        DenoisingAutoEncoderTransformer,
        VAETransformer,
        AutoEncoderOutlierDetector,
        ExtraRowsTransformer,
        MLP,
        ConvNet,
        RecurrentNet,
    )
]


def load(
    path: str | os.PathLike[str], *, custom: Mapping[str, Any] | None = None
) -> Any:
    """Read a fitted estimator that `save` has written.

    Nothing in the file is run, and no other file is opened. All that it says is checked
    before it is taken up, and it takes no more memory than a model of its size does,
    beside 200 MB at most. Accidental damage is found by a digest of all that is in it,
    which files of version 0.1.0 do not have; it is no signature, and does not show who
    wrote a file. A model that was fitted on a GPU comes back on the CPU where there is
    none.

    Parameters
    ----------
    path : path-like
        A file that `save` has written.
    custom : mapping of str to object or None, default=None
        What is your own that the estimator was fitted with, by name: functions and
        classes under their own names, objects under those of their classes, a module
        or a `functools.partial` under the name of its parameter. So
        ``custom={"my_noise": my_noise}`` for a function, and
        ``custom={"noise": partial(my_noise, scale=2)}`` or ``custom={"loss":
        nn.L1Loss(reduction="none")}``. The modules of a
        :class:`~sk_autoencoder.networks.UserNetwork` are asked for as "encoder" and
        "decoder": instances of the same layers, whose weights come from the file.

    Returns
    -------
    estimator : object
        Of the class that was saved, fitted.

    Raises
    ------
    CorruptFileError
        If the file is damaged, was written by another program, or is of another format:
        a `ValueError` of `sk_autoencoder.exceptions`.
    ValueError
        If it names something that is not in `custom`, or holds weights of other layers
        than are there.
    TypeError
        If `custom` is no mapping of names to functions, classes, and objects.
    OSError
        If there is no such file, it is a folder, or it may not be read.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> import sk_autoencoder
    >>> X, _ = load_iris(return_X_y=True)
    >>> reducer = sk_autoencoder.AutoEncoderTransformer(2, max_epochs=5).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     reducer.save(f"{folder}/iris.safetensors")
    ...     again = sk_autoencoder.load(f"{folder}/iris.safetensors")
    >>> (again.transform(X) == reducer.transform(X)).all()
    np.True_
    """
    custom = {} if custom is None else custom
    _check_custom(custom)
    return read(path, custom)


def _check_custom(custom: Any) -> None:
    """Refuse what is no mapping of names to what `save` leaves out of a file."""
    is_mapping = isinstance(custom, Mapping)
    if not is_mapping or not all(isinstance(name, str) for name in custom):
        raise TypeError(
            "expected a mapping of names to functions, classes and objects of your "
            f"own, got custom={shortened(dict(custom) if is_mapping else custom)}. "
            "Pass a dict, as custom={'my_noise': my_noise}."
        )
    for name, value in custom.items():
        if not (callable(value) or hasattr(value, "on_epoch_end")):
            raise TypeError(
                "expected functions, classes and objects of your own in custom, got "
                f"custom={shortened({name: value})}. Pass what the estimator was "
                "fitted with."
            )
