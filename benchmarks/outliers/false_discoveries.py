"""How many of the outliers that a detector finds at a false discovery rate are false.

    python -m benchmarks.outliers.false_discoveries
    python -m benchmarks.outliers.false_discoveries --data DIR

A detector is fitted to 500 rows, and judges 500 new ones of which a tenth, or none, are
outliers. The sets are 64 made ones: normal, heavy-tailed, skewed and rounded columns,
correlated or not, of 2 to 40 columns, whose outliers are rows of a wider distribution;
with `--data` also the sets with labeled outliers, three splits each. Reported is the
mean fraction of false discoveries (0 where nothing was found) at each nominal rate, for
clean training rows with `novelty=True`, and for training rows of which a twentieth are
outliers with `novelty=False`; and the fraction of the outliers that are found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import markdown_table, number, publish, verdict
from benchmarks._shared.timing import load_note
from benchmarks.outliers.methods import Rows, load, names_of
from sk_autoencoder import AutoEncoderOutlierDetector

RATES = (0.05, 0.1)
N_TRAIN, N_NEW = 500, 500
SHARE, CONTAMINATION = 0.1, 0.05
KINDS = ("normal", "heavy", "skewed", "rounded")
Split = tuple[Rows, Rows]


def made(kind: str, n_columns: int, seed: int) -> Split:
    """Draw usual rows, and as many outliers of about three times the spread."""
    rng = np.random.default_rng([seed, n_columns])
    n_hidden = max(1, n_columns // 3)
    mixing = rng.standard_normal((n_hidden, n_columns))
    parts = []
    for scale in (1.0, 3.0):
        hidden = rng.standard_normal((2000, n_hidden)) @ mixing
        own = 0.5 * scale * rng.standard_normal((2000, n_columns))
        rows = hidden * (1.0 if seed % 2 else scale) + own
        if kind == "heavy":
            rows = np.sinh(rows)
        elif kind == "skewed":
            rows = np.exp(0.5 * rows)
        elif kind == "rounded":
            rows = np.round(rows)
        parts.append(rows)
    return parts[0], parts[1]


def splits(folder) -> Iterator[tuple[str, Rows, Rows]]:
    """Yield names, usual rows and outliers of each set."""
    for kind in KINDS:
        for n_columns in (2, 5, 12, 40):
            for seed in range(4):
                yield f"{kind}, {n_columns}", *made(kind, n_columns, seed)
    for name in names_of("tune") + names_of("confirm") if folder else ():
        X, y = load(name, folder, 10_000)
        if (y == 0).sum() < N_TRAIN + 250 or X.shape[1] > 200:
            continue
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(len(X))
            yield name, X[order][y[order] == 0], X[order][y[order] == 1]


def judged(usual: Rows, odd: Rows, seed: int, *, clean: bool) -> dict[str, list[float]]:
    """Fit to some rows, and judge new ones with and without outliers among them."""
    n_odd = 0 if clean else int(CONTAMINATION * N_TRAIN)
    train = np.concatenate([usual[: N_TRAIN - n_odd], odd[:n_odd]])
    new, found_in = usual[N_TRAIN : N_TRAIN + N_NEW], odd[n_odd:]
    outliers = found_in[: int(SHARE / (1 - SHARE) * len(new))]
    detector = AutoEncoderOutlierDetector(novelty=clean, random_state=seed).fit(train)
    result: dict[str, list[float]] = {"false": [], "alone": [], "found": []}
    for rate in RATES:
        flags = detector.outliers(np.concatenate([new, outliers]), fdr=rate)
        n_false = flags[: len(new)].sum()
        result["false"].append(n_false / max(1, flags.sum()))
        result["found"].append(flags[len(new) :].mean() if len(outliers) else np.nan)
        # Without outliers every discovery is false.
        result["alone"].append(float(detector.outliers(new, fdr=rate).any()))
    return result


def main() -> None:
    """Judge all sets, and print the means."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    args = parse(parser)
    sets = list(splits(args.data))
    rows, lines = [], []
    for clean in (True, False):
        found = [
            judged(usual, odd, seed, clean=clean)
            for seed, (_, usual, odd) in enumerate(tqdm(sets))
        ]
        title = "clean" if clean else "a twentieth outliers"
        for i, rate in enumerate(RATES):
            means = {
                key: float(np.nanmean([one[key][i] for one in found]))
                for key in ("false", "alone", "found")
            }
            rows.append((title, f"{rate:.2f}", *(number(v, 3) for v in means.values())))
            if clean:
                for key, what in (("false", "a tenth outliers"), ("alone", "none")):
                    text = f"false discovery rate at {rate}, new rows with {what}"
                    lines.append(verdict(text, means[key], "<=", rate + 0.01, ".3f"))
    head = ("training rows", "nominal", "false", "false, no outliers", "found")
    note = f"# False discoveries on {len(sets)} sets ({load_note()})"
    publish(args.write, note, markdown_table(head, rows), "\n".join(lines))


if __name__ == "__main__":
    main()
