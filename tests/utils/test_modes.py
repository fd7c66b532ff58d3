"""Training and evaluation mode."""

import pytest
from torch import nn

from sk_autoencoder._utils.torch_compat import set_training


class Frozen(nn.Sequential):
    """Evaluates in any mode, as a part of a user's own may."""

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)


@pytest.mark.parametrize("mode", [True, False])
def test_mode_is_set_as_torch_does(mode):
    def parts():
        frozen = Frozen(nn.Dropout(), nn.Linear(2, 2))
        module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(frozen, nn.ReLU()))
        module.nothing = None
        module.train(not mode)
        return module

    module, expected = parts(), parts().train(mode)
    set_training(module, mode)
    found = [part.training for part in module.modules()]
    assert found == [part.training for part in expected.modules()]
