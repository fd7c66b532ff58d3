"""What every test starts from."""

import gc
import os
import sys

# Before scipy is imported anywhere: scikit-learn's array API check runs only then.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import pytest
from hypothesis import settings

# Property-based tests try the same examples in every run: what fails on one machine
# fails on all, and nothing is kept between runs. No time limit for an example, since
# the first one pays for imports, and a busy machine is not a failure.
settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, max_examples=50
)
settings.load_profile("same")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Make thousands of tests without a search for garbage among them.

    All of them stay: nor is there any use in looking through them later on.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Look for examples in docstrings of the package alone: tests have none."""
    return [module for module in (yield) if type(module) is pytest.Module]


def pytest_collection_modifyitems(items):
    """Refuse names of tests that hold an address: each process has others."""
    unstable = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"pass ids= to parametrize: {unstable[:3]}")


@pytest.fixture
def to_polars():
    """Make polars frames of pandas ones; polars itself needs pyarrow for that."""
    import pandas as pd
    import polars as pl

    def convert(frame):
        columns = []
        for name, values in frame.items():
            cells = [None if pd.isna(cell) else cell for cell in values.tolist()]
            is_category = isinstance(values.dtype, pd.CategoricalDtype)
            dtype = pl.Categorical if is_category else None
            columns.append(pl.Series(name, cells, dtype=dtype))
        return pl.DataFrame(columns)

    return convert


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what a test has drawn; twenty open figures would be a warning."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
