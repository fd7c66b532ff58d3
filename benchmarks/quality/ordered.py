"""What an order of the components costs, and how good each prefix is.

    python -m benchmarks.quality.ordered
    python -m benchmarks.quality.ordered --data DIR --k 10 --prefixes 2 5

Squared error of `AutoEncoderTransformer(k, ordered=True)` on a quarter of the rows that
no fit has seen: of the whole code over that without an order, which is the same fit;
of the best and the worst prefix over PCA's with as many components; and of some
prefixes over an autoencoder fitted with so few. *Overstated* is by how much the first
values of `explained_variance_ratio_` sum to more than the same prefix explains of the
training rows, at most and on average. Seconds are of the processor. The sets are those
that defaults may be tuned on.
"""

import time

import numpy as np
from scipy.stats import gmean
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import (
    SETS,
    pca_error,
    some_rows,
    split_missing,
    squared_error,
)
from benchmarks._shared.report import (
    markdown_table,
    median,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.timing import load_note, timed
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


def measure(X: np.ndarray, k: int, prefixes: list[int]) -> dict[str, float]:
    """Fit with an order, without, and with fewer components; give the ratios."""
    train, test = train_test_split(X, random_state=0)

    def fitted(size: int, **params: object) -> AutoEncoderTransformer:
        reducer = AutoEncoderTransformer(size, random_state=0, device="cpu", **params)
        return reducer.fit(train)

    without, plain = timed(time.process_time, fitted, k)
    seconds, ordered = timed(time.process_time, lambda: fitted(k, ordered=True))
    codes = ordered.transform(test)
    lengths = range(1, k + 1)
    errors = [
        squared_error(test, ordered.inverse_transform(codes[:, :j])) for j in lengths
    ]
    of_pca = [pca_error(train, test, j) for j in lengths]
    over_pca = np.array(errors) / np.array(of_pca)
    results = {
        "pca": float(ordered.fell_back_to_pca_),
        "whole": errors[-1] / squared_error(test, plain.reconstruct(test)),
        "best": over_pca[:-1].min(),
        "worst": over_pca[:-1].max(),
        "seconds": seconds / without,
    }
    codes, total = ordered.transform(train), squared_error(train, train.mean(axis=0))
    found = [
        1 - squared_error(train, ordered.inverse_transform(codes[:, :j])) / total
        for j in lengths
    ]
    gaps = np.cumsum(ordered.explained_variance_ratio_) - found
    results |= {"most": gaps.max(), "overstated": gaps.mean()}
    for j in prefixes:
        own = squared_error(test, fitted(j).reconstruct(test))
        results[str(j)] = errors[j - 1] / own
    return results


def main() -> None:
    """Print a table, a row a set."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    add = parser.add_argument
    add("--k", type=int, default=10, help="components (default 10)")
    add("--prefixes", type=int, nargs="+", default=[2, 5], help="default 2 5")
    add("--sets", nargs="+", help="names of some of them (default all)")
    add("--rows", type=int, default=6_000, help="at most, at random (default 6,000)")
    args = parse(parser)
    names = args.sets or (WITH_DATA if args.data else CARRIED)
    names, missing = split_missing(names, args.data)
    rows, worst, own, seconds = [], [], [], []
    for name in tqdm(names):
        X = some_rows(SETS[name].load(args.data), args.rows)
        if SETS[name].units[0] == "standard":
            X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
        k = min(args.k, X.shape[1] - 1)
        prefixes = [j for j in args.prefixes if j < k]
        results = measure(X, k, prefixes)
        worst.append(results["worst"])
        own += [results[str(j)] for j in prefixes]
        seconds.append(results["seconds"])
        kept = "yes" if results["pca"] else "no"
        cells = [results["whole"], results["best"], results["worst"]]
        cells += [results.get(str(j), np.nan) for j in args.prefixes]
        cells += [results[name] for name in ("most", "overstated", "seconds")]
        rows.append((name, str(k), kept, *(number(float(cell)) for cell in cells)))
    header = (
        "set",
        "k",
        "PCA kept",
        "whole code over unordered",
        "best prefix over PCA",
        "worst prefix over PCA",
        *(f"first {j} over own fit" for j in args.prefixes),
        "overstated at most",
        "on average",
        "seconds over unordered",
    )
    publish(
        args.write,
        f"# Ordered components, one split, one thread ({load_note()})",
        markdown_table(header, rows),
        verdict("worst prefix of all over PCA's", max(worst), "<=", MOST, ".3f"),
        f"- {sum(w <= MOST for w in worst)} of {len(worst)} sets have no worse one",
        verdict("geometric mean over an own fit", gmean(own), "<=", 1.25, ".3f"),
        verdict("median of seconds", median(seconds), "<=", 1.6, ".2f"),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
