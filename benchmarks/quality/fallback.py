"""How often a fit falls back to PCA wrongly, either way.

    python -m benchmarks.quality.fallback
    python -m benchmarks.quality.fallback --data DIR --seeds 20

Squared error of `AutoEncoderTransformer` over PCA's with as many components, on samples
that no fit has seen, over seeds. Where PCA is optimal (normal data, wine) a fit should
stay PCA, or lose nothing. Where a network is far better it should not, even if samples
of the validation set are far out: breast cancer, and with `--data` a table of policies
as one-hots.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, pca_error, split_missing, squared_error
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    missing_files,
    number,
    publish,
)
from benchmarks._shared.timing import load_note
from sk_autoencoder import AutoEncoderTransformer

LAPSE = "eu_direct_lapse"
WORSE, BETTER = 1.01, 0.99
"""Errors over PCA's beyond which a fit lost or gained."""

Split = tuple[np.ndarray, np.ndarray]


def scaled(train: np.ndarray, test: np.ndarray) -> Split:
    """Return samples in the standard deviations of those that are fitted."""
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def normal(n_rows: int, n_columns: int) -> Callable[[int], Split]:
    """Return a function from a seed to correlated normal data."""

    def split(seed: int) -> Split:
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_rows + 2000, n_columns))
        X = X @ rng.normal(size=(n_columns, n_columns))
        return X[:n_rows], X[n_rows:]

    return split


def wine(seed: int) -> Split:
    """Return one split of wine, standardized: only fits have seeds."""
    X = load_wine().data
    return scaled(*train_test_split(X, train_size=0.7, random_state=1))


def breast_cancer(seed: int) -> Split:
    """Return one split of breast cancer, standardized: only fits have seeds."""
    X = load_breast_cancer().data
    return scaled(*train_test_split(X, test_size=0.3, random_state=0))


def policies(folder: Path) -> Callable[[int], Split]:
    """Return a function that gives 2,000 policies to fit and 2,000 others."""
    X = SETS[LAPSE].load(folder)
    X = X[np.random.RandomState(1).permutation(len(X))[:4000]]
    return lambda seed: scaled(X[:2000], X[2000:])


def measure(split: Callable[[int], Split], k: int, seeds: int) -> Iterator[float]:
    """Fit with each seed; yield the error over PCA's, exactly 1 for PCA itself."""
    for seed in range(seeds):
        train, test = split(seed)
        reducer = AutoEncoderTransformer(k, random_state=seed, device="cpu").fit(train)
        if reducer.fell_back_to_pca_:
            yield 1.0
        else:
            error = squared_error(test, reducer.reconstruct(test))
            yield error / pca_error(train, test, k)


def main() -> None:
    """Print a table, a row a case."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    parser.add_argument(
        "--seeds", type=int, default=10, help="fits a case (default 10)"
    )
    args = parse(parser)
    cases: list[tuple[str, int, Callable[[int], Split]]] = [
        ("normal, 500 x 10", 3, normal(500, 10)),
        ("normal, 100 x 8", 3, normal(100, 8)),
        ("wine", 5, wine),
        *((f"breast cancer, k = {k}", k, breast_cancer) for k in (2, 4, 8)),
    ]
    names, missing = split_missing((LAPSE,) if args.data else (), args.data)
    cases += [("policies", 10, policies(args.data)) for _ in names]
    rows = []
    for name, k, split in tqdm(cases):
        ratios = list(measure(split, k, args.seeds))
        rows.append(
            (
                name,
                str(sum(ratio == 1 for ratio in ratios)),
                str(sum(ratio > WORSE for ratio in ratios)),
                str(sum(ratio < BETTER for ratio in ratios)),
                number(geometric_mean(ratios)),
                number(max(ratios)),
            )
        )
    publish(
        args.write,
        f"# Falling back to PCA, {args.seeds} fits a case, one thread ({load_note()})",
        markdown_table(
            ("case", "stays PCA", "worse", "better", "geometric mean", "worst"), rows
        ),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
