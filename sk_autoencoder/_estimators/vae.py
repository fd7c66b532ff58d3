"""The variational autoencoder."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state, check_scalar
from torch import Tensor

from sk_autoencoder._estimators.absent import CELLS, Absent
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.constraints import PARAMETER_CONSTRAINTS
from sk_autoencoder._estimators.pca_contract import has_variances
from sk_autoencoder._fitting.build import LINEAR_SHARE, noise_variance
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.ranges import check_unit_interval
from sk_autoencoder._fitting.settings import OptimizerParameter
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.density import (
    BOUND_DRAWS,
    LinearDensity,
    balanced_draws,
    covariance_of_density,
    log_density,
)
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._objectives import Variational
from sk_autoencoder._objectives.variational import split_statistics
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._training.config import Precision
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.schedules import Schedule
from sk_autoencoder._utils.sklearn_compat import Interval, StrOptions, available_if
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.torch_compat import torch_defaults

# A component is active if its posterior means vary by more than this over the samples
# (Burda et al. 2016, section 5.2).
ACTIVE = 0.01


@loadable()
@dataclass(eq=False, repr=False)
class VAETransformer(BaseAutoEncoder):
    """Variational autoencoder: a code with a normal prior, and a density of samples.

    The encoder returns a normal distribution for each component; its mean is the code
    that `transform` returns. The decoder returns a distribution of samples. Training
    maximizes a lower bound of the density of the samples.

    With `init="pca"` the model is probabilistic PCA before the first step, and training
    keeps the epoch with the best bound on the validation set, so as a density it is PCA
    or better. The components are sorted by their information about the samples. After
    training, the density of numbers is mixed with a hundredth of that of probabilistic
    PCA: even a sample that is unlike the training samples has at least a hundredth of
    the density that PCA assigns to it.

    To sample or impute realistic rows of a table of numbers and categories, use
    `DenoisingAutoEncoderTransformer(features="reconstruction")`, whose samples are
    harder to tell from real rows.

    `transform` and `score_samples` are deterministic. In addition to X, memory is
    needed for the weights, and for a float32 copy of X unless X is float32 in C order.

    Read more in the :doc:`user guide </user_guide/density>`.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Number of components, the length of a code. None is min(n_samples, n_features),
        as in PCA. A larger number is allowed with a warning, since such a code
        compresses nothing. A float in (0, 1) is the fraction of the variance to
        explain: several fits search for the smallest number of components that explain
        it on the validation set, up to the number that PCA needs on all samples; if
        these are too few, there is a warning. A float cannot be used with
        `partial_fit`.
    whiten : bool, default=False
        Whether to return codes that are uncorrelated and have unit variance on the
        training samples. `inverse_transform` undoes it.
    rotation : {"varimax"} or None, default=None
        "varimax" rotates the code so that, at the mean sample, each component has a
        strong effect on a few columns and little on the others, and sorts the
        components by the variance that they explain. The reconstruction stays the same.

        .. versionadded:: 0.2
    align_to : FrozenEstimator or None, default=None
        `sklearn.frozen.FrozenEstimator(old)` rotates the code as close as possible to
        that of `old`, a fitted transformer of this package with the same number of
        components and the same features, so that the components of a refit keep their
        signs, order and orientation. The rotation is determined on the training
        samples. The whole code, and what it reconstructs, stay the same;
        `alignment_error_` is the remaining difference. Cannot be combined with a
        fractional `n_components` or `rotation`.

        .. versionadded:: 0.2
    prior : {"standard", "mixture"}, default="standard"
        Distribution of the codes. "mixture" is a Gaussian mixture fitted, after
        training, to the codes of the training samples, with the number of its
        components chosen by the Bayesian information criterion. `partial_fit` fits it
        to the codes of its last call with more samples than components. `sample` and
        `score_samples` use it instead of the standard normal distribution, which is
        assumed in training.
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Number of units in each layer between the input and the code, in the order of
        the encoder; the decoder mirrors them. "auto" is (256, 128).
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="silu"
        Activation after each hidden layer. Each layer gets its own copy of a module,
        whose weights are trained; the module must keep the shape of its input and must
        not be random.
    dropout : float, default=0.0
        Fraction of units set to zero in training after each hidden layer, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalize each hidden layer over the batch.
    network : network specification or None, default=None
        A specification such as :class:`~sk_autoencoder.networks.MLP`, instead of the
        four parameters above, which must then keep their defaults.
    likelihood : {"auto", "gaussian", "isotropic", "bernoulli"}, default="auto"
        Density of a cell around the decoder's output. "auto" is "gaussian": each column
        has its own variance, estimated from the data and bounded away from 0.
        "isotropic" has one variance for all cells, like probabilistic PCA. "bernoulli"
        requires X in [0, 1], or `numeric_scaling="minmax"`. The categories of a table
        have softmax probabilities.
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"}, \
default="auto"
        Units in which errors of numbers are measured. The input of the network is
        standardized in any case, except for a `UserNetwork` with `init="random"`.
        "none" keeps the units of X, as PCA does; "standard" divides each column by its
        standard deviation; "minmax" by its range; "rank_gauss" replaces values by the
        normal scores of their ranks. "auto" is "none", and "standard" for tables with
        categories.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Categorical columns: names, positions or a boolean mask. "from_dtype" selects
        the columns of a frame whose dtype is categorical, string or boolean. None
        treats all columns as numbers. Categories with up to 64 levels are one-hot
        encoded, those with more levels are encoded as random codes of a few numbers;
        each is decoded by a softmax.
    allow_missing : bool, default=False
        Whether cells may be missing: NaN, None or NA. Missing cells do not count in the
        loss, the network sees which cells are missing, and reconstructions have values
        for them. If False, missing cells raise an error. A column that is empty in
        `fit` is left out, with a warning, and is missing in reconstructions.
    handle_unknown : {"ignore", "error"}, default="ignore"
        What to do with categories that were not seen in `fit`: treat them as missing,
        or raise an error. Missing cells do not count in `score_samples`: a sample with
        an unknown category may have a higher density than it would have if the category
        were known.
    column_weights : dict, array-like of shape (n_features,) or None, default=None
        Weights of the columns in the loss, by name or in their order; a column without
        one has the weight 1. None gives all columns the same weight, whatever their
        kind.
    beta : float, default=1.0
        Weight of the Kullback-Leibler divergence between the posterior of the code and
        its prior. Above 1 the code is simpler and reconstructs worse; 0 is an
        autoencoder.
    kl_warmup : int, default=0
        Number of epochs over which this weight increases from 0 to `beta`.
    free_bits : float, default=0.0
        Divergence of each component, in nats, that is not penalized in training.
    init : {"auto", "pca", "random"}, default="auto"
        How the model is initialized. With "pca" the model is probabilistic PCA before
        the first step, and the epoch with the best bound on the validation set is kept,
        including the state before the first step. If all columns are numbers with
        normal densities, the trained density is mixed with a hundredth of that of
        probabilistic PCA. "random" has no linear part and no fallback. "auto" is
        "random" for a :class:`~sk_autoencoder.networks.UserNetwork`, which is then the
        whole model, else "pca".
    optimizer : {"adam", "adamw", "sgd"}, torch optimizer class or partial of one, \
default="adamw"
        Optimizer that updates the weights. Pass further arguments of a class as in
        `functools.partial(torch.optim.SGD, momentum=0.9)`.
    lr : float or "auto", default="auto"
        Learning rate. "auto" is 0.002 for "adam" and "adamw", 0.3 for "sgd" (0.6 with
        SiLU after dense layers). For a class, it is the default of that class.
    weight_decay : float or "auto", default="auto"
        Weight decay. "auto" is 0.1 for "adamw", 0 for "adam" and "sgd". For a class, it
        is the default of that class.
    lr_schedule : None, float, "cosine" or callable, default=None
        Schedule of the learning rate. None keeps `lr` constant; a float in (0, 1] is a
        factor applied after each epoch; "cosine" decreases `lr` to 0 over `max_epochs`;
        a callable takes the epoch, counted from 0, and returns a factor, 0 or more.
    max_epochs : int or "auto", default="auto"
        Maximum number of passes over the training samples; with 0 nothing is trained.
        "auto" is 150, but increased to at least 1,500 steps (with fewer than 100
        samples, to 15 steps per sample) and limited to 4,000 steps.
    batch_size : int or "auto", default="auto"
        Number of samples in each step. "auto" is a power of two close to a 16th of the
        number of samples, from 32 to 256.
    early_stopping : bool, default=True
        Whether to set a validation set aside, to stop when the loss on it no longer
        improves, and to keep the epoch with the smallest loss. With very few samples
        there is no validation set. Without one, the model cannot fall back to PCA.
    validation_fraction : float, default=0.1
        Fraction of the samples in the validation set, in (0, 1), chosen at random; not
        used if a validation set is passed to `fit` as `X_val`.
    n_iter_no_change : int or "auto", default="auto"
        Number of epochs without improvement after which training stops. "auto"
        corresponds to 400 steps, or to six tenths of the steps up to the best epoch if
        these are more.
    tol : float, default=0.0
        Decrease of the loss on the validation set that counts as an improvement.
    precision : {"float32", "bf16"}, default="float32"
        Precision of matrix products in training. "bf16" is faster for large networks if
        the processor or the GPU has instructions for it. Results, and the linear part
        of the model, are computed in float32 or better.
    device : str or torch.device, default="auto"
        Device to compute on. "auto" is a CUDA device if there is one, and the CPU
        otherwise.
    callbacks : list of skorch callbacks or None, default=None
        Callbacks that skorch calls during training. Those that access single batches or
        gradients slow down small networks.
    net_params : dict or None, default=None
        Further arguments of the skorch net, such as `gradient_clip` (10.0 with
        `init="pca"`, else 1.0; None does not clip) and `weight_average` (0.99, or
        None).
    checkpoint_dir : path-like or None, default=None
        Folder in which `fit` saves snapshots of its training. If a fit is killed, the
        same call with the same data resumes from the last snapshot, with the same
        result as an uninterrupted fit, bit for bit; once finished, the same call reads
        the result from the folder. Each fit has its own file, so those of a search may
        share a folder, which can be deleted at any time. Requires an int
        `random_state`. `partial_fit` saves no snapshots.

        .. versionadded:: 0.2
    checkpoint_interval : float, default=60.0
        Minimum number of seconds between snapshots, which are saved at the end of an
        epoch; 0 saves one after each epoch.

        .. versionadded:: 0.2
    distributed : bool, default=False
        Whether several processes train one network in `fit`, where each computes the
        gradient of its part of every batch. Start them with torchrun, call
        ``torch.distributed.init_process_group``, and pass all samples and the same int
        `random_state` in each. Up to rounding, all end with the model that one process
        would have; only the first one prints.

        .. versionadded:: 0.2
    warm_start : bool, default=False
        Whether `fit` continues from the previous fit: its weights, the state of its
        optimizer, its random generators and its scales.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. An int gives the same result on the same machine,
        bit for bit. Global generators are not used, except that None takes one number
        from numpy's.
    verbose : int, default=0
        1 prints skorch's table, one line per epoch; 2 shows a progress bar.

    Attributes
    ----------
    n_components_ : int
        Length of a code: the number of columns that `transform` returns.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has column names that are strings.
    mean_ : ndarray of shape (n_features,)
        Mean of the training samples; NaN for a category.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        The sum is the fraction of the variance of the training samples that the code
        explains, as in PCA. It is divided among the components in proportion to their
        variances.
    components_ : ndarray of shape (n_components, n_encoded_features)
        How the reconstruction changes with each component at `mean_code_`, per unit of
        the code. In the units of X; of a table with categories in those in which errors
        are measured, and columns are named by `encoded_feature_names_`.
    explained_variance_ : ndarray of shape (n_components,)
        `explained_variance_ratio_` times the variance of the training samples, at least
        0.
    singular_values_ : ndarray of shape (n_components,)
        Square root of `n_samples_` - 1 times `explained_variance_`.
    noise_variance_ : float
        Variance that is not explained by the code, divided by the number of directions
        that the code leaves out; 0 if there are none.
    alignment_error_ : float
        With `align_to`, the remaining difference between the codes of the training
        samples and those of `old`: the Frobenius norm of the difference, relative to
        that of the old codes, both centered. 0 means no drift. After `partial_fit`, for
        the last samples.
    mean_code_ : ndarray of shape (n_components,)
        Code of the mean training sample.
    n_samples_ : int
        Number of training samples, of all calls of `partial_fit` together.
    encoded_feature_names_ : ndarray of str, shape (n_encoded_features,)
        Names of the encoded columns: for a category, one for each level, or for each
        number of its code.
    loss_curve_ : list of float
        Mean loss of the training samples, one value per epoch, in nats per sample.
    validation_loss_curve_ : list of float
        The same for the validation set; empty without one.
    best_epoch_ : int
        Epoch whose weights were kept, counted from 1; 0 is the state before the first
        epoch.
    n_iter_ : int
        Number of epochs.
    kl_per_component_ : ndarray of shape (n_components,)
        Mean divergence of each component from the prior on the training samples, in
        nats, in decreasing order, which is the order of the components. The components
        of a `UserNetwork` with `init="random"` stay in the order of its encoder.
    active_units_ : int
        Number of components that depend on the sample: those whose posterior means have
        a variance above 0.01.
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module.
    history_ : skorch.history.History
        One dict per epoch: losses, batches, seconds.
    device_ : str
        Device on which the module is.

    See Also
    --------
    AutoEncoderTransformer : Dimensionality reduction by an autoencoder.
    sklearn.decomposition.PCA : Its `score` is the linear counterpart.

    Notes
    -----
    The model is that of [1]_ and starts as probabilistic PCA [2]_; `score_samples`
    estimates log p(x) as [3]_ does. The variance of the Gaussian likelihood is found as
    in [4]_; `beta` is that of [5]_. The user guide has the formulas, under "How it
    works inside".

    Parameters by topic:

    - the code: `n_components`, `whiten`, `prior`, `rotation`, `align_to`
    - the density: `likelihood`, `beta`, `kl_warmup`, `free_bits`
    - the network: `hidden_layer_sizes`, `activation`, `dropout`, `batch_norm`,
      `network`
    - tables: `categorical_features`, `allow_missing`, `handle_unknown`,
      `column_weights`, `numeric_scaling`
    - the start: `init`, `warm_start`, `random_state`
    - steps: `optimizer`, `lr`, `weight_decay`, `lr_schedule`, `batch_size`,
      `net_params`
    - the end: `max_epochs`, `early_stopping`, `validation_fraction`,
      `n_iter_no_change`, `tol`
    - monitoring and resuming: `verbose`, `callbacks`, `checkpoint_dir`,
      `checkpoint_interval`
    - the machine: `device`, `precision`, `distributed`

    References
    ----------
    .. [1] Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR,
       https://doi.org/10.48550/arXiv.1312.6114
    .. [2] Tipping and Bishop (1999), Probabilistic principal component analysis, JRSS B
       61, https://doi.org/10.1111/1467-9868.00196
    .. [3] Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders,
       ICLR, https://doi.org/10.48550/arXiv.1509.00519
    .. [4] Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with
       calibrated decoders, ICML, https://doi.org/10.48550/arXiv.2006.13202
    .. [5] Higgins et al. (2017), beta-VAE, ICLR,
       https://openreview.net/forum?id=Sy2fzU9gl

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_autoencoder import VAETransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> vae = VAETransformer(n_components=8, max_epochs=5, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 8)
    >>> vae.score_samples(X).shape
    (1797,)
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    >>> mean, std = vae.posterior(X[:3])
    >>> std.shape
    (3, 8)
    """

    sample_missing = Absent(CELLS)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PARAMETER_CONSTRAINTS,
        "likelihood": [StrOptions({"auto", "gaussian", "isotropic", "bernoulli"})],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Integral, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "prior": [StrOptions({"standard", "mixture"})],
    }

    n_components: float | None = 2
    _: KW_ONLY
    whiten: bool = False
    rotation: str | None = None
    align_to: FrozenEstimator | None = None
    prior: str = "standard"
    hidden_layer_sizes: Sequence[int] | str = "auto"
    activation: str | torch.nn.Module = "silu"
    dropout: float = 0.0
    batch_norm: bool = False
    network: Network | None = None
    likelihood: str = "auto"
    numeric_scaling: str = "auto"
    categorical_features: Any = "from_dtype"
    allow_missing: bool = False
    handle_unknown: str = "ignore"
    column_weights: Any = None
    beta: float = 1.0
    kl_warmup: int = 0
    free_bits: float = 0.0
    init: str = "auto"
    optimizer: OptimizerParameter = "adamw"
    lr: float | str = "auto"
    weight_decay: float | str = "auto"
    lr_schedule: Schedule = None
    max_epochs: int | str = "auto"
    batch_size: int | str = "auto"
    early_stopping: bool = True
    validation_fraction: float = 0.1
    n_iter_no_change: int | str = "auto"
    tol: float = 0.0
    precision: Precision = "float32"
    device: str | torch.device = "auto"
    callbacks: list[Any] | None = None
    net_params: dict[str, Any] | None = None
    checkpoint_dir: str | os.PathLike[str] | None = None
    checkpoint_interval: float = 60.0
    distributed: bool = False
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def _objective(self) -> Variational:
        return Variational(float(self.beta), self.kl_warmup, float(self.free_bits))

    def _likelihood(self) -> str:
        return "gaussian" if self.likelihood == "auto" else self.likelihood

    @property
    def _loss_label(self) -> str:
        return "Negative evidence bound (nats per row, scaled units)"

    def _set_fitted_attributes(self, fitted: FittedModel, dtype: np.dtype) -> None:
        super()._set_fitted_attributes(fitted, dtype)
        assert fitted.kl is not None
        assert fitted.order is not None
        self.kl_per_component_ = fitted.kl[fitted.order]
        variances = fitted.moments.variances[fitted.order]
        self.active_units_ = int(np.count_nonzero(variances > ACTIVE))

    def _check_fit(self) -> None:
        varies = self._plan.statistics.varies.any()
        if self.n_iter_ and varies and 2 * self.active_units_ < self.n_components_:
            warnings.warn(
                f"expected at least half of n_components={self.n_components_} "
                f"components to carry information about the samples, got "
                f"active_units_={self.active_units_}: the posterior of the others "
                "equals the prior. "
                "Pass fewer components, a smaller beta, or free_bits=0.1.",
                UserWarning,
                stacklevel=caller_level(),
            )

    def score_samples(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Compute an estimate of the log density of each sample.

        The expectation over the posterior uses the same random numbers for every sample
        and every call, so that the value of a sample does not depend on other samples.
        `beta` is not used.

        If training started from PCA, on columns of numbers, the density is 0.99 times
        that of the network plus 0.01 times that of probabilistic PCA: see `init`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.
        n_importance : int, default=64
            Number of random codes in the importance-weighted estimate, which increases
            to the log density with it; 1 gives the evidence lower bound, from 16 random
            codes. The network decodes each of them: time grows in proportion.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of a density in the units of X; with
            `numeric_scaling="rank_gauss"`, in the units of the normal scores. Missing
            cells do not count, nor do categories that were not seen in `fit`, so that
            such a sample may seem more likely; `column_weights` are not used. Always
            finite: a log density below the range of the dtype becomes its smallest
            number.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.

        References
        ----------
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR.
        """
        self._check_is_fitted()
        n_importance = check_scalar(n_importance, "n_importance", Integral, min_val=1)
        return self._score_samples(self._check_rows(X), n_importance)

    def _score_samples(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Compute the estimate for samples that have been validated."""
        if self._plan.needs_unit_interval:
            check_unit_interval(self._plan, X.min(), X.max())
        scores = partial(self._density(n_importance), rescue=True)
        return apply_to_rows(scores, self.net_.module_, X)

    def _density(self, n_importance: int = 64) -> Callable[..., Tensor]:
        """Return the estimate as a function of the module and samples."""
        bound, prior = n_importance == 1, self._fitted.prior
        n_draws = BOUND_DRAWS if bound else n_importance
        noise = balanced_draws(n_draws, self.n_components_, self._plan.seeds.score)
        linear = self._linear_part()

        def network(module: AutoEncoderModule, x: Tensor) -> Tensor:
            return log_density(module, x, noise, prior, bound=bound).double()

        def scores(
            module: AutoEncoderModule, X: Tensor, *, rescue: bool = False
        ) -> Tensor:
            x = X - module.columns.mean
            found = network(module, x)
            if rescue:
                # float32 overflows long before the log density does.
                far = ~found.isfinite()
                if far.any():
                    wide = in_dtype(module, torch.float64)
                    found[far] = network(wide, x[far].double())
            if linear is not None:
                unit = module.columns.loss_scale.double()
                beside = linear.log_prob(x.double() / unit) - unit.log().sum()
                found = torch.logaddexp(
                    found + math.log1p(-LINEAR_SHARE), beside + math.log(LINEAR_SHARE)
                )
            least = torch.finfo(x.dtype).min
            # NaN comes from infinities of both signs: too far away as well.
            return found.nan_to_num(nan=least, neginf=least).clamp_(min=least)

        return scores

    def _linear_part(self) -> LinearDensity | None:
        """Return the probabilistic PCA that is part of the density, or None.

        It is no part but all of the density where nothing was learned.
        """
        plan = self._plan
        if not plan.keeps_linear or self.best_epoch_ == 0:
            return None
        assert plan.axes is not None
        return LinearDensity.of(plan.axes, plan.n_components, noise_variance(plan))

    @available_if(has_variances)
    def get_covariance(self) -> np.ndarray:
        """Compute the covariance of what `sample` returns.

        Exact up to rounding where the density is that of probabilistic PCA, else from
        16,384 codes that are the same in each call.

        Returns
        -------
        cov : ndarray of shape (n_features, n_features)
            In the units of X.

        Raises
        ------
        ValueError
            For a table with categories, missing cells, or rank-gauss scaling.
        """
        self._check_is_fitted()
        if self._table is not None:
            raise ValueError(
                "expected columns of numbers without gaps for the covariance of a "
                "density, got a fit on a table with columns of other kinds or scales. "
                "Compute it from rows that sample(n_samples) returns."
            )
        return covariance_of_density(
            self._wide_module(),
            prior=self._fitted.prior,
            seed=self._plan.seeds.score,
        )

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal distribution of the code of each sample.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, n_components)
            Of the network's own components: the mean is what `transform` returns with
            `whiten=False`, and no `rotation` and `align_to`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        self._check_is_fitted()
        posterior, rows = self._module_function("posterior"), self._check_rows(X)

        def both(module: AutoEncoderModule, X: Tensor) -> Tensor:
            return torch.cat(posterior(module, X), dim=1)

        mean, std = np.split(apply_to_rows(both, self.net_.module_, rows), 2, axis=1)
        return mean, std

    def _module_function(self, method: str) -> Callable[[Any, Any], Any]:
        if method == "score_samples":
            return self._density()
        if method != "posterior":
            return super()._module_function(method)
        order = torch.from_numpy(np.asarray(self._fitted.order))

        def posterior(module: AutoEncoderModule, X: Tensor) -> tuple[Tensor, Tensor]:
            encoder_output = module.encoder_output(X - module.columns.mean)
            mean, log_variance = split_statistics(encoder_output)
            chosen = order.to(mean.device)
            return mean[:, chosen], torch.exp(0.5 * log_variance)[:, chosen]

        return posterior

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`, in nats per sample, as `PCA.score` does.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Samples with the features of `fit`, preferably ones that it has not seen.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Higher is better.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has other features than those of `fit`, or cells that are infinite or,
            without `allow_missing=True`, missing.
        """
        scores = self.score_samples(X).astype(np.float64)
        with np.errstate(over="ignore"):
            mean = scores.mean()
            if not np.isfinite(mean):
                # The sum of the least numbers overflows; their mean does not.
                mean = max((scores / len(scores)).sum(), np.finfo(np.float64).min)
        return float(mean)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        noise: bool = True,
    ) -> Any:
        """Return random samples from the fitted density.

        Codes are sampled from the prior and decoded. The noise of the density is part
        of a sample, as in `KernelDensity.sample`; the hundredth of probabilistic PCA
        that keeps densities finite far from all training samples is not. In a table
        with categories or missing cells, numbers of a column of few values, or with
        values such as zero that many rows have, then move to the nearest value seen.

        Parameters
        ----------
        n_samples : int, default=1
            How many; 0 or more.
        random_state : int, RandomState instance or None, default=None
            Seed of the codes and the noise.
        noise : bool, default=True
            Whether to sample each cell from its density around the output of the
            decoder. False returns the means, which are not moved, and the most probable
            categories, for the same codes.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Samples in the units of `fit`, and in its dtype; float64 if that was a
            matrix of integers. A frame after `set_output`, and if `fit` was given a
            table with categories.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If `n_samples` is no integer, or `noise` no boolean.
        ValueError
            If `n_samples` is below 0.
        """
        self._check_is_fitted()
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=0, include_boundaries="left"
        )
        noise = check_scalar(noise, "noise", (bool, np.bool_))
        seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        dtype = torch.float32 if self._input_dtype == np.float32 else torch.float64
        device = self.net_.module_.columns.mean.device
        generator = make_generator(seed, device)
        with torch_defaults(), torch.inference_mode():
            module = in_dtype(self.net_.module_, dtype)
            columns = module.columns
            raw = module.decoder(self._draw_codes(n_samples, generator).to(dtype))
            drawn = columns.sample(raw, generator)
            rows = drawn if noise else columns.decode(raw)
        found = rows.cpu().numpy().astype(self._input_dtype, copy=False)
        moved = self._table.nearest_seen(found) if self._table and noise else None
        return self._to_output(found, like=None, given=moved)

    def _keeps_values(self) -> bool:
        return True

    def _draw_codes(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """Return random codes from the prior, in the units of the network."""
        prior, shape = self._fitted.prior, (n_samples, self._plan.n_components)
        if prior is not None:
            return prior.sample(n_samples, generator)
        return torch.randn(
            shape, generator=generator, device=generator.device, dtype=torch.float32
        )
