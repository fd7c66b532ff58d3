"""What every test starts from."""

import os
import sys

# Before scipy is imported anywhere: scikit-learn's array API check runs only then.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what a test has drawn; twenty open figures would be a warning."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
