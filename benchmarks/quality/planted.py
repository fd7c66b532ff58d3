"""Whether contributions name the columns that a component was made of.

    python -m benchmarks.quality.planted --components 100
    python -m benchmarks.quality.planted --write planted.md

Fifty factors drive three columns of 150 each along a curve, a line plus a parabola of
random shares, with noise of .3 standard deviations. An autoencoder of fifty components,
`rotation="varimax"`, is fitted to a thousand samples. A factor is found where one
component has its three columns first: by the mean absolute contribution over a hundred
samples, by the slope at the mean sample, or by PCA's loadings. A seed draws a set of
fifty factors and the weights.
"""

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import markdown_table, mean, number, publish, verdict
from benchmarks._shared.timing import load_note
from sk_autoencoder import AutoEncoderTransformer

N_FACTORS, N_OWN, N_SAMPLES = 50, 3, 1_000
NOISE, STEEPEST = 0.3, np.pi / 3
"""Noise a column, and the largest share of the parabola, as an angle."""


def planted(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples, and the factor of each column."""
    rng = np.random.default_rng(seed)
    line = rng.normal(size=(N_SAMPLES, N_FACTORS, 1))
    parabola = (line**2 - 1) / np.sqrt(2)
    angles = rng.uniform(-STEEPEST, STEEPEST, (N_FACTORS, N_OWN))
    signs = rng.choice([-1, 1], angles.shape)
    curves = signs * np.cos(angles) * line + np.sin(angles) * parabola
    X = curves.reshape(N_SAMPLES, -1)
    X += NOISE * rng.normal(size=X.shape)
    order = rng.permutation(X.shape[1])
    return X[:, order], np.repeat(np.arange(N_FACTORS), N_OWN)[order]


def n_found(weights: np.ndarray, factors: np.ndarray) -> int:
    """Count the factors whose columns are the first ones of a component."""
    first = factors[np.argsort(-np.abs(weights), axis=1)[:, :N_OWN]]
    is_one = (first == first[:, :1]).all(axis=1)
    return len(np.unique(first[is_one, 0]))


def measure(seed: int) -> dict[str, float]:
    """Return factors found by each way, and the explained variances."""
    X, factors = planted(seed)
    reducer = AutoEncoderTransformer(
        N_FACTORS, rotation="varimax", random_state=seed, device="cpu"
    ).fit(X)
    parts = np.abs(reducer.contributions(X[:100])).mean(axis=0)
    pca = PCA(N_FACTORS).fit(X)
    return {
        "contributions": n_found(parts, factors),
        "slope at the mean sample": n_found(reducer.components_, factors),
        "PCA's loadings": n_found(pca.components_, factors),
        "ours": reducer.score(X),
        "theirs": pca.explained_variance_ratio_.sum(),
    }


def main() -> None:
    """Print a table, a row a way to rank columns."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--components", type=int, default=1_000, help="how many (default 1000)"
    )
    args = parse(parser)
    sets = [measure(seed) for seed in tqdm(range(args.components // N_FACTORS))]
    means = {name: mean(each[name] for each in sets) for name in sets[0]}
    explained = [means.pop(name) for name in ("ours", "theirs")]
    shares = {name: 100 * found / N_FACTORS for name, found in means.items()}
    publish(
        args.write,
        f"# Planted columns, {N_FACTORS * len(sets):,} components ({load_note()})",
        markdown_table(
            ("ranked by", "factors found, %"),
            [(name, number(share, 1)) for name, share in shares.items()],
        ),
        verdict("contributions", shares["contributions"], ">=", 95, ".1f", " %"),
        f"- explained variance {explained[0]:.3f}, PCA {explained[1]:.3f}",
    )


if __name__ == "__main__":
    main()
