"""A net as it was, to be put back where training fails."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._training.net import AutoEncoderNet
from sk_autoencoder._utils.torch_compat import MODULE_DICTS

# Dicts of a module that training may change in place. Those of hooks are left alone:
# the handles by which users remove a hook hold the dict itself.
CONTENTS = (*MODULE_DICTS, "exact")


class NetSnapshot:
    """All that a run may change of a net and its module, at the time of a call.

    The net is put back in place: its module, weights and optimizer stay the objects
    that a user may hold. Callbacks are the user's own, and keep what they have seen.

    Parameters
    ----------
    net : AutoEncoderNet
        Between two runs.
    """

    def __init__(self, net: AutoEncoderNet) -> None:
        self._net = net
        self._attributes = dict(net.__dict__)
        self._average = dict(vars(net.average_))
        self._rows = [*net.history[:-1], *(copy.deepcopy(net.history[-1:]))]
        optimizer = net.raw_optimizer_
        self._optimizer = optimizer
        # With what stands in for its state: loading replaces the object.
        self._stepping = dict(vars(optimizer))
        self._state = _copied(dict(optimizer.state))
        self._groups = [_copied(dict(group)) for group in optimizer.param_groups]
        self._generators = [(g, g.get_state()) for g in (net.order_, net.noise_)]
        self._parts = [
            (part, dict(part.__dict__), _contents(part))
            for part in net.module_.modules()
        ]
        module, average = net.module_, net.average_.tensors()
        self._weights = [(p, p.data, p.requires_grad) for p in module.parameters()]
        # Weights that lie in the vectors of the average are copied with these.
        held = {_memory(tensor) for tensor in average}
        others = [*module.buffers(), *(data for _, data, _ in self._weights)]
        others = [tensor for tensor in others if _memory(tensor) not in held]
        self._values = [(tensor, tensor.clone()) for tensor in [*average, *others]]

    def restore(self) -> None:
        """Put everything back; can be run again if it was interrupted."""
        net = self._net
        net.__dict__ = dict(self._attributes)
        net.average_.__dict__.update(self._average)
        net.history[:] = self._rows
        for part, attributes, contents in self._parts:
            part.__dict__.update(attributes)
            for name in part.__dict__.keys() - attributes.keys():
                del part.__dict__[name]
            for name, saved in contents.items():
                own = part.__dict__[name]
                own.clear()
                own.update(saved)
        with torch.no_grad():
            for parameter, data, requires_grad in self._weights:
                parameter.data = data
                parameter.requires_grad_(requires_grad)
            for tensor, value in self._values:
                tensor.copy_(value)
        vars(self._optimizer).update(self._stepping)
        self._optimizer.state.clear()
        self._optimizer.state.update(_copied(self._state))
        groups = zip(self._optimizer.param_groups, self._groups, strict=True)
        for group, settings in groups:
            group.clear()
            group.update(_copied(settings))
        for generator, state in self._generators:
            generator.set_state(state)


def _contents(part: nn.Module) -> dict[str, dict[str, Any]]:
    """Copy the dicts of a module that hold its tensors and parts."""
    found = part.__dict__
    return {name: dict(found[name]) for name in CONTENTS if name in found}


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _copied(value: Any) -> Any:
    """Copy the tensors in nested dicts and lists, but for the weights themselves."""
    if isinstance(value, nn.Parameter):
        return value
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value
