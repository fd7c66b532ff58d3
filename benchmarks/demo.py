"""Compare PCA with three autoencoders on a real table, in one grid search.

    make demo
    python -m benchmarks.demo --output DIR     # pictures and table go there
    python -m benchmarks.demo --quick          # seconds, and results to match

The table is Adult: 48,842 people, numbers and categories about each of them, and the
question who earns more than 50,000 dollars a year. It is encoded once, and then:

1. One GridSearchCV with labels: which reducer, with which setting, leaves the most to
   the LogisticRegression behind it?
2. One GridSearchCV without labels: which reducer reconstructs rows best that it has
   not seen?
3. Each candidate is fitted on all training rows and judged on held-out ones.
4. Pictures: loss curves, the code in two dimensions, digits and reconstructions.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, ParameterGrid, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from tqdm import tqdm

from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder.datasets import load_adult
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.plotting import (
    LatentDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
)


class Size(NamedTuple):
    """How much is done."""

    n_rows: int  # training rows
    n_folds: int
    n_jobs: int
    max_epochs: int
    feature_epochs: int | str  # of the denoising autoencoder


# So that a laptop is done in minutes. With the default, max_epochs="auto", a network
# trains longer than this and reconstructs better still.
FULL = Size(n_rows=6_000, n_folds=4, n_jobs=2, max_epochs=40, feature_epochs="auto")
# A second process would take longer to start than all fits.
QUICK = Size(n_rows=600, n_folds=2, n_jobs=1, max_epochs=2, feature_epochs=2)


def main() -> None:
    arguments = parse_arguments()
    size = QUICK if arguments.quick else FULL
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)

    X, X_test, y, y_test = load_encoded_adult(size.n_rows)
    print(
        f"Adult: {len(X):,} rows to train on, {len(X_test):,} held out, "
        f"{X.shape[1]} columns once encoded"
    )

    # The step "reduce" is what the search swaps.
    classifier = Pipeline(
        [
            ("reduce", PCA()),
            ("scale", StandardScaler()),
            ("classify", LogisticRegression(C=0.01, max_iter=1_000)),
        ]
    )
    grids = reducer_grids(size)
    with_labels = GridSearchWithBar(
        classifier,
        list(grids.values()),
        scoring="roc_auc",
        cv=size.n_folds,
        n_jobs=size.n_jobs,
        refit=False,
    ).fit(X, y)

    # Without labels there is nothing to compare but reconstructions, and only codes of
    # few numbers can be compared: more columns than the table has copy it.
    without_labels = GridSearchWithBar(
        Pipeline([("reduce", PCA())]),
        [grids["PCA"], grids["autoencoder"], grids["VAE"]],
        scoring=reconstruction_scorer,
        cv=size.n_folds,
        n_jobs=size.n_jobs,
        refit=False,
    ).fit(X)

    candidates = with_labels.cv_results_["params"]
    fitted, rows = [], []
    for params in tqdm(candidates, desc="held-out rows"):
        pipeline = with_params(classifier, params)
        start = time.perf_counter()
        pipeline.fit(X, y)
        seconds = time.perf_counter() - start
        fitted.append(pipeline["reduce"])
        rows.append(judge(pipeline, describe(params), seconds, X_test, y_test))

    report = [
        *format_table(rows),
        "",
        f"Measured on {len(X_test):,} held-out rows, but for the seconds of the fit.",
        "The denoising autoencoder's components are features for a classifier, more of",
        "them than columns: its explained variance is not that of a short code.",
        f"Cross-validated AUC is best for {best(with_labels)}.",
        f"Cross-validated explained variance is best for {best(without_labels)}.",
    ]
    print("", *report, sep="\n")
    (output / "table.md").write_text("\n".join(report) + "\n", encoding="utf-8")

    print()
    with tqdm(total=3, desc="pictures") as bar:
        draw_loss_curves(fitted, output / "loss_curves.png")
        bar.update()
        draw_latent(X, X_test, y_test, size.max_epochs, output / "latent.png")
        bar.update()
        draw_digits(size, output / "digits.png")
        bar.update()
    print("Written:", *sorted(str(path) for path in output.iterdir()), sep="\n")


class GridSearchWithBar(GridSearchCV):
    """A grid search that moves a progress bar: one candidate after the other.

    The folds of a candidate run in parallel.
    """

    def _run_search(self, evaluate_candidates: Any) -> None:
        labels = "without labels" if callable(self.scoring) else "with labels"
        candidates = ParameterGrid(self.param_grid)
        n_fits = len(candidates) * self.cv
        with tqdm(total=n_fits, desc=f"search {labels}", unit="fit") as bar:
            for candidate in candidates:
                evaluate_candidates([candidate])
                bar.update(self.cv)


def reducer_grids(size: Size) -> dict[str, dict[str, list[Any]]]:
    """What is compared: each method with its settings, as GridSearchCV takes them."""
    components = {"reduce__n_components": [5, 10]}
    training = {"max_epochs": size.max_epochs, "random_state": 0}
    # The activations of a deep stack beside the columns: not a short code, but features
    # for a classifier, as in the Porto Seguro competition's winning entry. They come
    # scaled as a linear model needs them.
    denoising = DenoisingAutoEncoderTransformer(
        features="hidden",
        passthrough=True,
        max_epochs=size.feature_epochs,
        random_state=0,
    )
    return {
        "all columns": {"reduce": [FunctionTransformer()]},
        "PCA": {"reduce": [PCA(random_state=0)], **components},
        "autoencoder": {"reduce": [AutoEncoderTransformer(**training)], **components},
        "VAE": {"reduce": [VAETransformer(**training)], **components},
        "denoising": {
            "reduce": [denoising],
            "scale": ["passthrough"],
            "classify__C": [0.1, 1.0],
        },
    }


def load_encoded_adult(n_rows: int) -> tuple[np.ndarray, np.ndarray, Any, Any]:
    """Rows of the official training split and all of its test split, as numbers.

    Categories become columns of zeros and ones, numbers are standardized. What that
    needs to know is learned from the training rows.
    """
    adult = load_adult()
    # fnlwgt says how many people a row stands for, nothing about the person.
    table = adult.data.drop(columns="fnlwgt")
    official = adult.split == "train"
    X, _, y, _ = train_test_split(
        table[official],
        adult.target[official],
        train_size=n_rows,
        stratify=adult.target[official],
        random_state=0,
    )
    encoder = make_column_transformer(
        (
            OneHotEncoder(
                min_frequency=0.01,
                handle_unknown="infrequent_if_exist",
                sparse_output=False,
            ),
            make_column_selector(dtype_include="category"),
        ),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    ).fit(X)
    # float32 is what networks train in, so they need no copy of their own.
    return (
        encoder.transform(X).astype(np.float32),
        encoder.transform(table[~official]).astype(np.float32),
        y,
        adult.target[~official],
    )


# ------------------------------------------------------------------------ the table


def with_params(pipeline: Pipeline, params: dict[str, Any]) -> Pipeline:
    """Return a new pipeline with a candidate's settings."""
    params = {name: clone(value, safe=False) for name, value in params.items()}
    return clone(pipeline).set_params(**params)


def describe(params: dict[str, Any]) -> str:
    """Name a candidate: its class and the settings that the grid varies."""
    reducer = params["reduce"]
    if isinstance(reducer, FunctionTransformer):
        return "all columns"
    settings = ", ".join(
        f"{name.rpartition('__')[2]}={value}"
        for name, value in params.items()
        if name not in ("reduce", "scale")
    )
    return f"{type(reducer).__name__}({settings})"


def best(search: GridSearchCV) -> str:
    return f"{describe(search.best_params_)}: {search.best_score_:.3f}"


def judge(
    pipeline: Pipeline, method: str, seconds: float, X_test: np.ndarray, y_test: Any
) -> dict[str, str]:
    """Return one row of the table."""
    reducer = pipeline["reduce"]
    probability = pipeline.predict_proba(X_test)[:, 1]
    return {
        "method": method,
        "components": f"{reducer.transform(X_test[:1]).shape[1]}",
        "explained variance": f"{reconstruction_scorer(reducer, X_test):.3f}",
        "AUC": f"{roc_auc_score(y_test, probability):.3f}",
        "fit seconds": f"{seconds:.1f}",
    }


def format_table(rows: list[dict[str, str]]) -> list[str]:
    """Lines of a table that is aligned as text, and Markdown too."""
    names = list(rows[0])
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]

    def line(cells: list[str]) -> str:
        # Names to the left, numbers to the right.
        first = f"{cells[0]:<{widths[0]}}"
        rest = [f"{cell:>{w}}" for cell, w in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join([first, *rest])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(names), line(rule), *(line(list(row.values())) for row in rows)]


# --------------------------------------------------------------------- the pictures


def draw_loss_curves(reducers: list[Any], path: Path) -> None:
    """One panel for each kind of autoencoder, with the last of its settings."""
    last = {
        type(reducer).__name__: reducer
        for reducer in reducers
        if hasattr(reducer, "loss_curve_")
    }
    figure, axes = plt.subplots(
        1, len(last), figsize=(5 * len(last), 4.5), layout="constrained"
    )
    for ax, reducer in zip(axes, last.values(), strict=True):
        LossCurveDisplay.from_estimator(reducer, ax=ax)
    figure.savefig(path, dpi=120)


def draw_latent(
    X: np.ndarray, X_test: np.ndarray, y_test: Any, max_epochs: int, path: Path
) -> None:
    """Two components of held-out rows, PCA beside the autoencoder."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    reducers = [
        PCA(n_components=2, random_state=0),
        AutoEncoderTransformer(n_components=2, max_epochs=max_epochs, random_state=0),
    ]
    for ax, reducer in zip(axes, reducers, strict=True):
        reducer.fit(X)
        LatentDisplay.from_estimator(reducer, X_test[:4_000], y_test[:4_000], ax=ax)
        ratio = reconstruction_scorer(reducer, X_test)
        ax.set_title(f"{type(reducer).__name__}, explained variance {ratio:.2f}")
    figure.savefig(path, dpi=120)


def draw_digits(size: Size, path: Path) -> None:
    """Held-out digits above what ten numbers keep of them."""
    X, X_test = train_test_split(load_digits().data, random_state=0)
    figure, axes = plt.subplots(2, 1, figsize=(9, 3.9), layout="constrained")
    reducers = [
        PCA(n_components=10, random_state=0),
        AutoEncoderTransformer(
            n_components=10,
            max_epochs="auto" if size is FULL else size.max_epochs,
            random_state=0,
        ),
    ]
    for ax, reducer in zip(axes, reducers, strict=True):
        reducer.fit(X)
        ReconstructionDisplay.from_estimator(reducer, X_test, n_images=12, ax=ax)
        ratio = reconstruction_scorer(reducer, X_test)
        ax.set_title(
            f"{type(reducer).__name__}, 10 components, explained variance {ratio:.2f}"
        )
    figure.savefig(path, dpi=120)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo_output"),
        metavar="DIR",
        help="where pictures and table go (default: %(default)s)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few rows and epochs, to try it out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
