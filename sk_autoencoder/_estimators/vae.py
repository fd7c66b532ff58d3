"""The variational autoencoder."""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar
from torch import Tensor

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._fitting.build import LINEAR_SHARE, noise_variance
from sk_autoencoder._fitting.compatibility import check_unit_interval
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.density import (
    BOUND_DRAWS,
    LinearDensity,
    balanced_draws,
    log_density,
)
from sk_autoencoder._inference.fast import FastEncoder
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._objectives import Variational
from sk_autoencoder._objectives.variational import split_statistics
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.sklearn_compat import Interval, StrOptions
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.torch_compat import torch_defaults

__all__ = ["VAETransformer"]

# Variance of a component's posterior means over rows beyond which it tells something
# (Burda et al. 2016).
ACTIVE = 0.01


@loadable()
class VAETransformer(BaseAutoEncoder):
    """Variational autoencoder: a code with a normal prior, and a density over rows.

    The encoder gives a normal distribution for each component; its mean is the code
    that `transform` returns. The decoder gives a distribution of rows. Training
    maximises a lower bound of the rows' density.

    With `init="pca"` the model is probabilistic PCA before the first step, and training
    keeps the best bound on held-out rows: as a density it is PCA or better. The
    components are ordered by what they tell of the rows. Once trained, a hundredth of
    the density of numbers is still probabilistic PCA: a row unlike all that the
    network has learnt has a density that is no wilder than PCA's.

    `transform` and `score_samples` never draw at random from call to call. Time is
    one pass over the rows an epoch; memory beside X is that of the weights, and a
    float32 copy of X where X is not float32 in C order.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Numbers in a code. None is min(n_samples, n_features), as for PCA. More
        than that is allowed with a warning: it compresses nothing. A float in
        (0, 1) is a share of the variance: the fewest components are sought, by
        several fits, that explain it on the held-out rows, and no more than PCA
        needs on all rows; a warning tells if those are too few. Not for
        `partial_fit`.
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of the layers between input and code, in the encoder's order; the
        decoder mirrors them. "auto" is (256, 128).
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="gelu"
        After each hidden layer. Each has its own copy of a module, which keeps the
        shape of its input and draws no random numbers; its weights are trained.
    dropout : float, default=0.0
        Share of units set to zero in training after each hidden layer, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalise each hidden layer over the batch.
    network : network specification or None, default=None
        Such as :class:`~sk_autoencoder.networks.MLP`, in place of the four
        parameters above, which must then be left at their defaults.
    likelihood : {"auto", "gaussian", "isotropic", "bernoulli"}, default="auto"
        Density of a cell around the decoder's output. "gaussian", which "auto"
        is, has a variance for each column, set by the data and bounded away from 0;
        "isotropic" one for all cells, as probabilistic PCA; "bernoulli" takes X in
        [0, 1], or `numeric_scaling="minmax"`. The categories of a table have the
        probabilities of a softmax.
    beta : float, default=1.0
        Weight of the divergence of the code's posterior from its prior. Above 1
        the code is simpler and reconstructs less; 0 leaves an autoencoder.
    kl_warmup : int, default=0
        Epochs over which that weight rises to `beta`.
    free_bits : float, default=0.0
        Nats of the divergence that each component has for nothing in training.
    prior : {"standard", "mixture"}, default="standard"
        Distribution of the codes. "mixture" is a Gaussian mixture that is fitted,
        after training, to the codes of the training rows, its parts chosen by Bayes'
        information criterion: `sample` and `score_samples` use it in place of the
        standard normal distribution that training assumes.
    init : {"auto", "pca", "random"}, default="auto"
        Where training starts. With "pca" the model is probabilistic PCA before the
        first step, with its density, and the best bound on held-out rows is kept,
        that one included; a hundredth of the trained density stays probabilistic
        PCA's, if all columns are numbers under normal densities. "random" has no
        linear part. "auto" is "random" for a
        :class:`~sk_autoencoder.networks.UserNetwork`, which is then the whole model,
        else "pca".
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"}, \
default="auto"
        Units in which errors of numbers are measured; the network's input is
        standardised anyhow, but for a `UserNetwork` with `init="random"`. "none" keeps
        the proportions of the caller's units, as PCA does; "standard" measures each
        column in its standard deviation; "minmax" in its range; "rank_gauss" replaces
        values by the normal scores of their ranks. "auto" is "none", and "standard"
        beside categories.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns hold categories: by name, position or mask. "from_dtype" takes
        the columns of a frame whose dtype is categorical, string or boolean; None
        has all columns be numbers. A category is decoded by a softmax; up to 64
        levels are one-hots, more are random codes of a few numbers.
    allow_missing : bool, default=False
        Whether cells may be missing: NaN, None or NA. They count for nothing in the
        loss, the network is told which they are, and reconstructions fill them.
        Else they are refused. A column that is empty in `fit` takes no part, with a
        warning, and comes back missing.
    handle_unknown : {"ignore", "error"}, default="ignore"
        What to do with categories that were not seen in `fit`: take them for
        missing, or raise an error. Taken for missing they count for nothing in
        `score_samples`: such a row may have a larger density than if the level were
        known. "error" refuses it.
    column_weights : dict, array-like of shape (n_features,) or None, default=None
        What the columns count for in the loss, by name or in their order; 1 where
        nothing is said. None weighs all columns alike, whatever their kind.
    whiten : bool, default=False
        Whether to give codes that are uncorrelated and of unit variance on the
        training rows. `inverse_transform` takes it back.
    optimizer : {"adam", "adamw", "sgd"}, torch optimizer class or partial of one, \
default="adamw"
        What takes the steps. Further arguments of a class come as
        `functools.partial(torch.optim.SGD, momentum=0.9)`.
    lr : float or "auto", default="auto"
        Learning rate. "auto" is 0.002, for "sgd" 0.3, and a class's own default.
    weight_decay : float or "auto", default="auto"
        "auto" is 0.1 for "adamw", else 0, and a class's own default.
    lr_schedule : None, float, "cosine" or callable, default=None
        None keeps the learning rate. A float in (0, 1] multiplies it after each
        epoch; "cosine" brings it to 0 over `max_epochs`; a callable takes the
        epoch, from 0, and returns a factor.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows at most; 0 trains nothing. "auto" makes
        150 passes, but no fewer than 1,500 steps (15 a row under 100 rows) and no
        more than 4,000.
    batch_size : int or "auto", default="auto"
        Rows in a step. "auto" is a power of two near a 16th of the rows, 32 to 256.
    early_stopping : bool, default=True
        Whether to hold rows out, stop for want of a gain on them, and keep the
        epoch that was best on them. With few rows none can be held out.
    validation_fraction : float, default=0.1
        Share of the rows held out, in (0, 1), drawn at random; not used where `fit`
        is given a validation set, `X_val`.
    n_iter_no_change : int or "auto", default="auto"
        Epochs without a gain after which to stop. "auto" is as many as make 400
        steps, or six tenths of the steps that the best epoch took if that is more.
    tol : float, default=0.0
        Loss on held-out rows that counts as a gain.
    precision : {"float32", "bf16"}, default="float32"
        Of the products in training. "bf16" is faster where the processor or the GPU
        has instructions for it, and the network is large; results, and the linear
        part of a start from PCA, stay float32 or better.
    device : str or torch.device, default="auto"
        Where to compute. "auto" is a CUDA device where there is one, else the CPU.
    callbacks : list of skorch callbacks or None, default=None
        Called as skorch calls them. Those that look at single batches or gradients
        slow small networks down.
    net_params : dict or None, default=None
        Further arguments of the skorch net, such as `gradient_clip` (1.0, or None)
        and `weight_average` (0.99, or None).
    warm_start : bool, default=False
        Whether `fit` goes on from the fit before: weights, optimiser, generators
        and scales.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same result on the same machine, bit for bit. No
        global generator is touched, but for one draw from numpy's with None.
    verbose : int, default=0
        1 prints skorch's table, a line an epoch; 2 shows a progress bar.

    Attributes
    ----------
    n_components_ : int
        Numbers in a code, the columns that `transform` gives.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X has string column names.
    mean_ : ndarray of shape (n_features,)
        Mean of the training rows; NaN for a category.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Their sum is the share of the training rows' variance that the code explains,
        as for PCA; it is shared out by the variances of the components.
    loss_curve_ : list of float
        Mean loss of the training rows, one value an epoch, in nats a row.
    validation_loss_curve_ : list of float
        Loss of the held-out rows likewise; empty without any.
    best_epoch_ : int
        Epoch whose weights were kept, counted from 1; 0 is before the first.
    n_iter_ : int
        Epochs run.
    kl_per_component_ : ndarray of shape (n_components,)
        Mean divergence of each component from the prior on the training rows, in
        nats, largest first: the order of the components, but of a `UserNetwork` with
        `init="random"`, whose components stay in the encoder's.
    active_units_ : int
        Components that tell something of the rows: whose posterior means have a
        variance over 0.01.
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module.
    history_ : skorch.history.History
        One dict an epoch: losses, batches, seconds.
    device_ : str
        Device that the module is on.

    See Also
    --------
    AutoEncoderTransformer : Reconstructs better, without a density.
    sklearn.decomposition.PCA : Its `score` is the linear counterpart.

    References
    ----------
    Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR.
    Rybkin, Daniilidis and Levine (2021), Simple and effective VAE training with
    calibrated decoders, ICML: the variance of the Gaussian likelihood.
    Higgins et al. (2017), beta-VAE, ICLR.

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
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseAutoEncoder._parameter_constraints,
        "likelihood": [StrOptions({"auto", "gaussian", "isotropic", "bernoulli"})],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Integral, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "prior": [StrOptions({"standard", "mixture"})],
        "init": [StrOptions({"auto", "pca", "random"})],
    }

    def __init__(
        self,
        n_components: float | None = 2,
        *,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        activation: str | torch.nn.Module = "gelu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        network: Network | None = None,
        likelihood: str = "auto",
        beta: float = 1.0,
        kl_warmup: int = 0,
        free_bits: float = 0.0,
        prior: str = "standard",
        init: str = "auto",
        numeric_scaling: str = "auto",
        categorical_features: Any = "from_dtype",
        allow_missing: bool = False,
        handle_unknown: str = "ignore",
        column_weights: Any = None,
        whiten: bool = False,
        optimizer: str | type | partial = "adamw",
        lr: float | str = "auto",
        weight_decay: float | str = "auto",
        lr_schedule: float | str | Callable[[int], float] | None = None,
        max_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 0.0,
        precision: str = "float32",
        device: str | torch.device = "auto",
        callbacks: list | None = None,
        net_params: dict[str, Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.network = network
        self.likelihood = likelihood
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.prior = prior
        self.init = init
        self.numeric_scaling = numeric_scaling
        self.categorical_features = categorical_features
        self.allow_missing = allow_missing
        self.handle_unknown = handle_unknown
        self.column_weights = column_weights
        self.whiten = whiten
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.precision = precision
        self.device = device
        self.callbacks = callbacks
        self.net_params = net_params
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

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
        varies = bool(np.any(self._plan.statistics.spread))
        if self.n_iter_ and varies and 2 * self.active_units_ < self.n_components_:
            warnings.warn(
                f"expected at least half of n_components={self.n_components_} "
                f"components to tell something of the rows, got "
                f"active_units_={self.active_units_}: the others are as their prior. "
                "Pass fewer components, a smaller beta, or free_bits=0.1.",
                UserWarning,
                stacklevel=caller_level(),
            )

    def score_samples(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Estimate the log density of each row.

        The expectation over the posterior is taken over the same draws for every
        row and every call: a row's value depends on no other row. `beta` has no part
        in it.

        Trained from PCA on numbers, the density is 0.99 times the network's and 0.01
        times that of probabilistic PCA: see `init`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.
        n_importance : int, default=64
            Draws for an importance-weighted estimate, which rises to the log density
            with their number; 1 gives the evidence lower bound, of 16 draws. The
            network decodes each: time grows in proportion.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of a density in the caller's units; with
            `numeric_scaling="rank_gauss"` in those of the normal scores. A missing
            cell counts for nothing, a category not seen in `fit` neither, so that the
            row may seem more likely; nor do `column_weights`. Always finite: a row
            whose log density is below all numbers of the dtype has the least of them.

        References
        ----------
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR.
        """
        self._check_is_fitted()
        n_importance = check_scalar(n_importance, "n_importance", Integral, min_val=1)
        return self._score_samples(self._check_rows(X), n_importance)

    def _score_samples(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Estimate the log density of rows that have been validated."""
        if self._plan.needs_unit_interval:
            check_unit_interval(self._plan, X.min(), X.max())
        bound, prior = n_importance == 1, self._fitted.prior
        n_draws = BOUND_DRAWS if bound else n_importance
        noise = balanced_draws(n_draws, self.n_components_, self._plan.seeds.score)
        linear = self._linear_part()

        def network(module: AutoEncoderModule, x: Tensor) -> Tensor:
            return log_density(module, x, noise, prior, bound=bound).double()

        def scores(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            found = network(forward.module, x)
            far = ~found.isfinite()
            if far.any():
                # float32 overflows long before the log density does.
                found[far] = network(forward.in_float64.module, x[far].double())
            if linear is not None:
                unit = forward.module.columns.loss_scale.double()
                beside = linear.log_prob(x.double() / unit) - unit.log().sum()
                found = torch.logaddexp(
                    found + math.log1p(-LINEAR_SHARE), beside + math.log(LINEAR_SHARE)
                )
            least = torch.finfo(x.dtype).min
            # No number comes of infinities on both sides: too far away as well.
            return found.nan_to_num(nan=least, neginf=least).clamp_(min=least)

        return apply_to_rows(scores, self.net_.module_, X)

    def _linear_part(self) -> LinearDensity | None:
        """Return the probabilistic PCA that is part of the density, where it is.

        Where nothing was learnt it is all of it.
        """
        plan = self._plan
        if not plan.keeps_linear or self.best_epoch_ == 0:
            return None
        assert plan.axes is not None
        return LinearDensity.of(plan.axes, plan.n_components, noise_variance(plan))

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal distribution of each row's code.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, n_components)
            The mean is what `transform` gives with `whiten=False`.
        """
        self._check_is_fitted()

        def both(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            module = forward.module
            mean, log_variance = split_statistics(module.encoder_output(x))
            return torch.cat([mean, torch.exp(0.5 * log_variance)], dim=1)

        rows = self._check_rows(X)
        values = apply_to_rows(both, self.net_.module_, rows)
        mean, std = np.split(values, 2, axis=1)
        return mean[:, self._fitted.order], std[:, self._fitted.order]

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, in nats a row; the units of `PCA.score`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`, best ones that it has not seen.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Mean estimate of the log density; higher is better.
        """
        scores = self.score_samples(X).astype(np.float64)
        with np.errstate(over="ignore"):
            mean = scores.mean()
            if not np.isfinite(mean):
                # The sum of the least of numbers is no number; their mean is one.
                mean = max((scores / len(scores)).sum(), np.finfo(np.float64).min)
        return float(mean)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        noise: bool = True,
    ) -> Any:
        """Sample rows from the fitted density.

        Codes are drawn from the prior and decoded, in the dtype of the rows of `fit`,
        float64 for a matrix of whole numbers; a frame read as a table has its dtypes.
        The density's own noise is part of a sample, as it is for
        `KernelDensity.sample`; where probabilistic PCA is a hundredth of the density,
        a hundredth of the rows are its.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to draw; 0 or more.
        random_state : int, RandomState instance or None, default=None
            Draws the codes and the noise.
        noise : bool, default=True
            Whether to draw each cell from its density around what the decoder gives.
            False returns the means, and of categories the most probable levels, for
            the same codes.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the units of `fit`; a frame after `set_output`.
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
            linear = self._linear_part()
            if linear is not None:
                at = torch.rand(
                    n_samples, generator=generator, device=device, dtype=torch.float32
                )
                at = torch.nonzero(at < LINEAR_SHARE)[:, 0]
                y = linear.sample(len(at), generator, noise=noise)
                rows[at] = columns.decode(y.to(raw) + columns.offset)
        given = rows.cpu().numpy().astype(self._input_dtype, copy=False)
        return self._to_output(given, like=None)

    def _draw_codes(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """Draw the network's codes from the prior."""
        prior, shape = self._fitted.prior, (n_samples, self._plan.n_components)
        if prior is not None:
            return prior.sample(n_samples, generator)
        return torch.randn(
            shape, generator=generator, device=generator.device, dtype=torch.float32
        )
