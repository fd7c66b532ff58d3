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
from sk_autoencoder._outliers.scorer import LEAST_ROWS, Scorer
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

    The score of a sample combines three distances, each averaged over the features: how
    rare its values are in their columns, how far it is from its reconstructions, and
    how far it is from the most similar training samples. The first detects extreme
    values; the second detects samples that break the dependencies between features,
    since an autoencoder with few components learns only what most samples have in
    common; the third detects samples outside of the clusters that the others form.

    By default, three small autoencoders with different numbers of components are
    averaged. Each leaves out a third of the samples, so that there are scores of
    samples that it has not seen, and is trained on the four fifths of the others that
    are closest to the medians, so that it does not learn to reconstruct outliers.
    Training is short: it takes about a second for 5,000 samples. In addition to X,
    memory is needed for the weights, the samples trained on and a few chunks of
    samples. At most 20,000 samples are used to determine units, ranks and neighbors, of
    which a fitted detector keeps at most 2,048.

    Read more in the :doc:`user guide </user_guide/outliers>`.

    Parameters
    ----------
    estimator : transformer or None, default=None
        Any transformer with an `inverse_transform`; it is cloned before it is fitted.
        None uses three small :class:`AutoEncoderTransformer`, whose numbers of
        components are an eighth, a quarter and a half of the number of features, at
        most 64. With None, cells may be missing, in `fit` and later, and columns of a
        frame may be categories, according to their dtype. An
        :class:`AutoEncoderTransformer`, :class:`DenoisingAutoEncoderTransformer` or
        :class:`VAETransformer` accepts what its parameters allow. With a denoising
        autoencoder that has `features="reconstruction"` and the loss "cross_entropy",
        the error of a cell is how improbable it is, given the other cells of its
        sample. Any other transformer, such as PCA or a pipeline, is passed a matrix of
        numbers: encode categories before the detector. This matrix may have missing
        cells if the tags of the transformer allow them, or those of the steps of a
        pipeline up to an imputer; if the inverse does not return numbers, as after an
        imputer, only measure="likelihood" is available. `save` supports the
        transformers of this package and pipelines of them.
    measure : {"combined", "reconstruction", "latent", "likelihood"}, \
default="combined"
        What `score_samples` measures. "combined" is the sum of the three distances
        above, of which that to the neighbors has the largest weight; "reconstruction"
        is only the second one, for samples whose combination of features is unusual;
        "latent" adds the distance of the code from the median code, in robust units, to
        it; "likelihood" is the log density of a :class:`VAETransformer`, in nats, or
        the result of another transformer's `score_samples`.
    novelty : bool, default=False
        Whether the training samples are clean. If False, they may contain outliers, so
        the most unusual ones are used neither for training nor as neighbors. If True,
        all are considered normal and none is left out; the distance to the neighbors
        has a weight of eight instead of two; the threshold is that of held-out samples,
        and `fit_predict` is not available.

        .. versionadded:: 0.2
    support_fraction : float, default=0.8
        Fraction of the samples on which autoencoders are trained, in (0, 1]: those
        whose numbers are closest to the medians, and at least one sample for each
        category. If there are columns of which over half of the cells are the same,
        neighbors are drawn from the same fraction of the usual samples: see the notes.
        Units and ranks are determined on all samples. With 1, all samples can be
        neighbors too, and these have the weight that they have with `novelty=True`. No
        effect with `novelty=True`.
    contamination : float, default=0.1
        Fraction of outliers among the training samples, in (0, 0.5], which determines
        `offset_`. If it is not known, use `outliers`, which does not need it.
    threshold : {"auto", "train", "held_out"}, default="auto"
        Scores of the training samples from which `offset_`, a quantile, is computed.
        "train" uses their own scores. A detector rates samples that it has seen as more
        normal, so it may flag a larger fraction of new samples than `contamination`.
        "held_out" uses scores from transformers that have not seen the sample; with an
        `estimator` this takes `cv` more fits, and `fit_predict` is not available.
        "auto" is "held_out" with `novelty=True`, and "train" otherwise.
    cv : int, default=5
        Number of folds for `threshold="held_out"` if an `estimator` is given. Of three
        samples each is a fold; of two, none is held out.
    checkpoint_dir : path-like or None, default=None
        Folder in which the autoencoders save snapshots of their training, each in its
        own file. If `fit` is killed, the same call with the same data reads those that
        are finished and resumes the others, with the same result as an uninterrupted
        fit, bit for bit. Requires an int `random_state`.

        .. versionadded:: 0.2
    checkpoint_interval : float, default=60.0
        Minimum number of seconds between snapshots, which are saved at the end of an
        epoch.

        .. versionadded:: 0.2
    random_state : int, RandomState instance or None, default=None
        Seed. It replaces the `random_state` of `estimator` and of its parts, each with
        a different number, and determines the folds. With None, `estimator` keeps its
        own. An int gives the same result on the same machine, bit for bit.
    verbose : int, default=0
        1 prints a line for each autoencoder that is fitted, including those of folds; 2
        shows a progress bar. The `verbose` of `estimator` is for its epochs.

        .. versionadded:: 0.2

    Attributes
    ----------
    estimators_ : list of transformers
        The fitted autoencoders; a single one if `estimator` was given.
    offset_ : float
        Threshold: `decision_function` is `score_samples` minus `offset_`.
    drift_ : ndarray of shape (`n_features_in_`,)
        After `partial_fit`: how much the distribution of each column differs between
        its samples and those before, from 0 to 1; for numbers, the largest difference
        between the distribution functions, for categories, the total variation. 0 after
        the first call.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has column names that are strings.

    See Also
    --------
    sk_autoencoder.plotting.OutlierContributionsDisplay : Plot what makes a sample an
        outlier.
    VAETransformer : A probability density of the samples.
    sklearn.ensemble.IsolationForest : Outlier detection by random splits.

    Notes
    -----
    With "combined" the score is -(V / v + E / e + w N / n) / (2 + w), where v, e and n
    are the means of the lowest nine tenths of V, E and N over the training samples; w
    is 2, or 8 if no sample is left out. So a typical sample scores about -1.

    V is the mean of the squared normal scores of the cells: the standard normal
    quantile of the mid-rank of a cell among the training cells, at least half a rank
    from the ends. So outliers cannot inflate any unit, and in a column with a very
    frequent value, other cells are as distant as they are rare. Ranks are kept at 512
    values per column. The normal score of a category is that of a number which is
    exceeded as rarely as rarer levels occur, counting half of those that are equally
    rare; a level that over half of the cells have has a distance of 0, and one that was
    not seen in `fit` is farther away than any other.

    N is the mean squared difference of normal scores, averaged over the five nearest
    exemplars; two different levels differ by the sum of both scores. Exemplars are up
    to 2,048 training samples, fewer with more than 256 features, drawn from the nine
    tenths with the smallest V / v + E / e. The sample itself is left out. If over half
    of the cells are the same in several columns of numbers, and samples differ from
    that value in more than one of them, only `support_fraction` of the nine tenths is
    kept, without those with the largest sum of squared normal scores in these columns.

    E is the mean error of the reconstructions, as in [2]_ and [3]_. The unit of an
    error is its median, divided by 0.6745 as for a normal distribution, and at least a
    twentieth of the root mean square; in a column of which over half of the cells are
    the same, at least the unit of the column itself, which is determined by how rare
    its other cells are; for a category, it is the unit of its one-hot columns. Errors
    are squared up to three units, and grow linearly beyond [1]_. Missing cells do not
    count in any of the three. With a network that predicts the distribution of each
    cell given the others, the error is the size of the cell's normal score in that
    distribution, plus its distance beyond the training values, in standard deviations;
    the unit is 1.

    For the input of networks, numbers are clipped at ten thousand units from the
    median; how far a number lies beyond is part of its own error. So every score is
    finite, whatever the cells are.

    `p_values` are conformal [4]_, and `outliers` controls the false discovery rate as
    in [5]_.

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
    >>> odd = [[20.0, 40.0], [20.0, 55.0]]  # the second breaks the dependency
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
        """Fit the detector to samples that may contain outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            At least two samples, with what the estimator allows. A column without any
            value is ignored, with a UserWarning.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted detector. If `fit` raises an error or is interrupted, it is left
            as it was.

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
        """Fit the detector to the last samples of a stream.

        Afterwards the detector is as if it had been fitted to the last `window`
        samples. Each call is a complete fit, so pass samples in batches. The samples
        are kept in memory, but not written by `save`: after `fit` or `load`, the stream
        starts anew.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The next samples, of the same kind and with the same columns as those
            before. Together there must be at least two.
        y : Ignored
            Not used, present for API consistency by convention.
        window : int or None, default=None
            Number of last samples to keep, at least two. None is 20,000.

        Returns
        -------
        self : object
            The fitted detector, with `drift_`. If `partial_fit` raises an error, it is
            left as it was.

        Raises
        ------
        ValueError
            If X, the window or a parameter is not valid, or if X has other columns than
            the samples before.
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
        """Fit to samples, and predict which of them are outliers.

        Not available if the threshold comes from held-out samples, since the fraction
        of outliers in X is then not `contamination`.

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
            On access, if the threshold comes from held-out samples. Call `fit` with the
            training samples, then `predict`.
        ValueError
            If `fit` raises one.
        """
        return self.fit(X).predict(X)

    def predict(self, X: Any) -> np.ndarray:
        """Predict which samples are outliers.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

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
            cells that its transformers do not accept.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def decision_function(self, X: Any) -> np.ndarray:
        """Compute the distance of the scores from the threshold.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

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
            cells that its transformers do not accept.
        """
        return self.score_samples(X) - np.float64(self.offset_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples by how normal they are.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher is more normal. About -1 for a typical sample, and at most 0, except
            with measure="likelihood", which is in nats. float32 for float32 samples and
            float64 for others. Always finite: a score below the range of the dtype
            becomes its smallest number. The score of a sample does not depend on other
            samples of X.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not accept.
        """
        check_is_fitted(self)
        return self._scorer.scores(self._rows(X))

    def p_values(self, X: Any) -> np.ndarray:
        """Compute the p-value of each sample, for the hypothesis that it is normal.

        Conformal p-values: the fraction of the training samples, counting the new
        sample as one of them, whose scores are not higher, each computed by a
        transformer that has not seen the sample. If the training samples contain no
        outliers, and a sample of X comes from the same distribution, its p-value is at
        most p with a probability of about p, whatever the distribution is. Outliers
        among the training samples make p-values larger, so that fewer outliers are
        found.

        For new samples only: among the training samples themselves, every rank occurs
        once, so their p-values are meaningless.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            In (0, 1]; small for outliers. With n training samples none is below 1 / (n
            + 1), and with more than 20,000 none is below 1 / 20,001.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If there are no scores of held-out samples. The default transformers always
            have them, from three samples on; with an `estimator`, pass
            `threshold="held_out"`.
        """
        check_is_fitted(self)
        held_out = self._held_out_or_refuse()
        scores = self._scorer.member_scores(self._rows(X))
        return conformal_p_values(scores, held_out)

    def outliers(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Find outliers, of which at most a given fraction are false, on average.

        This is the procedure of Benjamini and Hochberg on the `p_values` of all samples
        of X. The more outliers there are among them, the less unusual a sample has to
        be.

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            All new samples to be judged, with the features of `fit`.
        fdr : float, default=0.1
            False discovery rate, in (0, 1): the average fraction of normal samples
            among those found.

        Returns
        -------
        is_outlier : ndarray of bool of shape (n_samples,)
            Whether each sample is among the outliers found.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `fdr` is out of its range or below the smallest possible p-value, or if
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
        """Return how much each feature contributes to a sample being an outlier.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples of interest, with the features of `fit`.

        Returns
        -------
        contributions : {ndarray, frame} of shape (n_samples, n_features)
            Contribution of each feature; large values are unusual. With
            measure="combined" and "reconstruction" contributions are at least 0 and sum
            to `-score_samples`; for "combined" they are summed over the three
            distances. An extreme cell, more than three units away, also distorts the
            reconstruction of other features: the part of their errors that would vanish
            if the extreme cell were the median of its feature, or the most frequent
            category, is attributed to that cell. With the other measures, a
            contribution is how much the score would increase if the cell had that
            value; it may be negative, and one more pass over the samples is made for
            each feature. Always finite. If X is a frame, a frame of the same kind with
            its columns and index; otherwise in the shape of the samples passed to
            `fit`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, infinite cells, or missing
            cells that its transformers do not accept.
        """
        check_is_fitted(self)
        cells = self._scorer.contributions(self._rows(X))
        if not is_frame(X):
            return shaped(cells, self._row_shape)
        return TableFormat.of(X).of_numbers().make(list(cells.T), index_of(X))

    def set_threshold(self, contamination: float) -> Self:
        """Change the threshold to another fraction of outliers, without a new fit.

        .. versionadded:: 0.2

        Parameters
        ----------
        contamination : float
            Fraction of outliers among the training samples, in (0, 0.5]. `offset_`
            becomes that quantile of the scores from which it was computed in `fit` (of
            20,000 quantiles of these if there are more samples). The parameter
            `contamination` keeps its value.

        Returns
        -------
        self : object
            The detector, with the new `offset_`.

        Raises
        ------
        ValueError
            If `contamination` is out of its range, or if the detector was loaded from a
            file of version 0.1.0, which contains no scores.
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

        Read it with `sk_autoencoder.load`. The file holds arrays and JSON, and nothing
        that is executed.

        Parameters
        ----------
        path : path-like
            File to write. An existing file is replaced once the new one is complete.
        optimizer : bool, default=False
            Whether to include the state that is only needed to train the autoencoders
            further. The detector itself does not need it.

        Raises
        ------
        TypeError
            If `estimator`, one of its parameters or a category cannot be saved.
            Supported are the transformers of this package, also in a pipeline with
            StandardScaler, MinMaxScaler or PCA; use skops or joblib for others. Of your
            own functions and classes, only the names are saved, and they have to be
            passed to `load`: functions and classes under their own names, objects under
            those of their classes, a module or a `functools.partial` under the name of
            its parameter, as in ``load(path, custom={"noise": ...})``.
        """
        check_is_fitted(self)
        write(path, self, optimizer=optimizer)

    def summary(self) -> str:
        """Describe the fit: samples, measure, members, threshold.

        .. versionadded:: 0.2

        Returns
        -------
        text : str
            Several lines: the number of samples and of columns of each kind; the
            measure; the fitted transformers, with their components and the number of
            samples that each was trained on; the exemplars with which samples are
            compared; epochs and seconds; the threshold and the scores that it is a
            quantile of; the source of p-values; the device. The wording may change in
            any release.

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
            is_held_out=self._is_held_out and self._held_out is not None,
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
        elif self.estimator is None or self._is_held_out:
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
        reader._warn_of_table(reader._read_table(X), X)
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
        n_rows = X.shape[0]
        if self.estimator is None or not self._is_held_out or n_rows < LEAST_ROWS:
            return []
        # Of three rows each is a fold: two have to be left.
        n_folds = n_rows if n_rows == LEAST_ROWS else min(int(self.cv), n_rows)
        folds = KFold(n_folds, shuffle=True, random_state=root)
        return list(folds.split(np.empty(n_rows)))

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
