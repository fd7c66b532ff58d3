"""Short fits give what they gave: to a thousandth of its size, on any machine."""

import json

import numpy as np
import pytest
from reference_fits import COMMAND, FILE, fits, results

REFERENCES = json.loads(FILE.read_text())


@pytest.mark.parametrize("name", fits())
def test_short_fits_give_what_they_gave(name):
    found = results(*fits()[name])
    assert found.keys() == REFERENCES[name].keys()
    for what, values in REFERENCES[name].items():
        expected, own = np.array(values), np.array(found[what])
        assert own.shape == expected.shape, what
        # Rounding differs from machine to machine, and grows with the steps.
        allowed = 1e-3 * np.sqrt(np.mean(expected**2))
        np.testing.assert_allclose(
            own,
            expected,
            rtol=0,
            atol=allowed,
            err_msg=f"{what} changed. If that is meant: {COMMAND}",
        )


def test_every_reference_is_compared():
    assert REFERENCES.keys() == fits().keys()
