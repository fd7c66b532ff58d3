"""Outliers: rows that an autoencoder does not give back."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import KFold
from sklearn.utils import Tags, check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_autoencoder._columns import has_categories, is_frame
from sk_autoencoder._columns.frames import TableFormat, index_of, read_columns
from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.validation import check_table, named_rows, numbers_alone
from sk_autoencoder._outliers.default import default_estimators
from sk_autoencoder._outliers.members import (
    allows_nan,
    has_density,
    one_line,
    seed,
    table_of,
)
from sk_autoencoder._outliers.progress import FitProgress
from sk_autoencoder._outliers.scorer import MEASURES, Scorer
from sk_autoencoder._outliers.threshold import check_scores, offset_at, quantiles_of
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.files import write
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.saveable import Saveable
from sk_autoencoder._utils.chunks import within_float64
from sk_autoencoder._utils.interrupts import all_or_nothing
from sk_autoencoder._utils.shapes import flat_rows, shaped
from sk_autoencoder._utils.sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _safe_indexing,
    fit_context,
    validate_parameter_constraints,
)
from sk_autoencoder._utils.values import first_line, listed

__all__ = ["AutoEncoderOutlierDetector"]

DTYPES = [np.float64, np.float32]


@loadable()
class AutoEncoderOutlierDetector(OutlierMixin, Saveable):
    """Outlier detection by autoencoders.

    An autoencoder that has few numbers to tell a row by learns what most rows have in
    common. What is unlike them comes back changed. A row's score is made of two
    distances, both by feature, in robust units that outliers cannot blow up: how far
    the row is from its reconstructions, and how far it is from the typical row, the
    medians. The first sees rows that break the rules by which features go together;
    the second sees those that keep the rules, and are far out all the same.

    By default three small autoencoders of different bottlenecks are averaged, trained
    on the four fifths of the rows that are nearest to the medians: what is odd about
    the others is not learned. Their training is short: seconds for 5,000 rows. Memory
    beside X is that of the weights, of the rows trained on and of some chunks of rows;
    20,000 rows at most are held for the robust units.

    Parameters
    ----------
    estimator : transformer or None, default=None
        Any transformer with an `inverse_transform`, cloned before it is fitted. None
        takes up to three small :class:`AutoEncoderTransformer`, whose components are an
        eighth, a quarter and a half of the features, 64 at most. None takes missing
        cells, in `fit` and later on, and categories in a frame, by their dtype. An
        :class:`AutoEncoderTransformer`, :class:`DenoisingAutoEncoderTransformer` or
        :class:`VAETransformer` takes what its parameters allow. Any other transformer,
        such as PCA or a pipeline, a pipeline of ours too, gets a matrix of numbers:
        encode categories before the detector. It gets missing cells too, if it says
        by its tags that it takes them, or, of a pipeline, the steps up to an imputer
        do; where its inverse does not bring back numbers, as behind an imputer,
        measure="likelihood" remains. It cannot be saved but by pickle.
    measure : {"combined", "reconstruction", "latent", "likelihood"}, \
default="combined"
        What `score_samples` measures. "combined" is the mean of the two distances
        above; "reconstruction" is the first alone, for rows that are unusual in how
        features go together; "latent" adds to it the distance of the code from the
        median code, in robust units; "likelihood" is the log density of a
        :class:`VAETransformer`, in nats, or what another transformer's `score_samples`
        returns.
    support_fraction : float, default=0.8
        Fraction of the rows that autoencoders are trained on, in (0, 1]: those whose
        numbers are nearest to the medians, and for each category a row at least. The
        units are measured on all rows.
    contamination : float, default=0.1
        Fraction of outliers in the training rows, in (0, 0.5]: `offset_` is so chosen.
    threshold : {"train", "held_out"}, default="train"
        Which scores of the training rows `offset_` is a quantile of. "train": their
        own. An autoencoder flatters rows that it has seen: of new ones a larger
        fraction than `contamination` may be told to be outliers. "held_out": the
        scores by autoencoders that were fitted to the other folds, `cv` fits more.
    cv : int, default=5
        Folds for `threshold="held_out"`.
    random_state : int, RandomState instance or None, default=None
        Takes the place of those of `estimator` and its parts, each with a number of
        its own, and draws the folds. None leaves `estimator` its own. The same int
        gives the same result on the same machine, bit for bit.
    verbose : int, default=0
        1 prints a line for each autoencoder that is fitted, folds included; 2 shows a
        progress bar. For the epochs of `estimator` there is its own `verbose`.

    Attributes
    ----------
    estimators_ : list of transformers
        The fitted autoencoders: one where `estimator` was given.
    offset_ : float
        `decision_function` is `score_samples` less this.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string column names.

    See Also
    --------
    sk_autoencoder.plotting.OutlierContributionsDisplay : Draw what makes a row an
        outlier.
    VAETransformer : A density over rows.
    sklearn.ensemble.IsolationForest : By how few cuts it takes to set a row apart.

    Notes
    -----
    The unit of a feature's distance is its median absolute deviation, divided by 0.6745
    as for a normal distribution. Where over half of the cells are the same, that is 0:
    then the unit is a quantile of the other cells' deviations, divided by the same
    quantile of a normal distribution's. So of a tenth of the cells that are not zero, a
    middling one is about two units off. No unit is less than a twentieth of the root
    mean square. A level of a category is as many units off as a standard
    normal number is that is exceeded as seldom as a rarer level is met, half of those
    as rare counted; one that over half of the cells have is not off, and one that was
    not seen in `fit` is farther off than any other.

    Each reconstruction's errors have units of their own, no less than the feature's
    where over half of the cells are the same; of categories they are those of the
    one-hots. Distances are squared up to three units, grow in proportion farther off
    (Huber), and are averaged over the features: a typical row scores about -1. A
    missing cell counts for nothing. Where a column was constant, another value is off
    by 20 times the root of the number of training rows, in units.

    Networks see a number at most ten thousand units from the median; how far off it is
    beyond, its own distances tell. So every score is finite, whatever the cells are.

    References
    ----------
    Huber (1964), Robust estimation of a location parameter, Annals of Mathematical
    Statistics 35.
    Hawkins, He, Williams and Baxter (2002), Outlier detection using replicator neural
    networks, DaWaK.
    Chen, Sathe, Aggarwal and Turaga (2017), Outlier detection with autoencoder
    ensembles, SDM.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_autoencoder import AutoEncoderOutlierDetector
    >>> rng = np.random.default_rng(0)
    >>> length = rng.normal(20, 3, 500)
    >>> X = np.column_stack([length, 2 * length + rng.normal(0, 1, 500)])
    >>> detector = AutoEncoderOutlierDetector(contamination=0.02, random_state=0).fit(X)
    >>> odd = [[20.0, 40.0], [20.0, 55.0]]  # the second keeps to no rule
    >>> detector.predict(odd)
    array([ 1, -1])
    >>> detector.explain(odd).argmax(axis=1)[1]
    np.int64(1)
    """

    # None in what version 0.1.0 has saved.
    _training_scores: np.ndarray | None = None

    _kept: ClassVar[tuple[str, ...]] = (
        "_scorer",
        "_training_scores",
        "_row_shape",
        "n_features_in_",
        "offset_",
    )
    _objects: ClassVar[dict[str, tuple[type, ...]]] = {
        "estimator": (AutoEncoderTransformer,)
    }
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "transform", "inverse_transform"]), None],
        "measure": [StrOptions(set(MEASURES))],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "threshold": [StrOptions({"train", "held_out"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        measure: str = "combined",
        support_fraction: float = 0.8,
        contamination: float = 0.1,
        threshold: str = "train",
        cv: int = 5,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.support_fraction = support_fraction
        self.contamination = contamination
        self.threshold = threshold
        self.cv = cv
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is normal, from rows that may hold outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            At least two samples, and what the estimator allows. Of a column without
            a value a UserWarning tells: it takes no part.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted detector. If `fit` raises, an interrupt included, it is as it
            was before.

        Raises
        ------
        ValueError
            If X or a parameter is not valid.
        """
        with all_or_nothing(self):
            if self.measure == "likelihood" and not has_density(self.estimator):
                raise ValueError(
                    "expected an estimator with a density for measure='likelihood', "
                    f"got estimator={one_line(self.estimator)}. Pass "
                    "estimator=VAETransformer(...), or another measure."
                )
            X, reader = self._training_rows(X)
            random = check_random_state(self.random_state)
            root = int(random.randint(np.iinfo(np.int32).max))
            folds = self._folds(X, root)
            n_rows = [X.shape[0], *(len(train) for train, _ in folds)]
            n_fits = sum(len(self._unfitted(n, X.shape[1], reader)) for n in n_rows)
            with FitProgress(n_fits, self.verbose) as progress:
                seeds = np.random.SeedSequence([root, 0])
                scorer = self._fitted_scorer(X, reader, seeds, progress)
                if folds:
                    scores = self._held_out_scores(X, reader, root, folds, progress)
                else:
                    scores = scorer.scores(scorer.members.matrix(X))
            self._scorer = scorer
            self._training_scores = quantiles_of(scores)
            self.offset_ = offset_at(scores, self.contamination)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict whether rows are outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,)
            -1 for outliers, 1 for others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Score rows by how far they are from the threshold.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            `score_samples(X) - offset_`: below 0 for outliers.
        """
        return self.score_samples(X) - np.float64(self.offset_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score rows by how normal they are.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher is more normal. About -1 for a typical row, and 0 at most, but for
            measure="likelihood", which is in nats. float32 for float32 rows and float64
            for others, and finite: a row farther off than numbers go gets the least of
            its dtype. A row's score depends on no other row of X.
        """
        check_is_fitted(self)
        return self._scorer.scores(self._rows(X))

    def explain(self, X: Any) -> Any:
        """Return which features make rows outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`: those that are of interest.

        Returns
        -------
        contributions : {ndarray, frame} of shape (n_samples, n_features)
            What each feature has contributed to the row's being an outlier; large is
            unusual. With measure="combined" and "reconstruction" they are 0 or more,
            and a row's sum is `-score_samples`. A wild cell, over three units off,
            spoils the reconstruction of other features too: what those that are less
            far off have beyond what they would have if it were the feature's median,
            or its most frequent category, is the wild cell's. With the other measures
            it is how much the score would rise if the cell were that: then it may be
            below 0, and one more pass is made over the rows for each feature. Finite.
            A frame of the kind of X, with its columns and its index, where X is a
            frame; in the shape in which rows came to `fit`.
        """
        check_is_fitted(self)
        cells = self._scorer.contributions(self._rows(X))
        if not is_frame(X):
            return shaped(cells, self._row_shape)
        return TableFormat.of(X).of_numbers().make(list(cells.T), index_of(X))

    def set_threshold(self, contamination: float) -> Self:
        """Move the threshold to another fraction of outliers, without a new fit.

        Parameters
        ----------
        contamination : float
            Fraction of outliers in the training rows, in (0, 0.5]. `offset_` becomes
            that quantile of the scores that it was chosen by in `fit`; of more than
            20,000 rows, of as many quantiles of them. The parameter stays as it is.

        Returns
        -------
        self : object
            The detector, with another `offset_`.

        Raises
        ------
        ValueError
            If `contamination` is out of its range, or the detector comes from a file of
            version 0.1.0, which holds no scores.
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"contamination": self._parameter_constraints["contamination"]},
            {"contamination": contamination},
            caller_name="set_threshold",
        )
        if self._training_scores is None:
            raise ValueError(
                "expected a detector with the scores of its training rows, got one "
                "from a file of version 0.1.0, which holds none. Fit it again."
            )
        self.offset_ = offset_at(self._training_scores, contamination)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted detector to one file, without pickle.

        `sk_autoencoder.load` reads it. The file holds arrays and JSON, nothing that is
        run.

        Parameters
        ----------
        path : path-like
            A file that is there is replaced, once the new one is whole.

        Raises
        ------
        TypeError
            If `estimator`, one of its parameters or a category is of a kind that
            cannot be saved. A detector of another transformer than those of this
            package is one: pickle it. What is your own is only named in the file, for
            `load` to ask for again: functions and classes under their own names,
            objects under those of their classes, a module or a `functools.partial`
            under the name of its parameter, as in
            ``load(path, custom={"noise": ...})``.
        """
        check_is_fitted(self)
        write(path, self)

    @property
    def estimators_(self) -> list[BaseAutoEncoder]:
        """The fitted autoencoders."""
        return self._scorer.members.estimators

    # -- fitting -----------------------------------------------------------------------

    def _training_rows(self, X: Any) -> tuple[Any, BaseAutoEncoder | None]:
        """Validate rows to fit on; return what reads them as a table, or None.

        A frame stays one where it holds categories.
        """
        reader = self._template()
        X, self._row_shape = flat_rows(X, getattr(reader, "network", None))
        if not isinstance(reader, BaseAutoEncoder):
            _refuse_categories(X, reader)
            return self._numbers(X, reset=True), None
        if reader._reads_as_table(X):
            X = named_rows(self, X, reset=True)
            missing = self.estimator is None and _has_missing(X)
        else:
            X = self._numbers(X, reset=True)
            missing = self.estimator is None and _has_missing(X)
            if not missing:
                return X, None
            X = check_table(self, X)  # refuses sparse rows
        reader.allow_missing |= missing
        if reader.allow_missing:
            reader._read_table(X).warn_of_empty()
        return X, reader

    def _template(self) -> Any:
        return AutoEncoderTransformer() if self.estimator is None else self.estimator

    def _numbers(self, X: Any, *, reset: bool) -> Any:
        """Validate rows of numbers."""
        reader = self._template()
        ours = isinstance(reader, BaseAutoEncoder)
        with numbers_alone() if ours else _numbers_for(reader):
            return validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr"
                if ours or get_tags(reader).input_tags.sparse
                else False,
                dtype=DTYPES,
                ensure_all_finite="allow-nan" if self._takes_missing() else True,
                ensure_min_samples=2 if reset else 1,
            )

    def _takes_missing(self) -> bool:
        return self.estimator is None or allows_nan(self.estimator)

    def _fitted_scorer(
        self,
        X: Any,
        reader: BaseAutoEncoder | None,
        seeds: np.random.SeedSequence,
        progress: FitProgress,
    ) -> Scorer:
        """Fit the autoencoders to rows."""
        words = seeds.generate_state(4)
        estimators = self._unfitted(X.shape[0], X.shape[1], reader)
        if self.estimator is None or self.random_state is not None:
            for estimator, word in zip(estimators, words, strict=False):
                seed(estimator, int(word))
        return Scorer.fit(
            estimators,
            self.measure,
            X,
            self._n_fitted(X.shape[0]),
            np.random.default_rng(words[-1]),
            reader=reader,
            on_fit=progress.advance,
        )

    def _unfitted(
        self, n_rows: int, n_features: int, reader: BaseAutoEncoder | None
    ) -> list[Any]:
        """Make the transformers for so many rows, of which some are fitted to."""
        if self.estimator is not None:
            return [clone(self.estimator)]
        missing = reader is not None and reader.allow_missing
        n_fitted = self._n_fitted(n_rows)
        return [*default_estimators(n_fitted, n_features, allow_missing=missing)]

    def _n_fitted(self, n_rows: int) -> int:
        # An autoencoder takes two rows at least.
        return max(2, math.ceil(self.support_fraction * n_rows))

    def _folds(self, X: Any, root: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw the folds whose scores the threshold comes from, if it does."""
        if self.threshold != "held_out":
            return []
        n_folds = min(int(self.cv), X.shape[0])
        folds = KFold(n_folds, shuffle=True, random_state=root)
        return list(folds.split(np.empty(X.shape[0])))

    def _held_out_scores(
        self,
        X: Any,
        reader: BaseAutoEncoder | None,
        root: int,
        folds: list[tuple[np.ndarray, np.ndarray]],
        progress: FitProgress,
    ) -> np.ndarray:
        """Score each training row by autoencoders that have not seen it."""
        scores = np.empty(X.shape[0])
        for i, (train, test) in enumerate(folds, start=1):
            seeds = np.random.SeedSequence([root, i])
            rows = _safe_indexing(X, train)
            scorer = self._fitted_scorer(rows, reader, seeds, progress)
            others = scorer.members.matrix(_safe_indexing(X, test), takes_missing=True)
            scores[test] = scorer.scores(others)
        return scores

    # -- rows of a fitted detector -----------------------------------------------------

    def _rows(self, X: Any) -> Any:
        """Validate rows as those of `fit` were, and turn them into those to score."""
        reader = self.estimators_[0]
        X, _ = flat_rows(X, getattr(reader, "network", None))
        if table_of(reader) is None:
            return self._scorer.members.matrix(self._numbers(X, reset=False))
        X = named_rows(self, X, reset=False)
        return self._scorer.members.matrix(X, takes_missing=self.estimator is None)

    def _finish_loading(self) -> None:
        scorer, offset = self._scorer, self.offset_
        need(isinstance(scorer, Scorer), "a scorer that is none")
        scorer.check(self.n_features_in_)
        network = getattr(self.estimators_[0], "network", None)
        self._check_features(self.n_features_in_, network)
        check_scores(self._training_scores)
        need(
            isinstance(offset, float) and np.isfinite(offset),
            f"offset_={offset!r}, which is no finite number",
        )

    def __sklearn_is_fitted__(self) -> bool:
        return "_scorer" in self.__dict__

    def __sklearn_tags__(self) -> Tags:
        tags, inner = super().__sklearn_tags__(), get_tags(self._template())
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = self._takes_missing()
        return tags


def _has_missing(X: Any) -> bool:
    """Whether a cell is missing in a frame or in validated rows of numbers."""
    if is_frame(X):
        return any(column.missing.any() for column in read_columns(X))
    return bool(np.isnan(X.data if sparse.issparse(X) else X).any())


def _refuse_categories(X: Any, estimator: Any) -> None:
    """Refuse a frame with categories where the transformer takes numbers alone."""
    if not (is_frame(X) and has_categories(X)):
        return
    names = [str(column.name) for column in read_columns(X) if column.is_category]
    raise _needs_numbers(f"categories in {listed(names)}", estimator)


def _needs_numbers(what: str, estimator: Any) -> ValueError:
    """Make the error of X with categories, which a detector itself has to read."""
    return ValueError(
        "expected columns of numbers, because a detector compares cells with their "
        "reconstructions, and of categories it can do so for transformers of "
        f"sk_autoencoder alone, in no pipeline; got X with {what} and "
        f"estimator={one_line(estimator)}. Encode them before the detector, as in "
        "make_pipeline(OneHotEncoder(sparse_output=False), "
        "AutoEncoderOutlierDetector(PCA())), or pass "
        "estimator=AutoEncoderTransformer(...), which reads tables."
    )


@contextmanager
def _numbers_for(estimator: Any) -> Iterator[None]:
    """Validate rows for a transformer of others; say of bad ones what would do."""
    try:
        with within_float64():
            yield
    except ValueError as error:
        if str(error).startswith("Input X contains NaN"):
            raise ValueError(
                "Input X contains NaN: expected no missing cells, because by its tags "
                f"estimator={one_line(estimator)} takes none. Fill them before the "
                "detector, as in make_pipeline(SimpleImputer(), "
                "AutoEncoderOutlierDetector(PCA())), or pass "
                "estimator=AutoEncoderTransformer(allow_missing=True)."
            ) from error
        if not str(error).startswith("could not convert string"):
            raise
        raise _needs_numbers(f"text, {first_line(error)},", estimator) from None
