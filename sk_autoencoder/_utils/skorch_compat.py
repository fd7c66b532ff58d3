"""What skorch's public interface does not offer.

One door, so that a release of skorch that renames one of its private names breaks here.
Tried on skorch 1.1 and 1.4. The net also overrides `_zero_grad_optimizer`, which
skorch calls before each of its steps: without it the gradients in one vector would be
cleared one by one. It has the same name in both versions.
"""

from typing import Any


def register_optimizer(net: Any, optimizer: Any) -> None:
    """Register an object as a net's optimizer that is none of torch's class.

    skorch registers what is assigned to a net if it is one of torch's optimizers: that
    is what it pickles, moves between devices and lists in `get_params`.

    Parameters
    ----------
    net : NeuralNet
    optimizer : object
    """
    if "optimizer" not in net._optimizers:
        net._register_attribute("optimizer_", optimizer)
