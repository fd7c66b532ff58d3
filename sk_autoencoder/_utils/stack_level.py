"""Whom a warning is shown to: the code that called the package."""

import inspect

# What lies between a public method and the user's code: scikit-learn validates
# parameters around `fit`, and calls it from pipelines and searches.
OURS = ("sk_autoencoder", "sklearn", "skorch", "joblib")


def caller_level() -> int:
    """Count the frames up to the first outside the package, for `warnings.warn`.

    Returns
    -------
    stacklevel : int
        As the function that calls this one has to pass it.
    """
    level, frame = 0, inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in OURS:
            return level
        level, frame = level + 1, frame.f_back
    return max(1, level - 1)  # nobody outside: the outermost
