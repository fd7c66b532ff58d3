"""What an order of the components costs, and how good each prefix is.

    python -m benchmarks.quality.ordered
    python -m benchmarks.quality.ordered --data DIR --k 10 --prefixes 2 5

Squared error of `AutoEncoderTransformer(k, ordered=True)` on a quarter of the rows that
no fit has seen: of the whole code over that without an order, which is the same fit
unless the order had PCA kept; of the best and the worst prefix over PCA's with as many
components; and of some prefixes over an autoencoder fitted with so few. The sets are
those that defaults may be tuned on.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.common import (
    ensure_one_thread,
    load_note,
    markdown_table,
    median,
    number,
    publish,
    verdict,
)
from benchmarks._shared.data import SETS
from sk_autoencoder import AutoEncoderTransformer

CARRIED = ("digits", "breast_cancer", "diabetes", "adult")
WITH_DATA = (
    *CARRIED,
    "ad_cardio",
    "ad_fault",
    "california_housing",
    "diamonds",
    "eu_direct_lapse",
    "gunpoint",
    "pricing_game_2015",
)


MOST = 1.002
"""Target: error of the worst prefix over PCA's; up to there it counts as no worse."""


def squared_error(rows: np.ndarray, reconstruction: np.ndarray) -> float:
    """Sum over all cells."""
    return float(np.square(rows - reconstruction, dtype=np.float64).sum())


def measure(X: np.ndarray, k: int, prefixes: list[int]) -> dict[str, float]:
    """Fit with an order, without, and with fewer components; give the ratios."""
    train, test = train_test_split(X, random_state=0)

    def fitted(size: int, **params: object) -> AutoEncoderTransformer:
        reducer = AutoEncoderTransformer(size, random_state=0, device="cpu", **params)
        return reducer.fit(train)

    started = time.perf_counter()
    plain = fitted(k)
    without = time.perf_counter() - started
    started = time.perf_counter()
    ordered = fitted(k, ordered=True)
    seconds = time.perf_counter() - started
    codes = ordered.transform(test)
    errors, of_pca = [], []
    for j in range(1, k + 1):
        errors.append(squared_error(test, ordered.inverse_transform(codes[:, :j])))
        pca = PCA(j, random_state=0).fit(train)
        of_pca.append(squared_error(test, pca.inverse_transform(pca.transform(test))))
    over_pca = np.array(errors) / np.array(of_pca)
    results = {
        "pca": float(ordered.fell_back_to_pca_),
        "whole": errors[-1] / squared_error(test, plain.reconstruct(test)),
        "best": over_pca[:-1].min(),
        "worst": over_pca.max(),
        "seconds": seconds / without,
    }
    for j in prefixes:
        own = squared_error(test, fitted(j).reconstruct(test))
        results[str(j)] = errors[j - 1] / own
    return results


def main() -> None:
    """Print a table, a row a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--k", type=int, default=10, help="components (default 10)")
    add("--prefixes", type=int, nargs="+", default=[2, 5], help="default 2 5")
    add("--rows", type=int, default=6_000, help="at most, at random (default 6,000)")
    add("--data", type=Path, help="folder with the open sets' files")
    add("--write", type=Path, metavar="FILE", help="also write the table there")
    args = parser.parse_args()
    ensure_one_thread()
    names = WITH_DATA if args.data else CARRIED
    missing = [name for name in names if SETS[name].missing(args.data)]
    rows, worst, own = [], [], []
    for name in tqdm([name for name in names if name not in missing]):
        X = SETS[name].load(args.data)
        X = X[np.random.default_rng(0).permutation(len(X))[: args.rows]]
        if SETS[name].units[0] == "standard":
            X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
        k = min(args.k, X.shape[1] - 1)
        prefixes = [j for j in args.prefixes if j < k]
        results = measure(X, k, prefixes)
        worst.append(results["worst"])
        own += [results[str(j)] for j in prefixes]
        kept = "yes" if results["pca"] else "no"
        cells = [results["whole"], results["best"], results["worst"]]
        cells += [results.get(str(j), np.nan) for j in args.prefixes]
        cells.append(results["seconds"])
        rows.append((name, str(k), kept, *(number(float(cell)) for cell in cells)))
    header = (
        "set",
        "k",
        "PCA kept",
        "whole code over unordered",
        "best prefix over PCA",
        "worst prefix over PCA",
        *(f"first {j} over own fit" for j in args.prefixes),
        "seconds over unordered",
    )
    lines = [
        f"# Ordered components, one split, one thread ({load_note()})",
        markdown_table(header, rows),
        verdict("worst prefix of all over PCA's", max(worst), "<=", MOST, ".3f"),
        f"- {sum(w <= MOST for w in worst)} of {len(worst)} sets have no worse one",
        verdict("median over an own fit", median(own), "<=", 1.1, ".3f"),
    ]
    if missing:
        lines.append(f"- no file for: {', '.join(missing)}")
    publish("\n\n".join(lines), args.write)


if __name__ == "__main__":
    main()
