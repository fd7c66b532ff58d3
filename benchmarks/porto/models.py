"""Fits the six models of `porto.run`, and lets them predict."""

from __future__ import annotations

import importlib.util
import inspect
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from skorch import NeuralNetBinaryClassifier
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.porto.recipes import Recipe, Setup
from benchmarks.porto.resume import (
    checkpoint,
    epochs_done,
    go_on,
    load_arrays,
    save_arrays,
    seconds,
)
from benchmarks.porto.tables import Task
from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder.networks import MLP

HAS_LIGHTGBM = importlib.util.find_spec("lightgbm") is not None
HAS_GROUPS = (
    "feature_groups" in inspect.signature(DenoisingAutoEncoderTransformer).parameters
)

FOLDS = 5
BATCH = 128
ROUNDS = 1400
PREDICT_BATCH = 4096


@dataclass(frozen=True)
class Predictions:
    """What a model says of all rows.

    Parameters
    ----------
    train : ndarray of shape (n_train,)
        Of each training row, by the fold that had not seen it.
    test : ndarray of shape (n_test,)
        Mean over the folds.
    autoencoder, supervised : float
        Seconds.
    """

    train: np.ndarray
    test: np.ndarray
    autoencoder: float
    supervised: float


# --------------------------------------------------------------------- autoencoders


def with_groups(parameters: dict[str, Any], groups: list[list[int]]) -> dict[str, Any]:
    """Add the column groups, where the estimator knows them."""
    return {**parameters, "feature_groups": groups} if HAS_GROUPS else parameters


def build_autoencoder(
    recipe: Recipe, setup: Setup, groups: list[list[int]], **others: Any
) -> DenoisingAutoEncoderTransformer:
    """Build the autoencoder of a recipe, not fitted."""
    parameters: dict[str, Any] = {
        "noise": "swap",
        "noise_level": recipe.noise,
        "optimizer": "sgd",
        "lr": setup.rate(recipe.lr),
        "lr_schedule": setup.decay(recipe.epochs),
        "batch_size": BATCH,
        "max_epochs": setup.epochs(recipe.epochs),
        "early_stopping": False,
        "weight_decay": 0.0,
        "net_params": {"weight_average": None, "gradient_clip": None},
        "numeric_scaling": setup.units,
        **others,
    }
    if recipe.bottleneck:
        parameters |= {
            "activation": "relu",
            "n_components": setup.width(3000),
            "hidden_layer_sizes": (setup.width(15_000),) * 2,
            "init": "random",
        }
    else:
        parameters |= {
            "features": "hidden",
            # Without the normalization and the second head of the estimator's own.
            "network": MLP((setup.width(1500),) * 3, activation="relu"),
        }
    if recipe.grouped:
        parameters = with_groups(parameters, groups)
    return DenoisingAutoEncoderTransformer(**parameters)


def fit_autoencoder(
    recipe: Recipe, setup: Setup, task: Task, folder: Path
) -> DenoisingAutoEncoderTransformer:
    """Fit an autoencoder on all rows, from the newest checkpoint on."""
    folder.mkdir(parents=True, exist_ok=True)
    # Another seed after each kill, lest the first epochs' batches come again.
    autoencoder = build_autoencoder(
        recipe,
        setup,
        task.groups,
        max_epochs=0,
        callbacks=[("checkpoint", checkpoint(folder))],
        random_state=setup.seed + epochs_done(folder),
    )
    with warnings.catch_warnings():
        # The recipe's bottleneck is wider than its rows.
        warnings.filterwarnings("ignore", "expected n_components of at most")
        autoencoder.fit(task.rows)  # no epoch: the net is built, and takes no step
        net = autoencoder.net_
        go_on(net, folder)
        left = setup.epochs(recipe.epochs) - len(net.history)
        autoencoder.set_params(warm_start=True, max_epochs=left).fit(task.rows)
    return autoencoder


def make_features(
    recipe: Recipe, setup: Setup, task: Task, folder: Path
) -> tuple[np.ndarray, float]:
    """Write the features of all rows to disk, and map them; also return seconds."""
    path, times = folder / "features.npy", folder / "autoencoder.npz"
    found = load_arrays(times)
    if found is None or not path.is_file():
        autoencoder = fit_autoencoder(recipe, setup, task, folder / "autoencoder")
        part = folder / "features.part"
        shape = (len(task.rows), autoencoder.n_components_)
        features = np.lib.format.open_memmap(
            part, mode="w+", dtype=setup.dtype, shape=shape
        )
        autoencoder.transform(task.rows, out=features)
        features.flush()
        del features
        os.replace(part, path)
        save_arrays(times, seconds=seconds(autoencoder.net_))
        found = load_arrays(times)
    assert found is not None
    return np.load(path, mmap_mode="r"), float(found["seconds"])


# ------------------------------------------------------------------ supervised nets


class Rows(torch.utils.data.Dataset):
    """Some of the rows of a memory map, with their targets."""

    def __init__(self, X: np.ndarray, y: np.ndarray, indices: np.ndarray) -> None:
        self.X, self.y, self.indices = X, y, indices

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Read rows, as float32."""
        where = self.indices[rows]
        X = torch.from_numpy(self.X[where].astype(np.float32))
        return X, torch.from_numpy(self.y[where].astype(np.float32))


class RowBatches:
    """Batches of `Rows`, read at once where a DataLoader reads row by row."""

    def __init__(self, dataset: Rows, batch_size: int, shuffle: bool = False) -> None:
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.dataset)
        order = torch.randperm(n).numpy() if self.shuffle else np.arange(n)
        for start in range(0, n, self.batch_size):
            # In the order in which they lie on disk.
            yield self.dataset.take(np.sort(order[start : start + self.batch_size]))


class Dense(nn.Module):
    """Input, two layers of ReLU, a logit: with dropout before each.

    **Shape**: (n, n_inputs) to (n, 1).
    """

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(n_inputs, width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of a claim."""
        return self.layers(x)


def fit_net(
    recipe: Recipe, setup: Setup, rows: Rows, folder: Path
) -> NeuralNetBinaryClassifier:
    """Train the supervised net, from the newest checkpoint on."""
    folder.mkdir(parents=True, exist_ok=True)
    done, decay = epochs_done(folder), setup.decay(recipe.net_epochs)
    epochs = setup.epochs(recipe.net_epochs)
    net = NeuralNetBinaryClassifier(
        Dense,
        module__n_inputs=rows.X.shape[1],
        module__width=setup.width(1000),
        optimizer=torch.optim.SGD,
        optimizer__weight_decay=0.05,
        lr=setup.rate(1e-4),
        max_epochs=epochs - done,
        batch_size=BATCH,
        iterator_train=RowBatches,
        iterator_train__shuffle=True,
        iterator_valid=RowBatches,
        iterator_valid__batch_size=PREDICT_BATCH,
        train_split=None,
        callbacks=[
            ("rate", LRScheduler(LambdaLR, lr_lambda=lambda epoch: decay**epoch)),
            ("checkpoint", checkpoint(folder)),
        ],
        callbacks__print_log=None,
        callbacks__valid_acc=None,
        device="cuda" if torch.cuda.is_available() else "cpu",
        verbose=0,
    )
    # Initial weights and dropout come from torch's global generator.
    with torch.random.fork_rng():
        torch.manual_seed(setup.seed + done)
        net.initialize()
        go_on(net, folder)
        # The schedule counts the epochs of the history, from this rate.
        net.optimizer_.param_groups[0]["initial_lr"] = net.lr
        net.partial_fit(rows, None)
    if len(net.history) < epochs:  # skorch ends a run quietly on Ctrl-C
        raise KeyboardInterrupt
    return net


# ------------------------------------------------------------------------- boosting


def build_boosting(setup: Setup) -> Any:
    """Build model 1: LightGBM as the winner set it, or scikit-learn's nearest."""
    rounds = round(ROUNDS * max(setup.scale, 0.1))
    lr, leaf = 0.01 * ROUNDS / rounds, max(5, round(1500 * setup.scale))
    if HAS_LIGHTGBM:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(
            n_estimators=rounds,
            learning_rate=lr,
            num_leaves=31,
            min_child_samples=leaf,
            colsample_bytree=0.7,
            subsample=0.7,
            subsample_freq=1,
            reg_alpha=1.0,
            reg_lambda=1.0,
            random_state=setup.seed,
            verbose=-1,
        )
    # It has neither bagging nor an L1 penalty.
    return HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=lr,
        max_leaf_nodes=31,
        min_samples_leaf=leaf,
        max_features=0.7,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=setup.seed,
    )


# -------------------------------------------------------------------------- a model


def folds_of(task: Task, setup: Setup) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut the training rows, the same way for every model."""
    cut = StratifiedKFold(FOLDS, shuffle=True, random_state=setup.seed)
    return list(cut.split(task.y_train, task.y_train))


def run_model(recipe: Recipe, setup: Setup, task: Task, folder: Path) -> Predictions:
    """Fit a model and let it predict, but for what lies in the folder already."""
    folder.mkdir(parents=True, exist_ok=True)
    n_train = len(task.y_train)
    test = np.arange(n_train, len(task.rows))
    paths = [folder / f"fold-{i}.npz" for i in range(FOLDS)]
    features: np.ndarray = task.rows
    spent = 0.0
    if recipe.epochs:
        if all(path.is_file() for path in paths):
            times = load_arrays(folder / "autoencoder.npz")
            spent = float(times["seconds"]) if times else float("nan")
        else:
            features, spent = make_features(recipe, setup, task, folder)
    out_of_fold, of_test, supervised = np.empty(n_train), 0.0, 0.0
    for i, (fit, held_out) in enumerate(folds_of(task, setup)):
        found = load_arrays(paths[i])
        if found is None:
            asked = np.concatenate([held_out, test])
            if recipe.epochs:
                y = np.concatenate([task.y_train, np.zeros(len(test))])
                net = fit_net(
                    recipe, setup, Rows(features, y, fit), folder / f"fold-{i}"
                )
                score = net.predict_proba(Rows(features, y, asked))[:, 1]
                took = seconds(net)
            else:
                start = time.perf_counter()
                model = build_boosting(setup).fit(features[fit], task.y_train[fit])
                score = model.predict_proba(features[asked])[:, 1]
                took = time.perf_counter() - start
            save_arrays(paths[i], score=score, seconds=took)
            found = {"score": score, "seconds": np.array(took)}
        out_of_fold[held_out] = found["score"][: len(held_out)]
        of_test = of_test + found["score"][len(held_out) :] / FOLDS
        supervised += float(found["seconds"])
    # Gigabytes at full scale, and not needed again.
    del features
    (folder / "features.npy").unlink(missing_ok=True)
    return Predictions(out_of_fold, np.asarray(of_test), spent, supervised)
