"""Outliers: rows that an autoencoder does not give back."""

import math
import os
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.model_selection import KFold
from sklearn.utils import Tags, check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_autoencoder._autoencoder import AutoEncoderTransformer
from sk_autoencoder._base import BaseAutoEncoder
from sk_autoencoder._base_files import (
    check_features,
    check_own_names,
    refuse_own_class,
)
from sk_autoencoder._base_tables import named_rows
from sk_autoencoder._columns import is_frame
from sk_autoencoder._columns.frames import TableFormat, index_of
from sk_autoencoder._formats import OPTIONAL, check_names
from sk_autoencoder._outlier_default import default_estimators
from sk_autoencoder._outlier_packing import (
    packed,
    packed_scorer,
    unpacked,
    unpacked_scorer,
)
from sk_autoencoder._outlier_scorer import LIKELIHOOD, MEASURES, Scorer
from sk_autoencoder._persistence import write
from sk_autoencoder._shapes import flat_rows, shaped
from sk_autoencoder._sklearn_compat import (
    Interval,
    StrOptions,
    _fit_context,
    _safe_indexing,
)
from sk_autoencoder._vae_density import HasDensity

__all__ = ["AutoEncoderOutlierDetector"]

DTYPES = [np.float64, np.float32]
# What a fit leaves, and a file keeps.
KEPT = ("_row_shape", "_scorer", "n_features_in_", "offset_")


class AutoEncoderOutlierDetector(OutlierMixin, BaseEstimator):
    """Outlier detection by autoencoders.

    An autoencoder that has few numbers to tell a row by learns what most rows have in
    common. What is unlike them comes back changed. A row's score is made of two
    distances, both by feature, in robust units that outliers cannot blow up: how far
    the row is from its reconstructions, and how far it is from the typical row, the
    medians. The first sees rows that break the rules by which features go together;
    the second sees those that keep the rules, and are far out all the same.

    By default three small autoencoders of different bottlenecks are averaged, trained
    on the four fifths of the rows that are nearest to the medians: what is odd about
    the others is not learnt. Their training is short: seconds for 5,000 rows. Memory
    beside X is that of the weights, of the rows trained on and of some chunks of rows;
    20,000 rows at most are held for the robust units.

    Parameters
    ----------
    estimator : transformer or None, default=None
        An :class:`AutoEncoderTransformer`, :class:`DenoisingAutoEncoderTransformer`
        or :class:`VAETransformer`, cloned before it is fitted. None takes up to three
        small :class:`AutoEncoderTransformer`, whose components are an eighth, a
        quarter and a half of the features, 64 at most. Categories in a frame are found
        by their dtype; for missing cells pass one with `allow_missing=True`.
    measure : {"combined", "reconstruction", "latent", "likelihood"}, \
default="combined"
        What `score_samples` measures. "combined" is the mean of the two distances
        above; "reconstruction" is the first alone, for rows that are unusual in how
        features go together; "latent" adds to it the distance of the code from the
        median code, in robust units; "likelihood" is the log density of a
        :class:`VAETransformer`, in nats.
    support_fraction : float, default=0.8
        Share of the rows that autoencoders are trained on, in (0, 1]: those whose
        numbers are nearest to the medians, and for each category a row at least. The
        units are measured on all rows.
    contamination : float, default=0.1
        Share of outliers in the training rows, in (0, 0.5]: `offset_` is so chosen.
    threshold : {"train", "held_out"}, default="train"
        Which scores of the training rows `offset_` is a quantile of. "train": their
        own. An autoencoder flatters rows that it has seen: of new ones a larger share
        than `contamination` may be told to be outliers. "held_out": the scores
        by autoencoders that were fitted to the other folds, `cv` fits more.
    cv : int, default=5
        Folds for `threshold="held_out"`.
    random_state : int, RandomState instance or None, default=None
        Takes the place of `estimator`'s, and draws the folds. None leaves `estimator`
        its own. The same int gives the same result on the same machine, bit for bit.

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
    as for a normal distribution, and no less than a twentieth of the root mean square:
    where over half the cells are the same, the median is 0. Each reconstruction's
    errors have units of their own. Distances are squared up to three units, grow in
    proportion farther off (Huber), and are averaged over the features: a typical row
    scores about -1. A category's distances are those of its one-hots, in units of their
    deviation; one that was not seen in `fit` is as far off as any category can be.
    A missing cell counts for nothing. Where a column was constant, another value is
    taken for as far off as if one of the training rows had had it.

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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [BaseAutoEncoder, None],
        "measure": [StrOptions(set(MEASURES))],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "threshold": [StrOptions({"train", "held_out"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseAutoEncoder | None = None,
        *,
        measure: str = "combined",
        support_fraction: float = 0.8,
        contamination: float = 0.1,
        threshold: str = "train",
        cv: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.support_fraction = support_fraction
        self.contamination = contamination
        self.threshold = threshold
        self.cv = cv
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is normal, from rows that may hold outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            At least two samples, and what the estimator allows.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If X or a parameter is not valid.
        """
        if self.measure == LIKELIHOOD and not isinstance(self.estimator, HasDensity):
            raise ValueError(
                "expected an estimator with a density for measure='likelihood', got "
                f"estimator={self.estimator!r}. Pass estimator=VAETransformer(...), or "
                "another measure."
            )
        X = self._training_rows(X)
        random = check_random_state(self.random_state)
        root = int(random.randint(np.iinfo(np.int32).max))
        scorer = self._fitted_scorer(X, np.random.SeedSequence([root, 0]))
        if self.threshold == "held_out":
            scores = self._held_out_scores(X, root)
        else:
            scores = scorer.scores(X)
        self._scorer = scorer
        self.offset_ = float(np.percentile(scores, 100.0 * self.contamination))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Tell outliers from other rows.

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
            for others. A row's score depends on no other row of X.
        """
        check_is_fitted(self)
        return self._scorer.scores(self._rows(X))

    def explain(self, X: Any) -> Any:
        """Tell which features make rows outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`: those that are of interest.

        Returns
        -------
        contributions : {ndarray, frame} of shape (n_samples, n_features)
            What each feature has contributed to the row's being an outlier; large is
            unusual. With measure="combined" and "reconstruction" they are 0 or more,
            and a row's sum is `-score_samples`. With the others it is how much the
            score would rise if the cell were the feature's median, or its most
            frequent category: then it may be below 0, and one more pass is made over
            the rows for each feature. A frame of the kind of X, with its columns and
            its index, where X is a frame; in the shape in which rows came to `fit`.
        """
        check_is_fitted(self)
        cells = self._scorer.contributions(self._rows(X))
        if not is_frame(X):
            return shaped(cells, self._row_shape)
        return TableFormat.of(X).of_numbers().make(list(cells.T), index_of(X))

    def save(self, path: str | os.PathLike) -> None:
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
            cannot be saved.
        """
        check_is_fitted(self)
        refuse_own_class(type(self))
        self._validate_params()
        names = [*self._get_param_names(), *KEPT]
        check_own_names(self, {*names, *OPTIONAL})
        state = {name: getattr(self, name) for name in names}
        state.update((n, vars(self)[n]) for n in OPTIONAL if n in vars(self))
        state["estimator"] = packed(self.estimator)
        state["_scorer"] = packed_scorer(self._scorer)
        write(path, type(self).__name__, state)

    @property
    def estimators_(self) -> list[BaseAutoEncoder]:
        """The fitted autoencoders."""
        return self._scorer.estimators

    # -- fitting -----------------------------------------------------------------------

    def _training_rows(self, X: Any) -> Any:
        """Validate rows to fit on: a frame stays one where it holds categories."""
        reader = self._template()
        X, self._row_shape = flat_rows(X, reader.network)
        if reader._is_table(X):
            return named_rows(self, reader._checked_table(X), reset=True)
        return validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=DTYPES,
            ensure_min_samples=2,
        )

    def _template(self) -> BaseAutoEncoder:
        return AutoEncoderTransformer() if self.estimator is None else self.estimator

    def _fitted_scorer(self, X: Any, seeds: np.random.SeedSequence) -> Scorer:
        """Fit the autoencoders to rows."""
        words = seeds.generate_state(4)
        # An autoencoder takes two rows at least.
        n_fitted = max(2, math.ceil(self.support_fraction * X.shape[0]))
        if self.estimator is None:
            default = default_estimators(n_fitted, X.shape[1])
            estimators: list[BaseAutoEncoder] = [*default]
        else:
            estimators = [clone(self.estimator)]
        if self.estimator is None or self.random_state is not None:
            for estimator, word in zip(estimators, words, strict=False):
                estimator.set_params(random_state=int(word >> 1))
        generator = np.random.default_rng(words[-1])
        return Scorer.of(estimators, self.measure, X, n_fitted, generator)

    def _held_out_scores(self, X: Any, root: int) -> np.ndarray:
        """Score each training row by autoencoders that have not seen it."""
        n_folds = min(int(self.cv), X.shape[0])
        folds = KFold(n_folds, shuffle=True, random_state=root)
        scores = np.empty(X.shape[0])
        for i, (train, test) in enumerate(folds.split(np.empty(X.shape[0])), start=1):
            seeds = np.random.SeedSequence([root, i])
            scorer = self._fitted_scorer(_safe_indexing(X, train), seeds)
            scores[test] = scorer.scores(_safe_indexing(X, test))
        return scores

    # -- rows of a fitted detector -----------------------------------------------------

    def _rows(self, X: Any) -> Any:
        """Validate rows as those of `fit` were."""
        reader = self.estimators_[0]
        X, _ = flat_rows(X, reader.network)
        if reader._table is None:
            return validate_data(
                self, X, reset=False, accept_sparse="csr", dtype=DTYPES
            )
        return named_rows(self, reader._checked_table(X), reset=False)

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        """Make a detector of what `save` has written."""
        check_names(cls.__name__, state, (*cls._get_param_names(), *KEPT), OPTIONAL)
        detector = cls.__new__(cls)
        detector.__dict__.update(state)
        detector.estimator = unpacked(state["estimator"])
        detector._validate_params()
        n_features = state["n_features_in_"]
        detector._scorer = unpacked_scorer(state["_scorer"], n_features)
        network = detector.estimators_[0]._plan.network
        check_features(detector, n_features, network)
        if not (isinstance(state["offset_"], float) and np.isfinite(state["offset_"])):
            raise ValueError(f"offset_={state['offset_']!r}, which is no finite number")
        return detector

    def __sklearn_is_fitted__(self) -> bool:
        return "_scorer" in self.__dict__

    def __sklearn_tags__(self) -> Tags:
        tags, inner = super().__sklearn_tags__(), get_tags(self._template())
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags
