"""Whether `features="hidden", passthrough=True` helps a tuned logistic regression.

    python -m benchmarks.tables.passthrough
    python -m benchmarks.tables.passthrough --data DIR --write passthrough.md
    python -m benchmarks.tables.passthrough --data DIR --sets online_shoppers --seeds 2

`DenoisingAutoEncoderTransformer` at its defaults is fitted to all rows of a table,
without labels; a logistic regression, C tuned, to what it returns for the labeled
rows, and judged on the rest by the area under the ROC curve. Gains are over the better
of one-hots beside standardized numbers and one-hots beside normal scores, in
thousandths, on average over draws. "Columns" are both codings and the one-hots without
a network. The network sees the table encoded (one-hots and normal scores), or the frame
itself with its numbers in one coding or in both.
"""

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import (
    markdown_table,
    median,
    missing_files,
    number,
    publish,
)
from benchmarks._shared.timing import load_note
from benchmarks.tables.features_methods import (
    CODINGS,
    LABELED,
    beside,
    drawn,
    logistic,
)
from benchmarks.tables.features_results import PLAIN
from benchmarks.tables.features_tables import SOURCES, Table, load, missing
from sk_autoencoder import DenoisingAutoEncoderTransformer

Block = Callable[[Table, int], np.ndarray]
DRAWS = {"a": 3, "b": 5}


def hidden(
    rows: object, seed: int, *, beside: bool = True, **params: object
) -> np.ndarray:
    """Return the features of rows, beside their columns or alone."""
    extractor = DenoisingAutoEncoderTransformer(
        features="hidden",
        passthrough=beside,
        allow_missing=True,
        random_state=seed,
        device="cpu",
        **params,
    )
    return extractor.fit_transform(rows)


def of_frame(scaling: object) -> Block:
    """Return the features of a frame whose numbers are scaled in a way."""
    return lambda table, seed: hidden(table.frame, seed, numeric_scaling=scaling)


BLOCKS: dict[str, Block] = {
    "columns": lambda table, seed: beside(table, None),
    "encoded, activations alone": lambda table, seed: hidden(
        table.encoded, seed, beside=False
    ),
    "encoded, standard": lambda table, seed: hidden(
        table.encoded, seed, numeric_scaling="standard"
    ),
    "encoded, both (default)": lambda table, seed: hidden(table.encoded, seed),
    "frame, standard": of_frame("standard"),
    "frame, rank_gauss": of_frame("rank_gauss"),
    "frame, both (default)": of_frame("auto"),
}


def gains(table: Table, setting: str, block: np.ndarray) -> np.ndarray:
    """Return the gain of a block over the better usual coding, draw by draw."""
    trains = [drawn(table.y, setting, draw) for draw in range(DRAWS[setting])]

    def aucs(X: np.ndarray) -> np.ndarray:
        return np.array([logistic(X, table.y, t, i) for i, t in enumerate(trains)])

    usual = max((aucs(CODINGS[name](table)) for name in PLAIN), key=np.mean)
    return aucs(block) - usual


def main() -> None:
    """Print a table for each number of labels."""
    parser = command_line(__doc__, data="folder with the open tables' files")
    add = parser.add_argument
    add("--sets", nargs="+", choices=SOURCES, help="default: all")
    add("--rows", type=int, default=4_000, help="at most (default 4,000)")
    add("--seeds", type=int, default=1, help="of the networks (default 1)")
    args = parse(parser)
    sets = args.sets or list(SOURCES)
    absent = [name for name in sets if missing(name, args.data)]
    names = [name for name in sets if name not in absent]
    found: dict[str, dict[str, list[float]]] = {s: {} for s in LABELED}
    for name in tqdm(names, disable=None):
        table = load(name, args.data, args.rows)
        own: dict[str, list[list[float]]] = {s: [] for s in LABELED}
        for block in BLOCKS.values():
            each: dict[str, list[float]] = {s: [] for s in LABELED}
            for seed in range(args.seeds):
                X = block(table, seed)
                for setting in LABELED:
                    each[setting].append(1e3 * gains(table, setting, X).mean())
            for setting in LABELED:
                own[setting].append(each[setting])
        for setting in LABELED:
            found[setting][name] = [float(np.mean(values)) for values in own[setting]]
    parts = [
        f"# Features beside columns, up to {args.rows:,} rows, {args.seeds} seed(s), "
        f"{DRAWS['a']} and {DRAWS['b']} draws ({load_note()})"
    ]
    for setting, title in LABELED.items():
        rows = [
            (name, *(number(value, 1) for value in values))
            for name, values in found[setting].items()
        ]
        for label, combine in (("median", median), ("least", min), ("most", max)):
            columns = zip(*found[setting].values(), strict=True)
            rows.append((label, *(number(combine(c), 1) for c in columns)))
        header = ("gain in AUC, thousandths", *BLOCKS)
        parts += [f"## {title}", markdown_table(header, rows)]
    publish(args.write, *parts, *missing_files(absent))


if __name__ == "__main__":
    main()
