"""What trains the same network as our estimators: how people write it, and peers.

Every function takes a `Job` and returns `(seconds, loss)`, as `handwritten` does. Peers
that are not installed are named in `missing_peers`.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNet
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks._shared.handwritten import Extras, Job, Timing, swap, unexplained
from benchmarks._shared.timing import timed
from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder.networks import MLP

# ------------------------------------------------------------------------------- ours


def ours(
    job: Job,
    *,
    extras: Extras,
    init: str = "random",
    bottleneck: bool = True,
) -> Timing:
    """Train one of our estimators on the same network, without early stopping.

    From a random start it takes the same steps as the others; from PCA, its default, a
    step has a linear part and noise beside. Without a bottleneck it is the denoising
    estimator whose code are its hidden layers.
    """
    estimator = _estimator(job, extras, bottleneck=bottleneck).set_params(
        lr=job.lr,
        max_epochs=job.epochs,
        batch_size=job.batch_size,
        device=job.device,
        init=init,
        # The seed that the caller gave torch for the others.
        random_state=torch.initial_seed() % 2**32,
    )
    seconds, _ = timed(job.clock, estimator.fit, job.X)
    return seconds, unexplained(job.X, estimator.reconstruct)


def _estimator(job: Job, extras: Extras, *, bottleneck: bool) -> Any:
    settings: dict[str, Any] = {
        "optimizer": extras.optimizer or ("adamw" if extras.weight_decay else "adam"),
        "weight_decay": "auto" if extras.optimizer else extras.weight_decay,
        "early_stopping": False,
        "precision": "bf16" if extras.bf16 else "float32",
        "net_params": {
            "gradient_clip": extras.clip,
            "weight_average": 0.99 if extras.average else None,
        },
    }
    if bottleneck:
        return AutoEncoderTransformer(
            job.sizes[job.middle],
            hidden_layer_sizes=job.sizes[1 : job.middle],
            activation=job.activation,
            dropout=extras.dropout,
            **settings,
        )
    # The package's own network would be another: normalized, of numbers in two codings,
    # and with a head that tells swapped cells.
    network = MLP(job.sizes[1:-1], activation=job.activation, dropout=extras.dropout)
    return DenoisingAutoEncoderTransformer(
        features="hidden",
        network=network,
        numeric_scaling="standard",
        noise="swap",
        noise_level=extras.swap,
        **settings,
    )


# ---------------------------------------------------------------- what people write


class SwapNoise(nn.Module):
    """Swap noise in training, nothing in evaluation."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        """Corrupt a batch."""
        return swap(x, self.level) if self.training else x


MODULES: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}


def dense_stack(
    sizes: Sequence[int],
    activation: str,
    *,
    bottleneck: bool = True,
    swap_noise: float = 0.0,
) -> nn.Sequential:
    """Make the same stack as people write it."""
    layers: list[nn.Module] = [SwapNoise(swap_noise)] if swap_noise else []
    linear_after = {len(sizes) - 2}
    if bottleneck:
        linear_after.add(len(sizes) // 2 - 1)
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(n_in, n_out))
        if i not in linear_after:
            layers.append(MODULES[activation]())
    return nn.Sequential(*layers)


def stock_skorch(
    job: Job, *, bottleneck: bool = True, swap_noise: float = 0.0
) -> Timing:
    """Train with skorch as a user would write it, its defaults where nothing is said.

    Two of its defaults are changed so that it does the work the others do, both in
    its favor: no fifth of the rows is held out and scored, and nothing is printed.
    """

    def run() -> NeuralNet:
        return NeuralNet(
            dense_stack(
                job.sizes, job.activation, bottleneck=bottleneck, swap_noise=swap_noise
            ),
            criterion=nn.MSELoss,
            optimizer=torch.optim.Adam,
            lr=job.lr,
            batch_size=job.batch_size,
            max_epochs=job.epochs,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        ).fit(job.X, job.X)

    seconds, net = timed(job.clock, run)
    return seconds, unexplained(job.X, net.predict)


def tutorial_loop(job: Job) -> Timing:
    """Train as tutorials do: a shuffling DataLoader, Adam, `.item()` every step."""

    def run() -> nn.Module:
        net = dense_stack(job.sizes, job.activation)
        criterion = nn.MSELoss()
        optimizer = torch.optim.Adam(net.parameters(), lr=job.lr)
        dataset = TensorDataset(torch.from_numpy(job.X))
        loader = DataLoader(dataset, batch_size=job.batch_size, shuffle=True)
        for _ in range(job.epochs):
            running_loss = 0.0
            for (x,) in loader:
                optimizer.zero_grad()
                loss = criterion(net(x), x)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()
        return net

    seconds, net = timed(job.clock, run)
    return seconds, unexplained(job.X, functools.partial(_reconstruct, net))


def _reconstruct(net: nn.Module, rows: np.ndarray) -> np.ndarray:
    net.eval()
    with torch.inference_mode():
        return net(torch.from_numpy(rows)).numpy()


def mlp_regressor(job: Job) -> Timing:
    """Train scikit-learn's `MLPRegressor` on `(X, X)` for exactly `epochs` epochs.

    It puts its activation behind the bottleneck too, and knows fewer activations:
    for one it does not know it uses "relu".
    """
    known = {"identity", "logistic", "tanh", "relu"}
    model = MLPRegressor(
        hidden_layer_sizes=job.sizes[1:-1],
        activation=job.activation if job.activation in known else "relu",
        alpha=0.0,
        batch_size=job.batch_size,
        learning_rate_init=job.lr,
        max_iter=job.epochs,
        tol=0.0,
        n_iter_no_change=job.epochs + 1,
        random_state=torch.initial_seed() % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        seconds, _ = timed(job.clock, model.fit, job.X, job.X)
    return seconds, unexplained(job.X, model.predict)


# -------------------------------------------------------------------------- the peers


def pyod(job: Job) -> Timing:
    """Train pyod's `AutoEncoder`, its batch normalization, dropout and decay off.

    It has an activation behind the bottleneck too, leaves out the last batch of an
    epoch where that is smaller, and scores all rows at the end.
    """
    from pyod.models.auto_encoder import AutoEncoder

    detector = AutoEncoder(
        hidden_neuron_list=list(job.sizes[1 : job.middle + 1]),
        hidden_activation_name=job.activation,
        batch_norm=False,
        dropout_rate=0.0,
        preprocessing=False,
        lr=job.lr,
        optimizer_params={"weight_decay": 0.0},
        batch_size=job.batch_size,
        epoch_num=job.epochs,
        device="cpu",
        verbose=0,
    )
    seconds, _ = timed(job.clock, detector.fit, job.X)
    return seconds, unexplained(job.X, functools.partial(_reconstruct, detector.model))


def pythae(job: Job) -> Timing:
    """Train pythae's `AE`, its printing off; it copies the best model, and saves it."""
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    stack = dense_stack(job.sizes, job.activation)
    # Both halves have as many layers, and the encoder's ends with the bottleneck.
    middle = (len(stack) + 1) // 2

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = stack[:middle]

        def forward(self, x: Tensor) -> ModelOutput:
            return ModelOutput(embedding=self.layers(x))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = stack[middle:]

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    config = AEConfig(input_dim=(job.sizes[0],), latent_dim=job.sizes[job.middle])
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=job.batch_size,
            num_epochs=job.epochs,
            learning_rate=job.lr,
            no_cuda=True,
        )

        def run() -> None:
            model = AE(config, Encoder(), Decoder())
            TrainingPipeline(model=model, training_config=training)(job.X)

        logging.disable(logging.INFO)
        try:
            seconds, _ = timed(job.clock, run)
        finally:
            logging.disable(logging.NOTSET)
    return seconds, unexplained(job.X, functools.partial(_reconstruct, stack))


PEERS: dict[str, Callable[[Job], Timing]] = {"pyod": pyod, "pythae": pythae}


def installed_peers() -> dict[str, Callable[[Job], Timing]]:
    """Return the peers that can be run here, by the names of their packages."""
    missing = missing_peers()
    return {name: peer for name, peer in PEERS.items() if name not in missing}


def missing_peers() -> list[str]:
    """Name the peers that are not installed."""
    return [name for name in PEERS if importlib.util.find_spec(name) is None]
