"""Fits that are killed at random moments, and then called again.

    python tests/killed_fits.py NUMBER SEED

kills so many fits with SIGKILL, each at a random moment of its time, and compares what
the same call gives afterwards with what it gives without. They run in children that
are forked: not on Windows.
"""

import gc
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping, Freezer, GradientNormClipping, LRScheduler

from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    ExtraRowsTransformer,
    VAETransformer,
)
from sk_autoencoder._saving.state import capture
from sk_autoencoder.networks import ConvNet, RecurrentNet, UserNetwork

X = load_digits().data[:90, 20:36]
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "max_epochs": 6,
    "random_state": 0,
    "device": "cpu",
}
LEARNS: dict[str, Any] = {"init": "random", "lr": 0.01, **SMALL}
OTHER_NETWORK = {k: v for k, v in SMALL.items() if k != "hidden_layer_sizes"}


def table() -> pd.DataFrame:
    """Return samples of numbers with gaps and of categories."""
    frame = pd.DataFrame(X[:, 4:8], columns=list("abcd"))
    frame.loc[::7, "b"] = np.nan
    frame["level"] = pd.Categorical(np.array(list("xyz"))[(X[:, 9] // 6).astype(int)])
    return frame


def user_network() -> UserNetwork:
    """Return modules of a user's own."""
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU())
    return UserNetwork(
        torch.nn.Sequential(encoder, torch.nn.Linear(8, 3)), torch.nn.Linear(3, 16)
    )


def own_noise(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a corrupted batch."""
    return batch + 0.1 * torch.randn(batch.shape, generator=generator)


CALLBACKS: dict[str, list[Any]] = {
    "schedule": [LRScheduler("StepLR", step_size=2, gamma=0.5)],
    "stopping": [EarlyStopping(patience=2, load_best=True), GradientNormClipping(1.0)],
    "freezing": [Freezer("encoder.*", at=3)],
    "plateau": [LRScheduler("ReduceLROnPlateau", monitor="train_loss", patience=0)],
}
AutoEncoder, Denoiser = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
Detector, SEED = AutoEncoderOutlierDetector, {"random_state": 0}
# Each with its samples.
CASES: dict[str, tuple[Any, Any]] = {
    "from PCA": (AutoEncoder(3, **SMALL), X),
    "random start": (AutoEncoder(3, **LEARNS), X),
    # Some epochs, and the last, are worse than the best before.
    "unsteady": (AutoEncoder(3, **{**LEARNS, "lr": 0.4, "max_epochs": 8}), X),
    "dropout": (AutoEncoder(3, dropout=0.2, batch_norm=True, **LEARNS), X),
    "all rows": (AutoEncoder(3, early_stopping=False, **LEARNS), X.astype("f4")),
    "white": (Denoiser(3, whiten=True, noise="gaussian", **LEARNS), X),
    "own noise": (Denoiser(3, noise=own_noise, **LEARNS), X),
    "table": (Denoiser(3, allow_missing=True, **SMALL), table()),
    "hidden": (
        Denoiser(features="hidden", allow_missing=True, passthrough=True, **SMALL),
        table(),
    ),
    "imputer": (
        Denoiser(features="reconstruction", allow_missing=True, **SMALL),
        table(),
    ),
    "VAE": (VAETransformer(3, kl_warmup=3, prior="mixture", **LEARNS), X),
    "VAE from PCA": (VAETransformer(3, **SMALL), X),
    "ordered": (AutoEncoder(3, ordered=True, whiten=True, **SMALL), X),
    "search": (AutoEncoder(0.9, **{**SMALL, "max_epochs": 2}), X),
    "layers": (
        AutoEncoder(
            3, pretrain="layerwise", **{**LEARNS, "hidden_layer_sizes": (9, 7)}
        ),
        X,
    ),
    "images": (
        AutoEncoder(3, network=ConvNet((1, 4, 4), channels=(4,)), **OTHER_NETWORK),
        X.reshape(-1, 4, 4),
    ),
    "series": (
        AutoEncoder(3, network=RecurrentNet((4, 4)), **OTHER_NETWORK),
        X.reshape(-1, 4, 4),
    ),
    "user network": (AutoEncoder(3, network=user_network(), **OTHER_NETWORK), X),
    "SGD": (AutoEncoder(3, optimizer="sgd", lr_schedule="cosine", **SMALL), X),
    "RMSprop": (
        AutoEncoder(3, optimizer=partial(torch.optim.RMSprop, momentum=0.5), **SMALL),
        X,
    ),
    **{
        name: (AutoEncoder(3, callbacks=callbacks, **LEARNS), X)
        for name, callbacks in CALLBACKS.items()
    },
    "detector": (Detector(**SEED), X[:50, :5]),
    "detector of a table": (Detector(**SEED), table()[:30]),
    "folds": (Detector(Denoiser(3, **SMALL), novelty=True, cv=3, **SEED), X),
    "likelihood": (
        Detector(VAETransformer(3, **SMALL), measure="likelihood", **SEED),
        X,
    ),
    "pipeline": (
        Detector(
            make_pipeline(
                StandardScaler(),
                ExtraRowsTransformer(AutoEncoder(3, **SMALL), extra_rows=X[:9]),
            ),
            **SEED,
        ),
        X,
    ),
}


def fitted_state(estimator: Any, *, optimizer: bool = False) -> Any:
    """Return all that a fit gave, but for the seconds of its epochs.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    optimizer : bool
        Whether to include what optimizers remember, which a fit that is taken up lacks.
    """
    state = capture(estimator._fitted)
    nets = {}
    for name, net in state.nets.items():
        history = [{k: v for k, v in row.items() if k != "dur"} for row in net.history]
        nets[name] = {**vars(net), "history": history}
        if not optimizer:
            del nets[name]["optimizer"]
    layers = [{k: v for k, v in row.items() if k != "dur"} for row in state.pretrained]
    rest = (state.moments, state.prefix_errors, state.kl, state.prior, layers)
    return nets, rest


def gave(estimator: Any, samples: Any = X) -> Any:
    """Return all that a fit gave and what it makes of samples, as plain values.

    Parameters
    ----------
    estimator : BaseAutoEncoder or AutoEncoderOutlierDetector
    samples : {array-like, frame}
    """
    if not isinstance(estimator, Detector):
        return plain([fitted_state(estimator), estimator.transform(samples)])
    members = [fitted_state(member) for member in map(_inmost, estimator.estimators_)]
    own = (estimator.offset_, estimator._held_out, estimator._training_scores)
    return plain([members, own, estimator.score_samples(samples)])


def _inmost(estimator: Any) -> Any:
    """Return the autoencoder at the end of a pipeline, or in what wraps it."""
    while not hasattr(estimator, "net_"):
        inner = getattr(estimator, "transformer_", None)
        estimator = estimator[-1] if inner is None else inner
    return estimator


def plain(value: Any) -> Any:
    """Return a value with bytes for arrays: equal ones are equal to the bit."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return plain(vars(value))
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, pd.DataFrame):
        return plain(value.to_dict("list"))
    return repr(float(value)) if isinstance(value, float) else value


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two plain values differ."""
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs: Any = [(key, one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(i, *pair) for i, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [f"{where}: {str(one)[:60]} and {str(other)[:60]}"]
    return [d for key, a, b in pairs for d in differences(a, b, f"{where}.{key}")]


def _fit(name: str, path: Path, **params: Any) -> None:
    """Fit a case, and put what it gave into a file."""
    warnings.simplefilter("ignore")
    estimator, samples = CASES[name]
    fitted = estimator.set_params(**params).fit(samples)
    path.write_bytes(pickle.dumps(gave(fitted, samples)))


def _forked(function: Any) -> int:
    """Run a function in a child; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        function()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _finished(function: Any) -> None:
    """Run a function in a child to its end."""
    _, status = os.waitpid(_forked(function), 0)
    if status:
        raise SystemExit("a fit failed")


def main(number: int, seed: int) -> None:
    """Kill so many fits; print how many went on, and end with 1 if any is different."""
    # A child that looks for garbage copies all memory that it shares with this process.
    gc.disable()
    chosen, found, killed, left = random.Random(seed), {}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        out, kept = Path(folder) / "out", Path(folder) / "snapshots"
        for i in range(number):
            name = list(CASES)[(seed + i) % len(CASES)]
            fit = partial(
                _fit, name, out, checkpoint_dir=kept / str(i), checkpoint_interval=0
            )
            if name not in found:
                # Here, so that no child has to import anything more.
                start = time.perf_counter()
                fit()
                seconds = time.perf_counter() - start
                found[name] = pickle.loads(out.read_bytes()), seconds
                shutil.rmtree(kept / str(i))
            expected, seconds = found[name]
            child = _forked(fit)
            time.sleep(chosen.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            # A machine that is faster than before may have come to the end.
            killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
            left += any((kept / str(i)).glob("*.snapshot"))
            _finished(fit)
            other = differences(pickle.loads(out.read_bytes()), expected)
            if other:
                raise SystemExit(f"{name}, kill {i} of seed {seed}: {other}")
    sys.stdout.write(f"{killed} killed, {left} went on, {number} equal results\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
