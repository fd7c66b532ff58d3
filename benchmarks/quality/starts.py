"""Whether the better of two starts is better than the start at PCA.

    python -m benchmarks.quality.starts
    python -m benchmarks.quality.starts --data DIR --seeds 3

A fit from PCA and one from random weights train for a fifth of the epochs each. The one
with the smaller error on the validation samples, by the mean of the roots of their
errors so that no sample decides alone, goes on to the end. The start at PCA is kept
where PCA leaves less than a twentieth of the variance, and PCA itself where the winner
ends worse on the validation samples.

Squared errors on a quarter of the rows, which no fit has seen, over that of the start
at PCA: of the random start at its end, and of what the better of two gives. A seed
draws the split and the weights; a case's figures are geometric means over the seeds,
least and largest those of single seeds.
"""

import math
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import SETS, some_rows, split_missing, squared_error
from benchmarks._shared.report import (
    geometric_mean,
    markdown_table,
    missing_files,
    number,
    publish,
    verdict,
)
from benchmarks._shared.results import Case
from benchmarks._shared.timing import load_note
from benchmarks.quality.run import split
from sk_autoencoder import AutoEncoderTransformer

SIZES = {
    "breast_cancer": 5,
    "diabetes": 5,
    "adult": 10,
    "ad_cardio": 10,
    "ad_fault": 10,
    "ad_ionosphere": 10,
    "ad_pageblocks": 5,
    "ad_vowels": 5,
}
"""Components by set; all sets are of those that defaults may be chosen by."""
TRIAL = 0.2
"""Of the epochs, after which the choice is made."""
ROWS = 1_500
"""At most, at random."""
LEFT = 0.05
"""Of the variance; where PCA leaves less, there is no choice."""

Split = tuple[np.ndarray, np.ndarray, np.ndarray]


def mean_root(model: Any, X: np.ndarray) -> float:
    """Return the mean over samples of the root of their squared error."""
    again = model.inverse_transform(model.transform(X))
    return float(np.linalg.norm(X - again, axis=1).mean())


def measure(parts: Split, k: int, seed: int) -> dict[str, float]:
    """Return errors over that of the start at PCA, by the column that shows them."""
    train, valid, test = parts
    pca = PCA(k).fit(train)

    def fitted(init: str, **params: Any) -> AutoEncoderTransformer:
        reducer = AutoEncoderTransformer(
            k, init=init, random_state=seed, device="cpu", **params
        )
        return reducer.fit(train, X_val=valid)

    def error(model: Any) -> float:
        return squared_error(test, model.inverse_transform(model.transform(test)))

    ends = {init: fitted(init) for init in ("pca", "random")}
    today = error(ends["pca"])
    # The first epochs of a fit are those of a longer one.
    trial = math.ceil(TRIAL * ends["pca"].net_.max_epochs)
    on_trial = {i: mean_root(fitted(i, max_epochs=trial), valid) for i in ends}
    chosen = min(on_trial, key=on_trial.__getitem__)
    if 1 - pca.explained_variance_ratio_.sum() < LEFT:
        chosen = "pca"
    is_worse = mean_root(pca, valid) < mean_root(ends[chosen], valid)
    better = error(pca if is_worse else ends[chosen])
    return {"random": error(ends["random"]) / today, "better of two": better / today}


def parts_of(case: Case, X: np.ndarray, seed: int) -> Split:
    """Return samples to train on, to choose by, and to measure with."""
    train, test, *_ = split(case, X, seed)
    train, valid = train_test_split(train, test_size=0.1, random_state=seed)
    return train, valid, test


def main() -> None:
    """Print a table, a row a case, and the verdict."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    parser.add_argument("--seeds", type=int, default=1, help="fits a case (default 1)")
    args = parse(parser)
    names, missing = split_missing(SIZES, args.data)
    cases, table = [], []
    for name in tqdm(names):
        X = some_rows(SETS[name].load(args.data), ROWS)
        case = Case(name, SETS[name].units[-1], SIZES[name])
        seeds = range(args.seeds)
        fits = [measure(parts_of(case, X, seed), case.k, seed) for seed in seeds]
        cells = [name, case.units, str(case.k)]
        for way in fits[0]:
            ratios = [fit[way] for fit in fits]
            cells += map(number, (geometric_mean(ratios), min(ratios), max(ratios)))
        cases.append(geometric_mean(fit["better of two"] for fit in fits))
        table.append(cells)
    ways = ("random", "better of two")
    columns = [c for way in ways for c in (way, "least", "largest")]
    publish(
        args.write,
        f"# Error over that of the start at PCA, {args.seeds} seeds, one thread "
        f"({load_note()})",
        markdown_table(("set", "units", "k", *columns), table),
        verdict("geometric mean", geometric_mean(cases), "<=", 0.98, ".3f"),
        verdict("worst case", max(cases), "<=", 1.05, ".3f"),
        *missing_files(missing),
    )


if __name__ == "__main__":
    main()
