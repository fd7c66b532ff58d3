"""What every test starts from."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what a test has drawn; twenty open figures would be a warning."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
