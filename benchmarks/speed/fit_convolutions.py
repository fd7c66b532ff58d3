"""A convolutional autoencoder to fit: by a tight loop, and by our estimator.

`handwritten_conv` and `ours_conv` take what `handwritten` takes, and return what it
returns. The sizes they are given are for the table only: the network is the
mirrored one of `CHANNELS` and `HIDDEN`, as `ConvNet` builds it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks._shared.handwritten import (
    FUNCTIONS,
    Extras,
    Job,
    Stack,
    Timing,
    train,
    unexplained,
)
from benchmarks._shared.timing import timed
from sk_autoencoder import AutoEncoderTransformer
from sk_autoencoder.networks import ConvNet

SIDE, CHANNELS, HIDDEN, CODE = 28, (16, 32), (128,), 10
SIDES = (28, 14, 7)
LAST = CHANNELS[-1] * SIDES[-1] ** 2
ENCODER = (
    SIDE**2,
    *(channels * side**2 for channels, side in zip(CHANNELS, SIDES[1:], strict=True)),
    *HIDDEN,
)
SIZES = (*ENCODER, CODE, *ENCODER[::-1])
"""Numbers after each layer."""


class ConvStack(Stack):
    """Weights and forward pass of the network, free of `nn.Module`'s call overhead."""

    def __init__(self, X: Tensor, activation: str, extras: Extras) -> None:
        pairs = list(pairwise((1, *CHANNELS)))
        dense = list(pairwise((LAST, *HIDDEN, CODE)))
        modules = [
            *(nn.Conv2d(a, b, 3) for a, b in pairs),
            *(nn.Linear(a, b) for a, b in dense),
            *(nn.Linear(b, a) for a, b in dense[::-1]),
            *(nn.ConvTranspose2d(b, a, 3) for a, b in pairs[::-1]),
        ]
        self.layers = [(m.weight, m.bias) for m in modules]
        self.activation = FUNCTIONS[activation]
        self.parameters = [tensor for layer in self.layers for tensor in layer]
        self.flat, self.leaves = None, self.parameters
        self.set_extras(X, extras)

    def forward(self, x: Tensor, dropout: float = 0.0) -> Tensor:
        """Reconstruct prepared rows, in their units."""
        n, layers, act = len(CHANNELS), self.layers, self.activation
        h = x.view(-1, 1, SIDE, SIDE)
        for weight, bias in layers[:n]:
            h = act(F.conv2d(h, weight, bias, stride=2, padding=1))
        h = h.flatten(1)
        dense = layers[n:-n]
        for i, (weight, bias) in enumerate(dense):
            h = F.linear(h, weight, bias)
            if i != len(HIDDEN):
                h = act(h)
        h = h.view(-1, CHANNELS[-1], SIDES[-1], SIDES[-1])
        for i, (weight, bias) in enumerate(layers[-n:]):
            h = F.conv_transpose2d(
                h, weight, bias, stride=2, padding=1, output_padding=1
            )
            if i != n - 1:
                h = act(h)
        return h.flatten(1)


def handwritten_conv(job: Job, *, extras: Extras) -> Timing:
    """Train with a tight loop: autograd, a fused public optimizer, no waste between."""
    return train(job, lambda X: ConvStack(X, job.activation, extras), extras)


def ours_conv(job: Job, *, extras: Extras) -> Timing:
    """Train our estimator on the same network, without early stopping."""
    network = ConvNet(
        (1, SIDE, SIDE),
        channels=CHANNELS,
        kernel_size=3,
        hidden_layer_sizes=HIDDEN,
        upsampling="transposed",
        activation=job.activation,
    )
    estimator = AutoEncoderTransformer(
        CODE,
        network=network,
        init="random",
        optimizer="adamw" if extras.weight_decay else "adam",
        weight_decay=extras.weight_decay,
        lr=job.lr,
        max_epochs=job.epochs,
        batch_size=job.batch_size,
        early_stopping=False,
        device="cpu",
        # The seed that the caller gave torch for the others.
        random_state=torch.initial_seed() % 2**32,
        net_params={
            "gradient_clip": extras.clip,
            "weight_average": 0.99 if extras.average else None,
        },
    )
    seconds, _ = timed(job.clock, estimator.fit, job.X)
    return seconds, unexplained(job.X, estimator.reconstruct)
