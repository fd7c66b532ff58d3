"""Outliers: rows that an autoencoder does not give back."""

import math
import os
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import KFold
from sklearn.utils import Tags, check_random_state, get_tags, metadata_routing
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_autoencoder._columns import is_frame
from sk_autoencoder._columns.frames import TableFormat, index_of
from sk_autoencoder._columns.joining import join_rows
from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.validation import check_table, named_rows, numbers_alone
from sk_autoencoder._fitting.compatibility import refuse_unseeded
from sk_autoencoder._outliers.default import default_estimators
from sk_autoencoder._outliers.drift import drifts_of
from sk_autoencoder._outliers.members import (
    allows_nan,
    has_density,
    keep_in,
    one_line,
    seed,
    table_of,
)
from sk_autoencoder._outliers.progress import FitProgress
from sk_autoencoder._outliers.rows import ROWS_FOR_SCALES, last_rows
from sk_autoencoder._outliers.scorer import Scorer
from sk_autoencoder._outliers.summary import summarize
from sk_autoencoder._outliers.terms import MEASURES
from sk_autoencoder._outliers.threshold import (
    check_held_out,
    check_scores,
    conformal_p_values,
    in_order,
    least_p_value,
    offset_at,
    quantiles_of,
    rejected,
)
from sk_autoencoder._outliers.validation import (
    has_missing,
    numbers_for,
    refuse_automatic,
    refuse_categories,
)
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.files import write
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._saving.saveable import Saveable
from sk_autoencoder._utils.interrupts import all_or_nothing
from sk_autoencoder._utils.shapes import flat_rows, shaped
from sk_autoencoder._utils.sklearn_compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    _safe_indexing,
    available_if,
    fit_context,
    validate_parameter_constraints,
)
from sk_autoencoder._utils.tasks import FitTasks

DTYPES = [np.float64, np.float32]
# What `partial_fit` leaves beside a fit; a pickle holds it, and no file.
STREAMED = ("_window", "drift_")


@loadable()
class AutoEncoderOutlierDetector(CallbackSupportMixin, OutlierMixin, Saveable):
    """Outlier detection by autoencoders.

    A row's score adds up three distances, each a mean over the features: how rare its
    cells are in their columns, how far it is from reconstructions of itself, and how
    far it is from the most similar training rows. The first sees rows that are far out;
    the second those that break the rules by which features go together, since an
    autoencoder that has few numbers to tell a row by learns what most rows have in
    common; the third those that are between or beside the groups that the others form.

    By default three small autoencoders of different bottlenecks are averaged. Each
    leaves out a third of the rows, so that there are scores of rows that it has not
    seen, and is trained on the four fifths of the others that are nearest to the
    medians: what is odd about the rest is not learned. Their training is short: about a
    second for 5,000 rows. Memory beside X is that of the weights, of the rows trained
    on and of some chunks of rows; 20,000 rows at most are held to measure units, ranks
    and neighbors, of which a fitted detector keeps 2,048 at most.

    Read more in the :doc:`user guide </user_guide/outliers>`.

    Parameters
    ----------
    estimator : transformer or None, default=None
        Any transformer with an `inverse_transform`, cloned before it is fitted. None
        takes three small :class:`AutoEncoderTransformer`, whose components are an
        eighth, a quarter and a half of the features, 64 at most. None takes missing
        cells, in `fit` and later on, and categories in a frame, by their dtype. An
        :class:`AutoEncoderTransformer`, :class:`DenoisingAutoEncoderTransformer` or
        :class:`VAETransformer` takes what its parameters allow. Of a denoising one with
        `features="reconstruction"` and the loss "cross_entropy" an error is how
        improbable a cell is, given the others of its row. Any other transformer,
        such as PCA or a pipeline, a pipeline of ours too, gets a matrix of numbers:
        encode categories before the detector. It gets missing cells too, if it says
        by its tags that it takes them, or, of a pipeline, the steps up to an imputer
        do; where its inverse does not bring back numbers, as behind an imputer,
        measure="likelihood" remains. `save` takes no other than pipelines of ours.
    measure : {"combined", "reconstruction", "latent", "likelihood"}, \
default="combined"
        What `score_samples` measures. "combined" is the sum of the three distances
        above, of which the neighbors' counts most; "reconstruction" is the second
        alone, for rows that are unusual in how features go together; "latent" adds to
        that the distance of the code from the median code, in robust units;
        "likelihood" is the log density of a :class:`VAETransformer`, in nats, or what
        another transformer's `score_samples` returns.
    novelty : bool, default=False
        Whether the rows of `fit` are clean. False: they may hold outliers. Those that
        are least usual are not trained on and not compared with. True: they are all as
        rows should be, and none is left out; neighbors count eight times in place of
        twice; the threshold is that of held-out rows, and `fit_predict` is not
        available.
    support_fraction : float, default=0.8
        Fraction of the rows that autoencoders are trained on, in (0, 1]: those whose
        numbers are nearest to the medians, and for each category a row at least. Where
        numbers have spikes, neighbors are drawn from as large a fraction of the usual
        rows: see the notes. Units and ranks are measured on all rows. With 1 no row is
        left out of the neighbors either, which count as with `novelty=True`. No effect
        with `novelty=True`.
    contamination : float, default=0.1
        Fraction of outliers in the training rows, in (0, 0.5]: `offset_` is so chosen.
        Where no fraction is known, `outliers` needs none.
    threshold : {"auto", "train", "held_out"}, default="auto"
        Which scores of the training rows `offset_` is a quantile of. "train": their
        own. A detector flatters rows that it has seen: of new ones a larger fraction
        than `contamination` may be outliers. "held_out": the scores by transformers
        that have not seen them; with an `estimator` given it takes `cv` fits more, and
        `fit_predict` is not available. "auto" is "held_out" with `novelty=True`, else
        "train".
    cv : int, default=5
        Folds for `threshold="held_out"` with an `estimator` given.
    checkpoint_dir : path-like or None, default=None
        Folder in which the autoencoders inside keep snapshots of their training, each
        in a file of its own. After `fit` was killed, the same call with the same data
        takes up those that are done and goes on with the others, and gives what it
        would have given, bit for bit. Needs an int `random_state`.
    checkpoint_interval : float, default=60.0
        Seconds from one snapshot to the next, each at the end of an epoch.
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
    drift_ : ndarray of shape (`n_features_in_`,)
        After `partial_fit`: how far each column of its rows is from the rows before,
        from 0 to 1; of numbers the largest difference of the distribution functions, of
        categories the total variation. 0 after the first call.
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
    With "combined" the score is -(V / v + E / e + w N / n) / (2 + w), where v, e and n
    are the means of the lowest nine tenths of V, E and N over the training rows; w is
    2, and 8 if no row is left out. So a typical row scores about -1.

    V is the mean of the squared normal scores of the cells: the standard normal
    quantile of a cell's mid-rank among the training cells, at least half a rank from
    the ends. So no unit can be blown up, and in a column with a spike a cell is as far
    off as such cells are rare. Ranks are kept at 512 values a column. The normal score
    of a category is that of a number which is exceeded as seldom as a rarer level is
    met, half of those as rare counted; a level that over half of the cells have is not
    off, and one that was not seen in `fit` is farther off than any other.

    N is the mean over the five nearest exemplars of the mean squared difference of
    normal scores; two different levels differ by both. Exemplars are up to 2,048
    training rows, drawn from the nine tenths with the least V / v + E / e, fewer with
    more than 256 features. One that is the same row is left out. In some columns of
    numbers over half of the cells are the same: if rows differ from that in several
    columns, only the `support_fraction` of the nine tenths is left, without those whose
    sum of squared normal scores there is largest.

    E is the mean error of the reconstructions, as in [2]_ and [3]_. The unit of an
    error is its median, divided by 0.6745 as for a normal distribution, no less than a
    twentieth of the root mean square; in a column of which over half of the cells are
    the same, no less than the unit of the column itself, which is measured by how rare
    its other cells are; of a category it is that of the one-hots. Errors are squared up
    to three units, and grow in proportion farther off [1]_. A missing cell counts for
    nothing, in all three. Of a network that gives a distribution of each cell given the
    others, the error is the size of the cell's normal score in that distribution, plus
    how far it is beyond the training values, in standard deviations; the unit is 1.

    Networks see a number at most ten thousand units from the median; how far off it is
    beyond, its own error tells. So every score is finite, whatever the cells are.

    `p_values` are conformal [4]_, and `outliers` keeps false discoveries few as in
    [5]_.

    References
    ----------
    .. [1] Huber (1964), Robust estimation of a location parameter, Annals of
       Mathematical Statistics 35, https://doi.org/10.1214/aoms/1177703732
    .. [2] Hawkins, He, Williams and Baxter (2002), Outlier detection using replicator
       neural networks, DaWaK, https://doi.org/10.1007/3-540-46145-0_17
    .. [3] Chen, Sathe, Aggarwal and Turaga (2017), Outlier detection with autoencoder
       ensembles, SDM, https://doi.org/10.1137/1.9781611974973.11
    .. [4] Vovk (2015), Cross-conformal predictors, Annals of Mathematics and Artificial
       Intelligence 74, https://doi.org/10.1007/s10472-013-9368-4
    .. [5] Bates, Candes, Lei, Romano and Sesia (2023), Testing for outliers with
       conformal p-values, Annals of Statistics 51, https://doi.org/10.1214/22-AOS2244

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
    >>> detector.set_threshold(contamination=0.2).predict(X).tolist().count(-1)
    100
    >>> clean = AutoEncoderOutlierDetector(novelty=True, random_state=0).fit(X)
    >>> clean.p_values(odd) < 0.01
    array([False,  True])
    >>> clean.outliers(odd, fdr=0.1)
    array([False,  True])
    """

    __metadata_request__partial_fit = {"window": metadata_routing.UNUSED}

    # None in what version 0.1.0 has saved.
    _training_scores: np.ndarray | None = None
    _held_out: tuple[np.ndarray, ...] | None = None

    _saved_attributes: ClassVar[tuple[str, ...]] = (
        "_scorer",
        "_held_out",
        "_training_scores",
        "_row_shape",
        "n_features_in_",
        "offset_",
    )
    _unsaved: ClassVar[tuple[str, ...]] = STREAMED
    _objects: ClassVar[dict[str, tuple[type, ...]]] = {
        "estimator": (AutoEncoderTransformer,)
    }
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "transform", "inverse_transform"]), None],
        "measure": [StrOptions(set(MEASURES))],
        "novelty": ["boolean"],
        "support_fraction": [Interval(Real, 0, 1, closed="right")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "threshold": [StrOptions({"auto", "train", "held_out"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "checkpoint_dir": [str, os.PathLike, None],
        "checkpoint_interval": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        measure: str = "combined",
        novelty: bool = False,
        support_fraction: float = 0.8,
        contamination: float = 0.1,
        threshold: str = "auto",
        cv: int = 5,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 60.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.novelty = novelty
        self.support_fraction = support_fraction
        self.contamination = contamination
        self.threshold = threshold
        self.cv = cv
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_interval = checkpoint_interval
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
        tasks = FitTasks(self, X, y)
        with all_or_nothing(self):
            refuse_unseeded(self.checkpoint_dir, self.random_state)
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
            with FitProgress(n_fits, self.verbose, tasks) as progress:
                seeds = np.random.SeedSequence([root, 0])
                scorer, held_out = self._fitted_scorer(X, reader, seeds, progress)
                if folds:
                    held_out = self._held_out_scores(X, reader, root, folds, progress)
            if self._is_held_out and held_out is not None:
                scores = np.concatenate(held_out)
            else:
                scores = scorer.scores(scorer.members.matrix(X))
            for name in STREAMED:
                self.__dict__.pop(name, None)
            self._scorer, self._held_out = scorer, in_order(held_out)
            self._training_scores = quantiles_of(scores)
            self.offset_ = offset_at(scores, self.contamination)
            tasks.end_fit()
        return self

    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, *, window: int | None = None) -> Self:
        """Go on with the next rows of a stream.

        The detector becomes what `fit` would make of the last `window` rows: a fit for
        each call, so pass rows in batches. These rows are held in memory, but not in a
        file of `save`. What was fitted by `fit`, or loaded, has none, and begins anew.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The next rows, of the kind and with the columns of those before; with them
            there have to be two at least.
        y : Ignored
            Not used, present for API consistency by convention.
        window : int or None, default=None
            How many of the last rows count, two at least. None is 20,000.

        Returns
        -------
        self : object
            The fitted detector, with `drift_`. If `partial_fit` raises, it is as it was
            before.

        Raises
        ------
        ValueError
            If X, the window or a parameter is not valid, or X has other columns than
            the rows before.
        """
        validate_parameter_constraints(
            {"window": [Interval(Integral, 2, None, closed="left"), None]},
            {"window": window},
            caller_name="partial_fit",
        )
        with all_or_nothing(self):
            own, drift = self.__dict__, None
            before = own.get("_window")
            if before is not None:
                is_category = self._scorer.members.scales.is_category
                drift = drifts_of(self._rows(before), self._rows(X), is_category)
                X = join_rows(before, X, "X of this call")
            X = last_rows(X, ROWS_FOR_SCALES if window is None else window)
            self.fit(X)
            own["_window"] = X
            own["drift_"] = np.zeros(self.n_features_in_) if drift is None else drift
        return self

    def _has_fit_predict(self) -> bool:
        """Whether the threshold comes from the training rows; say why not."""
        if self._is_held_out:
            raise AttributeError(
                "expected a threshold from the training rows, got "
                f"novelty={self.novelty!r} and threshold={self.threshold!r}, where it "
                "comes from held-out ones. Pass threshold='train', or use fit(X) and "
                "predict(X)."
            )
        return True

    @available_if(_has_fit_predict)
    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit to rows, and predict whether these are outliers.

        Not available where the threshold comes from held-out rows, since then other
        rows than a fraction `contamination` of X are outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            As in `fit`.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,)
            -1 for outliers, 1 for others: `fit(X).predict(X)`.

        Raises
        ------
        AttributeError
            On access, where the threshold comes from held-out rows. Call `fit` with the
            training rows, then `predict`.
        ValueError
            If `fit` raises one.
        """
        return self.fit(X).predict(X)

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

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not take.
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

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not take.
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

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not take.
        """
        check_is_fitted(self)
        return self._scorer.scores(self._rows(X))

    def p_values(self, X: Any) -> np.ndarray:
        """Compute how likely a usual row is to be as unusual as each row.

        Conformal p-values: the fraction of the training rows, this row counted as one
        of them, whose scores are no higher, each by a transformer that has not seen it.
        If the training rows hold no outliers, and a row of X comes from where they
        came from, its p-value is at most p with a probability of about p, whatever the
        rows look like. Outliers among the training rows make p-values larger: fewer
        rows are found.

        For new rows. Training rows among themselves have every rank once, so that
        their p-values reject none or some at random.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            In (0, 1]; small for outliers. With n training rows none is below
            1 / (n + 1), and with over 20,000 none is below 1 / 20,001.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `fit` has kept no scores of held-out rows. The default transformers
            always have them, from three rows on; with an `estimator` given it takes
            `threshold="held_out"`.
        """
        check_is_fitted(self)
        held_out = self._held_out_or_refuse()
        scores = self._scorer.member_scores(self._rows(X))
        return conformal_p_values(scores, held_out)

    def outliers(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Find outliers, of which at most a given fraction are false, on average.

        The procedure of Benjamini and Hochberg on the `p_values` of all rows of X. The
        more outliers there are among them, the less unusual a row has to be.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            New rows with the features of `fit`, all that are to be judged.
        fdr : float, default=0.1
            False discovery rate, in (0, 1): the fraction of usual rows among those
            found, on average.

        Returns
        -------
        is_outlier : ndarray of bool of shape (n_samples,)
            Whether each sample is among the outliers found.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `fdr` is out of its range, or below the least possible p-value; or if
            `p_values` raises one.
        """
        check_is_fitted(self)
        held_out = self._held_out_or_refuse()
        validate_parameter_constraints(
            {"fdr": [Interval(Real, 0, 1, closed="neither")]},
            {"fdr": fdr},
            caller_name="outliers",
        )
        least = least_p_value(held_out)
        if fdr < least:
            raise ValueError(
                f"expected fdr of at least {least:.3g}, the least p-value that is "
                f"possible with {round(1 / least) - 1} held-out training rows, got "
                f"fdr={fdr!r}: no row could be found. Fit on more rows, or pass a "
                "larger fdr."
            )
        return rejected(self.p_values(X), fdr)

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
            and a row's sum is `-score_samples`: of "combined" what the three distances
            have of each feature, added up. A wild cell, over three units off,
            spoils the reconstruction of other features too: what those that are less
            far off have beyond what they would have if it were the feature's median,
            or its most frequent category, is the wild cell's. With the other measures
            it is how much the score would rise if the cell were that: then it may be
            below 0, and one more pass is made over the rows for each feature. Finite.
            A frame of the kind of X, with its columns and its index, where X is a
            frame; in the shape in which rows came to `fit`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not take.
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
        refuse_automatic(contamination)
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

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted detector to one file, without pickle.

        `sk_autoencoder.load` reads it. The file holds arrays and JSON, nothing that is
        run.

        Parameters
        ----------
        path : path-like
            A file that is there is replaced, once the new one is whole.
        optimizer : bool, default=False
            Whether to include what only further training of the autoencoders needs.
            The detector itself never does.

        Raises
        ------
        TypeError
            If `estimator`, one of its parameters or a category is of a kind that
            cannot be saved. A detector of another transformer than those of this
            package, or a pipeline of one with StandardScaler, MinMaxScaler or PCA, is
            one: dump it with skops or joblib. What is your own is only named in the
            file, for `load` to ask for again: functions and classes under their own
            names, objects under those of their classes, a module or a
            `functools.partial` under the name of its parameter, as in
            ``load(path, custom={"noise": ...})``.
        """
        check_is_fitted(self)
        write(path, self, optimizer=optimizer)

    def summary(self) -> str:
        """Describe the fit: samples, measure, members, threshold.

        Returns
        -------
        text : str
            A line for each subject: how many samples and columns of which kind; the
            measure; the fitted transformers, their components and the samples that each
            was trained on; the exemplars that rows are compared with; epochs and
            seconds; the threshold, and what it is a quantile of; what p-values come
            from; the device. Its wording may change in any release.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        return summarize(
            type(self).__name__,
            self._scorer,
            measure=self.measure,
            novelty=bool(self.novelty),
            offset=self.offset_,
            scores=self._training_scores,
            held_out=self._held_out,
            is_held_out=self._is_held_out,
        )

    @property
    def estimators_(self) -> list[BaseAutoEncoder]:
        """The fitted autoencoders."""
        return self._scorer.members.estimators

    def _held_out_or_refuse(self) -> tuple[np.ndarray, ...]:
        """Return the scores of held-out rows; say what to do where there are none."""
        if self._held_out is not None:
            return self._held_out
        if self._training_scores is None:
            reason = "is from a file of version 0.1.0, which holds none. Fit it again"
        elif self.estimator is None:
            reason = "was fitted to 2 rows. Fit it to more"
        else:
            reason = (
                f"was fitted with estimator={one_line(self.estimator)} and "
                f"threshold={self.threshold!r}. Pass threshold='held_out', and fit it "
                "again"
            )
        raise ValueError(
            "expected a detector with scores of held-out training rows, got one that "
            f"{reason}."
        )

    # -- fitting -----------------------------------------------------------------------

    def _training_rows(self, X: Any) -> tuple[Any, BaseAutoEncoder | None]:
        """Validate rows to fit on; return what reads them as a table, or None.

        A frame stays one where it holds categories.
        """
        reader = self._template()
        X, self._row_shape = flat_rows(X, getattr(reader, "network", None))
        if not isinstance(reader, BaseAutoEncoder):
            refuse_categories(X, reader)
            return self._numbers(X, reset=True), None
        if reader._reads_as_table(X):
            X = named_rows(self, X, reset=True, min_samples=2)
            missing = self.estimator is None and has_missing(X)
        else:
            X = self._numbers(X, reset=True)
            missing = self.estimator is None and has_missing(X)
            if not missing:
                return X, None
            X = check_table(self, X)  # refuses sparse rows
        reader.allow_missing |= missing
        if reader.allow_missing:
            reader._read_table(X).warn(X.shape[0], reader.categorical_features)
        return X, reader

    def _validate_params(self) -> None:
        refuse_automatic(self.contamination)
        super()._validate_params()

    @property
    def _is_held_out(self) -> bool:
        """Whether the threshold comes from rows that were held out."""
        if self.threshold == "auto":
            return bool(self.novelty)
        return self.threshold == "held_out"

    @property
    def _support(self) -> float:
        """Fraction of the rows that autoencoders are trained on."""
        return 1.0 if self.novelty else self.support_fraction

    def _template(self) -> Any:
        return AutoEncoderTransformer() if self.estimator is None else self.estimator

    def _numbers(self, X: Any, *, reset: bool) -> Any:
        """Validate rows of numbers."""
        reader = self._template()
        ours = isinstance(reader, BaseAutoEncoder)
        takes_sparse = ours or get_tags(reader).input_tags.sparse
        with numbers_alone(X) if ours else numbers_for(reader, X):
            return validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr" if takes_sparse else False,
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
    ) -> tuple[Scorer, tuple[np.ndarray, ...] | None]:
        """Fit the transformers to rows; score those that each has left out, if any."""
        words = seeds.generate_state(4)
        estimators = self._unfitted(X.shape[0], X.shape[1], reader)
        if self.estimator is None or self.random_state is not None:
            for estimator, word in zip(estimators, words, strict=False):
                seed(estimator, int(word))
        if self.checkpoint_dir is not None:
            for estimator in estimators:
                keep_in(estimator, self.checkpoint_dir, self.checkpoint_interval)
        return Scorer.fit(
            estimators,
            self.measure,
            X,
            self._support,
            np.random.default_rng(words[-1]),
            reader=reader,
            fitting=progress.fitting,
        )

    def _unfitted(
        self, n_rows: int, n_features: int, reader: BaseAutoEncoder | None
    ) -> list[Any]:
        """Make the transformers for so many rows, of which some are fitted to."""
        if self.estimator is not None:
            return [clone(self.estimator)]
        missing = reader is not None and reader.allow_missing
        # Each leaves out a third of the rows.
        n_fitted = max(2, math.ceil(2 / 3 * self._support * n_rows))
        return [*default_estimators(n_fitted, n_features, allow_missing=missing)]

    def _folds(self, X: Any, root: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Draw the folds whose scores the threshold comes from, if it does."""
        if self.estimator is None or not self._is_held_out:
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
    ) -> tuple[np.ndarray, ...]:
        """Score each training row by a transformer that has not seen it."""
        scores = np.empty(X.shape[0])
        for i, (train, test) in enumerate(folds, start=1):
            seeds = np.random.SeedSequence([root, i])
            rows = _safe_indexing(X, train)
            progress.part = f", fold {i} of {len(folds)}"
            scorer, _ = self._fitted_scorer(rows, reader, seeds, progress)
            others = scorer.members.matrix(_safe_indexing(X, test), takes_missing=True)
            scores[test] = scorer.scores(others)
        return (scores,)

    # -- rows of a fitted detector -----------------------------------------------------

    def _rows(self, X: Any) -> Any:
        """Validate rows as those of `fit` were, and turn them into those to score."""
        reader = self.estimators_[0]
        X, _ = flat_rows(X, getattr(reader, "network", None))
        if table_of(reader) is None:
            return self._scorer.members.matrix(self._numbers(X, reset=False))
        X = named_rows(self, X, reset=False)
        return self._scorer.members.matrix(X, takes_missing=self.estimator is None)

    def _check_saved(self) -> None:
        scorer, offset = self._scorer, self.offset_
        need(isinstance(scorer, Scorer), "a scorer that is none")
        scorer.check(self.n_features_in_)
        network = getattr(self.estimators_[0], "network", None)
        self._check_features(self.n_features_in_, network)
        check_scores(self._training_scores)
        check_held_out(self._held_out, len(scorer.members.estimators))
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
