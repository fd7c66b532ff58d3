"""The variational autoencoder."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._assembly import check_statistics
from sk_autoencoder._base import BaseAutoEncoder
from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._density import balanced_draws, evidence_bound
from sk_autoencoder._inference import apply_to_rows
from sk_autoencoder._protocols import Network
from sk_autoencoder._random import make_generator
from sk_autoencoder._sklearn_compat import Interval, StrOptions
from sk_autoencoder.objectives import Variational

__all__ = ["VAETransformer"]


class VAETransformer(BaseAutoEncoder):
    """Variational autoencoder: a code with a normal prior, and a density over rows.

    The encoder gives a normal distribution for each component; its mean is the code
    that `transform` returns. The decoder gives a distribution of rows. Training
    maximises a lower bound of the rows' density.

    The Gaussian likelihood has one variance for all cells, as probabilistic PCA has.
    On a table whose columns have different units that is the noise of the largest:
    pass `numeric_scaling="standard"` there, before `score_samples` or `sample`.

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
    activation : {"identity", "logistic", "tanh", "relu", "gelu", "elu", "silu"}, \
default="gelu"
        After each hidden layer.
    dropout : float, default=0.0
        Share of units set to zero in training after each hidden layer, in [0, 1).
    batch_norm : bool, default=False
        Whether to normalise each hidden layer over the batch.
    network : network specification or None, default=None
        Such as :class:`~sk_autoencoder.networks.MLP`, in place of the four
        parameters above, which must then be left at their defaults.
    likelihood : {"auto", "gaussian", "bernoulli"}, default="auto"
        Density of a cell around the decoder's output. "gaussian", which "auto"
        is, has one variance for all cells, set by the data; "bernoulli" takes X in
        [0, 1], or `numeric_scaling="minmax"`.
    beta : float, default=1.0
        Weight of the divergence of the code's posterior from its prior. Above 1
        the code is simpler and reconstructs less; 0 leaves an autoencoder.
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"}, \
default="auto"
        Units in which errors of numbers are measured; the network's input is
        standardised anyhow. "none" keeps the proportions of the caller's units, as
        PCA does; "standard" measures each column in its standard deviation; "minmax"
        in its range; "rank_gauss" replaces values by the normal scores of their
        ranks. "auto" is "none", and "standard" beside categories.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        Which columns hold categories: by name, position or mask. "from_dtype" takes
        the columns of a frame whose dtype is categorical, string or boolean; None
        has all columns be numbers. A category is decoded by a softmax; up to 64
        levels are one-hots, more are random codes of a few numbers.
    allow_missing : bool, default=False
        Whether cells may be missing: NaN, None or NA. They count for nothing in the
        loss, the network is told which they are, and reconstructions fill them.
        Else they are refused.
    handle_unknown : {"ignore", "error"}, default="ignore"
        What to do with categories that were not seen in `fit`: take them for
        missing, or raise an error.
    column_weights : dict, array-like of shape (n_features,) or None, default=None
        What the columns count for in the loss, by name or in their order; 1 where
        nothing is said. None weighs all columns alike, whatever their kind.
    whiten : bool, default=False
        Whether to give codes that are uncorrelated and of unit variance on the
        training rows. `inverse_transform` takes it back.
    optimizer : {"adam", "adamw", "sgd"} or torch optimizer class, default="adamw"
        What takes the steps.
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
        Share of the rows held out, in (0, 1), drawn at random.
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
        Mean of the training rows.
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
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module, with `encode` and `decode`.
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
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli"})],
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components: float | None = 2,
        *,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        activation: str = "gelu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        network: Network | None = None,
        likelihood: str = "auto",
        beta: float = 1.0,
        numeric_scaling: str = "auto",
        categorical_features: Any = "from_dtype",
        allow_missing: bool = False,
        handle_unknown: str = "ignore",
        column_weights: Any = None,
        whiten: bool = False,
        optimizer: str | type = "adamw",
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
        return Variational(float(self.beta))

    def _likelihood(self) -> str:
        return "gaussian" if self.likelihood == "auto" else self.likelihood

    @property
    def _loss_label(self) -> str:
        return "Negative evidence bound (nats per row, scaled units)"

    def score_samples(self, X: Any) -> np.ndarray:
        """Bound the log density of each row from below.

        The expectation over the posterior is taken over the same 16 draws for
        every row and every call: a row's value depends on no other row. `beta` has
        no part in it.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Evidence lower bound in nats, of a density in the caller's units.
        """
        check_is_fitted(self)
        X = self._check_rows(X)
        if self._table is None:
            check_statistics(self._plan, ColumnStatistics.of(X))
        noise = balanced_draws(self.n_components_, self._plan.seeds.score)
        return apply_to_rows(
            lambda forward, x, out: evidence_bound(forward.module, x, noise),
            self.net_.module_,
            X,
        )

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
            Mean evidence lower bound; higher is better.
        """
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Draw rows from the fitted density.

        The density's own noise is part of a sample, as it is for
        `KernelDensity.sample`. For rows without it, decode codes of the prior:
        `inverse_transform(rng.standard_normal((n, n_components)))`.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to draw; 0 or more.
        random_state : int, RandomState instance or None, default=None
            Draws the codes and the noise.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the units and the dtype of `fit`; a frame after `set_output`.
        """
        check_is_fitted(self)
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=0, include_boundaries="left"
        )
        seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        module = self.net_.module_
        generator = make_generator(seed, module.columns.mean.device)
        with torch.inference_mode():
            codes = torch.empty(
                (n_samples, self.n_components_), device=module.columns.mean.device
            )
            raw = module.decoder(codes.normal_(generator=generator))
            drawn = module.columns.sample(raw, generator)
        rows = drawn.cpu().numpy().astype(self._input_dtype, copy=False)
        return self._given_back(rows, like=None)
