"""The weights of a module: as one vector, and averaged over the steps."""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._utils.torch_compat import foreach_copy_, foreach_lerp_


class FlatParameters:
    """All weights of a module as views of one vector, all gradients of another.

    The optimizer, the norm of the gradient and the average then each handle one
    tensor instead of two a layer: for small networks that is a fifth of a step. Only
    for optimizers that treat every weight alike.

    Parameters
    ----------
    module : torch.nn.Module
        On its device. Its parameters stay what they are to everybody else.
    names : collection of str or None
        Of the parameters that are meant; None is all.

    Attributes
    ----------
    vector : torch.nn.Parameter
        What the optimizer is given. Its `grad` is never None in a run.
    gradient : Tensor
        That gradient.
    parameters : list of torch.nn.Parameter
        The module's when this was made.
    """

    def __init__(self, module: nn.Module, names: Collection[str] | None = None) -> None:
        self.parameters = [
            parameter
            for name, parameter in module.named_parameters()
            if names is None or name in names
        ]
        self._shapes = [p.shape for p in self.parameters]
        vector = torch.cat([p.detach().ravel() for p in self.parameters])
        self.vector = nn.Parameter(vector)
        self.gradient = torch.zeros_like(vector)
        for parameter, weight in zip(self.parameters, self.split(vector), strict=True):
            parameter.data = weight
        self.attach()

    def attach(self) -> None:
        """Make the gradients views again: copies lose them, and `zero_grad` may."""
        self.vector.grad = self.gradient
        parts = self.split(self.gradient)
        for parameter, gradient in zip(self.parameters, parts, strict=True):
            parameter.grad = gradient

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether all weights are trained, of one dtype and on one device."""
        kinds = {(p.dtype, p.device, p.requires_grad) for p in module.parameters()}
        return len(kinds) == 1 and next(iter(kinds))[2]

    def clip(self, norm: float) -> None:
        """Scale the gradient down to a norm; the CPU needs no pass where it is less."""
        gradient = self.gradient
        if gradient.device.type != "cpu":
            found = torch.linalg.vector_norm(gradient)
            gradient.mul_((norm / (found + 1e-6)).clamp(max=1.0))
            return
        # `vector_norm` takes twice as long.
        factor = norm / (math.sqrt(torch.dot(gradient, gradient).item()) + 1e-6)
        if not factor >= 1:
            gradient.mul_(factor)

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return a vector as views in the shapes of the module's weights."""
        parts = torch.split(vector, [shape.numel() for shape in self._shapes])
        return [
            part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)
        ]


class EMA:
    """Exponential moving average of the weights, with a warm start.

    After step t the average moves by 1 - min(decay, t / (t + 10)) toward the
    weights: early on it forgets its random start quickly.

    Parameters
    ----------
    module : torch.nn.Module
    decay : float or None
        None averages nothing; every method is then free.
    flat : FlatParameters or None
        Of the module, where it has them.
    lead : int
        The 10 above: at first the average is a `lead`-th of the steps behind.

    References
    ----------
    Polyak and Juditsky (1992), Acceleration of stochastic approximation by
    averaging.
    """

    def __init__(
        self,
        module: nn.Module,
        decay: float | None,
        flat: FlatParameters | None = None,
        lead: int = 10,
    ) -> None:
        self.decay, self.lead = decay, lead
        self.steps = 0
        self._parameters = list(module.parameters())
        self._weights = (
            [flat.vector.data] if flat else [p.data for p in self._parameters]
        )
        self._average = [w.clone() for w in self._weights] if decay is not None else []
        self._flat = flat
        # None while the two are exchanged: an interrupt may come in between.
        self._applied: bool | None = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a copy gets from its own module; see `tie`."""
        return {**self.__dict__, "_parameters": [], "_flat": None}

    def names_in(self, module: nn.Module) -> list[str]:
        """Return the names of the weights that are averaged, in their module."""
        own = set(map(id, self._parameters))
        return [name for name, p in module.named_parameters() if id(p) in own]

    def tie(
        self, module: nn.Module, names: Collection[str], flat: FlatParameters | None
    ) -> None:
        """Average the weights of another module: a copy comes with one of its own.

        Parameters
        ----------
        module : torch.nn.Module
            A copy of the one before, with the same weights in it.
        names : collection of str
            From `names_in`.
        flat : FlatParameters or None
            Of the same weights.
        """
        raw, self._flat = self._weights, flat
        named = dict(module.named_parameters())
        self._parameters = [named[name] for name in names]
        own = [flat.vector.data] if flat else [p.data for p in self._parameters]
        self._weights = own
        if self.decay is None:
            return
        device = own[0].device
        self._average = [average.to(device) for average in self._average]
        if flat is None:
            # Both lie apart from the module, which holds one or the other.
            self._weights = [weight.to(device) for weight in raw]
        else:
            foreach_copy_(own, raw)
        self._put(
            self._average if self._applied else self._weights,
            applied=bool(self._applied),
        )

    def set_decay(self, decay: float | None) -> None:
        """Average by another decay from here on, starting from what has been kept."""
        if decay == self.decay:
            return
        self.unapply()
        if decay is None:
            foreach_copy_(self._weights, self._average)
            self._average = []
        elif self.decay is None:
            self._average, self.steps = [w.clone() for w in self._weights], 0
        self.decay = decay

    def update(self) -> None:
        """Move the average after a step of the optimizer."""
        if self.decay is None:
            return
        self.steps += 1
        keep = min(self.decay, self.steps / (self.steps + self.lead))
        if self._flat:
            self._average[0].lerp_(self._weights[0], 1 - keep)
        else:
            foreach_lerp_(self._average, self._weights, 1 - keep)

    def apply(self) -> None:
        """Put the average into the module; the raw weights are kept aside."""
        if self.decay is not None and self._applied is not True:
            self._put(self._average, applied=True)

    def unapply(self) -> None:
        """Put the raw weights back into the module, to train on."""
        if self.decay is not None and self._applied is not False:
            self._put(self._weights, applied=False)

    def _put(self, tensors: list[Tensor], *, applied: bool) -> None:
        """Put weights into the module; can be run again if it was interrupted."""
        if self._flat:
            tensors = self._flat.split(tensors[0])
        self._applied = None
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.data = tensor
        self._applied = applied

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the module for the time of a `with` block."""
        self.apply()
        try:
            yield
        finally:
            self.unapply()

    def restart_from(self, state: dict[str, Tensor], module: nn.Module) -> None:
        """Load a state as both the weights and their average."""
        self.unapply()
        module.load_state_dict(state)
        if self.decay is not None:
            foreach_copy_(self._average, self._weights)

    def weights_in_module(self) -> list[Tensor]:
        """Return the weights that the module has now, in few tensors."""
        return self._average if self._applied else self._weights

    def raw_weights(self) -> list[Tensor]:
        """Weights as the optimizer left them, whichever are in the module now."""
        return self._weights if self.decay is not None else []

    def tensors(self) -> list[Tensor]:
        """Return the tensors of the weights and of their average."""
        return [*self._weights, *self._average]

    def load_raw_weights(self, weights: list[Tensor], steps: int) -> None:
        """Take up an average that the module has loaded, and raw weights beside it.

        Without any, the average is what training goes on from.
        """
        self.steps = steps
        if self.decay is not None:
            foreach_copy_(self._average, self._weights)
            if weights:
                foreach_copy_(self._weights, weights)
            self._applied = False
            self.apply()
