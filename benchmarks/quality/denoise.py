"""How well corrupted samples are repaired, beside PCA and linear regressions.

    python -m benchmarks.quality.denoise
    python -m benchmarks.quality.denoise --data DIR --confirm --write denoise.md

`DenoisingAutoEncoderTransformer` at its defaults is fitted to clean samples, and
reconstructs others from corrupted ones: swap noise at .15 and masking at .3. Squared
errors against the clean samples are divided by those of PCA with as many components,
fitted to the same clean samples. Two peers are fitted to 20 corrupted copies of them: a
linear regression, which has no bottleneck, and the same cut to as many components.
Columns are standardized, and test samples with a cell 20 standard deviations out left
aside: on `ad_fault` one such sample has more of the error than all others together.
"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
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
from benchmarks._shared.timing import load_note
from sk_autoencoder import DenoisingAutoEncoderTransformer

CARRIED = ("wine", "diabetes", "breast_cancer", "digits")
TUNE = (*CARRIED, "ad_cardio", "ad_fault", "ad_pendigits", "ad_wilt", "ad_yeast")
CONFIRM = (
    "ad_annthyroid",
    "ad_breastw",
    "ad_magic_gamma",
    "ad_optdigits",
    "ad_vowels",
)
NOISES = {"swap": 0.15, "masking": 0.3}
COPIES = 20
FAR = 20.0
SAME = 1.0005
"""Target: the largest error over PCA's, which is kept to rounding."""


def corrupted(
    X: np.ndarray, donors: np.ndarray, noise: str, rng: np.random.Generator
) -> np.ndarray:
    """Return standardized samples with some of their cells replaced."""
    is_hit = rng.random(X.shape) < NOISES[noise]
    if noise == "masking":
        return np.where(is_hit, 0.0, X)
    places = rng.integers(len(donors), size=X.shape)
    return np.where(is_hit, np.take_along_axis(donors, places, axis=0), X)


def linear_errors(
    train: np.ndarray, test: np.ndarray, inputs: np.ndarray, noise: str, k: int
) -> tuple[float, float]:
    """Return the error of a linear regression, cut to k components and whole."""
    rng = np.random.default_rng(0)
    copies = [corrupted(train, train, noise, rng) for _ in range(COPIES)]
    targets = np.tile(train, (COPIES, 1))
    regression = LinearRegression().fit(np.concatenate(copies), targets)
    # Reduced-rank regression: the axes of the fitted values.
    axes = PCA(k).fit(regression.predict(np.concatenate(copies)))
    whole = regression.predict(inputs)
    cut = axes.inverse_transform(axes.transform(whole))
    return squared_error(test, cut), squared_error(test, whole)


def measure(X: np.ndarray, noise: str) -> dict[str, float]:
    """Return errors over PCA's on one half of the samples, by fits to the other."""
    train, test = train_test_split(X, test_size=0.5, random_state=0)
    mean, std = train.mean(axis=0), train.std(axis=0)
    varies = std > 1e-6 * np.abs(mean)
    train, test = ((part - mean)[:, varies] / std[varies] for part in (train, test))
    test = test[(np.abs(test) < FAR).all(axis=1)]
    k = max(2, train.shape[1] // 3)
    inputs = corrupted(test, train, noise, np.random.default_rng(1))
    pca = PCA(k).fit(train)
    unit = squared_error(test, pca.inverse_transform(pca.transform(inputs)))
    cut, whole = linear_errors(train, test, inputs, noise, k)
    denoiser = DenoisingAutoEncoderTransformer(
        k, noise=noise, noise_level=NOISES[noise], random_state=0, device="cpu"
    ).fit(train)
    own = squared_error(test, denoiser.reconstruct(inputs))
    return {"k": k, "own": own / unit, "cut": cut / unit, "whole": whole / unit}


def main() -> None:
    """Print a table, a row a set and noise."""
    parser = command_line(__doc__, data="folder with the open sets' files")
    add = parser.add_argument
    add("--confirm", action="store_true", help="sets that nothing was tuned on")
    add("--rows", type=int, default=3_000, help="at most, at random (default 3,000)")
    args = parse(parser)
    names = CONFIRM if args.confirm else TUNE if args.data else CARRIED
    known, missing = split_missing(names, args.data)
    rows, found = [], []
    for name in tqdm(known):
        X = some_rows(SETS[name].load(args.data), args.rows).astype(np.float64)
        for noise in NOISES:
            errors = measure(X, noise)
            found.append(errors)
            cells = (number(errors[column]) for column in ("own", "cut", "whole"))
            rows.append((name, noise, str(errors["k"]), *cells))
    header = ("set", "noise", "k", "ours", "linear, k components", "linear, whole")
    parts = [f"# Errors over PCA's, corrupted samples, one split ({load_note()})"]
    parts.append(markdown_table(header, rows))
    if found:
        own = [errors["own"] for errors in found]
        below = sum(errors["own"] < errors["cut"] for errors in found)
        below_whole = sum(errors["own"] < errors["whole"] for errors in found)
        parts += [
            verdict("geometric mean over PCA's", geometric_mean(own), "<", 1.0, ".3f"),
            verdict("largest over PCA's", max(own), "<=", SAME, ".3f"),
            f"- below the linear regression of k components in {below} of {len(own)}",
            f"- below the whole linear regression in {below_whole} of {len(own)}",
        ]
    publish(args.write, *parts, *missing_files(missing))


if __name__ == "__main__":
    main()
