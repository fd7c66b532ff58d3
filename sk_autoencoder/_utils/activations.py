"""The activations that have a name: one row for each, with all that is known of it.

To add one, add a row. Its name and its module are enough: the parameter's allowed
values follow, and torch computes it. With the other fields it is as fast as the rest.
docs/development/architecture.md says what else there may be to do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor, nn
from torch.nn import functional as F

from sk_autoencoder._utils import torch_compat


@dataclass(frozen=True)
class Activation:
    """One activation f.

    Attributes
    ----------
    name : str
        As users pass it; scikit-learn's where it has one.
    module : type of torch.nn.Module
    settings : tuple of (str, value)
        Arguments of the module with which this row is right: torch's defaults.
    range : (float, float)
        No value of f lies outside.
    in_place : callable or None
        Writes f(z) over z.
    out : callable or None
        Writes f(z), its first argument z, to the second one. It is there where the
        derivative is computed from z; else that is computed from f(z).
    backward : callable or None
        Multiplies the first argument, a gradient by f(z), by the derivative, in place.
        The second is z, or f(z), and may be written over.
    numpy : callable or None
        Returns f of an array of float32 or float64, in its dtype, perhaps as a view.
    """

    name: str
    module: type[nn.Module]
    settings: tuple[tuple[str, object], ...] = ()
    range: tuple[float, float] = (-math.inf, math.inf)
    in_place: Callable[[Tensor], object] | None = None
    out: Callable[[Tensor, Tensor], object] | None = None
    backward: Callable[[Tensor, Tensor], object] | None = None
    numpy: Callable[[np.ndarray], np.ndarray] | None = None


# torch's default.
LEAKY_SLOPE = 0.01


def _relu_backward(gradient: Tensor, value: Tensor) -> None:
    # 0 or 1: two methods are faster than one of torch's kernels.
    gradient.mul_(value.sign_())


def _gelu(z: np.ndarray) -> np.ndarray:
    y: np.ndarray = special.erf(z * z.dtype.type(0.5**0.5))
    y += 1
    y *= z
    y *= 0.5
    return y


def _silu(z: np.ndarray) -> np.ndarray:
    y: np.ndarray = special.expit(z)
    y *= z
    return y


IDENTITY = Activation(
    "identity",
    nn.Identity,
    in_place=lambda z: z,
    backward=lambda _gradient, _value: None,
    numpy=lambda z: z,
)

ACTIVATIONS = {
    row.name: row
    for row in [
        IDENTITY,
        Activation(
            "logistic",
            nn.Sigmoid,
            range=(0.0, 1.0),
            in_place=torch.sigmoid_,
            backward=torch_compat.sigmoid_backward_,
            numpy=special.expit,
        ),
        Activation(
            "tanh",
            nn.Tanh,
            range=(-1.0, 1.0),
            in_place=torch.tanh_,
            backward=torch_compat.tanh_backward_,
            numpy=np.tanh,
        ),
        Activation(
            "relu",
            nn.ReLU,
            range=(0.0, math.inf),
            in_place=torch.relu_,
            backward=_relu_backward,
            numpy=lambda z: np.maximum(z, 0),
        ),
        Activation(
            "gelu",
            nn.GELU,
            settings=(("approximate", "none"),),
            # The least value, near z = -0.75, is -0.16997.
            range=(-0.17, math.inf),
            in_place=torch_compat.gelu_,
            out=torch_compat.gelu_out,
            backward=torch_compat.gelu_backward_,
            numpy=_gelu,
        ),
        Activation(
            "elu",
            nn.ELU,
            settings=(("alpha", 1.0),),
            range=(-1.0, math.inf),
            in_place=F.elu_,
            backward=torch_compat.elu_backward_,
            numpy=lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        ),
        Activation(
            "silu",
            nn.SiLU,
            # The least value, near z = -1.28, is -0.27846.
            range=(-0.2785, math.inf),
            in_place=torch_compat.silu_,
            out=torch_compat.silu_out,
            backward=torch_compat.silu_backward_,
            numpy=_silu,
        ),
        Activation(
            "leaky_relu",
            nn.LeakyReLU,
            settings=(("negative_slope", LEAKY_SLOPE),),
            in_place=F.leaky_relu_,
            # The sign of f(z) is that of z.
            backward=lambda gradient, value: torch_compat.leaky_relu_backward_(
                gradient, value, LEAKY_SLOPE
            ),
            numpy=lambda z: np.maximum(z, z * z.dtype.type(LEAKY_SLOPE)),
        ),
    ]
}
BY_MODULE = {row.module: row for row in ACTIVATIONS.values()}


def activation_of(part: nn.Module) -> Activation | None:
    """Return the row of a module, None where it is another or has other settings."""
    row = BY_MODULE.get(type(part))
    if row is not None:
        for name, value in row.settings:
            if getattr(part, name) != value:
                return None
    return row
