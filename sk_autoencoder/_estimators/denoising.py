"""The denoising autoencoder."""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._fitting.settings import likelihood_of
from sk_autoencoder._objectives import Denoise
from sk_autoencoder._objectives.denoise import NOISES, group_numbers
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._utils.sklearn_compat import Interval, StrOptions, feature_names_in

__all__ = ["DenoisingAutoEncoderTransformer"]


@loadable()
class DenoisingAutoEncoderTransformer(BaseAutoEncoder):
    """Features learnt by reconstructing clean rows from corrupted ones.

    A network is given rows some of whose cells are noise and trained to give the
    clean rows back. What it must know of the columns to do so makes good features
    for tables, best with `features="hidden"`; `n_components`, `init` and `ordered`
    have no part in those. With a bottleneck it starts as PCA, as the plain one does.

    `transform` never draws: the same row gives the same code, whatever is beside it.
    Time is one pass over the rows an epoch; memory beside X is that of the weights,
    and a float32 copy of X where X is not float32 in C order.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Numbers in a code. None is min(n_samples, n_features), as for PCA. More
        than that is allowed with a warning: it compresses nothing. A float in
        (0, 1) is a share of the variance: the fewest components are sought, by
        several fits, that explain it on the held-out rows, and no more than PCA
        needs on all rows; a warning tells if those are too few. Not for
        `partial_fit` nor with `features="hidden"`.
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of the layers between input and code, in the encoder's order; the
        decoder mirrors them. "auto" is (256, 128); for `features="hidden"` it is
        (256, 256, 256), all the layers between the input and the linear output.
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
    noise : {"swap", "gaussian", "masking", "salt_and_pepper"} or callable, \
default="swap"
        What corrupts the input, drawn afresh for each batch and never in
        `transform`. "swap" replaces a cell by the same column's value in another
        row, drawn for that cell; "gaussian" adds normal noise; "masking" sets a
        cell to its column's mean; "salt_and_pepper" to its least or greatest
        value. A callable takes a batch, a tensor of shape (n, n_features) in the
        units of X, and a `torch.Generator`, and returns the corrupted batch; of a
        table with categories, missing cells or ranks it gets scaled numbers, numbers
        of levels, and NaN for what is missing.
    noise_level : float, default=0.15
        Share of the cells that are corrupted, in [0, 1]; for "gaussian" the
        standard deviation of the noise, in standard deviations of the column. A
        callable has its own.
    noise_schedule : None, float, "cosine" or callable, default=None
        Factor on `noise_level` by the epoch. None keeps the level; a float in (0, 1]
        multiplies it after each epoch; "cosine" brings it to 0 over `max_epochs`; a
        callable takes the epoch, from 0, and returns a factor.
    feature_groups : list of lists or None, default=None
        Columns, by name or position, whose cells are corrupted together, "swap" from
        one donor: one-hots of one category, say. Columns in no list are by themselves,
        and a category that the transformer encodes is one column anyhow.
    features : {"bottleneck", "hidden", "reconstruction"}, default="bottleneck"
        "bottleneck" is a mirrored network whose code has `n_components` numbers.
        "hidden" is a deep stack without a bottleneck, whose code is every hidden
        layer's activations side by side. "reconstruction" is such a stack too, and
        `transform` gives the rows with their missing cells filled: with
        `allow_missing=True` an imputer. What is there stays, categories that `fit`
        has not seen too. `n_components` and `init` are ignored with these two.
    layers : list of int or None, default=None
        Which hidden layers' activations to give for `features="hidden"`, counted
        from 1, or from -1 for the last; None is all.
    loss : {"auto", "squared_error", "binary_cross_entropy", "huber"} or callable, \
default="auto"
        "auto" is the squared error. The cross-entropy takes X in [0, 1], or
        `numeric_scaling="minmax"`. "huber" is half the squared error up to 1, and grows
        in proportion beyond. A function or a `torch.nn.Module` of your own is given
        reconstruction and target, tensors (n, n_features), and returns a tensor of
        shape (n,), or (n, n_features), which is averaged: of torch's losses, those with
        `reduction="none"`. Both see the units of `numeric_scaling`, with "none" X's
        own. PCA is still fitted by squared error; the comparison with it is by the
        loss. `score` stays the explained variance. Huber's loss and your own are for
        arrays of numbers, not for tables with categories or missing cells.
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"}, \
default="auto"
        Units in which errors of numbers are measured; the network's input is
        standardised anyhow, but for a `UserNetwork` with `init="random"`. "none" keeps
        the proportions of the caller's units, as PCA does; "standard" measures each
        column in its standard deviation; "minmax" in its range; "rank_gauss" replaces
        values by the normal scores of their ranks. "auto" is "none", and "standard"
        beside categories or for `features="hidden"`.
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
        missing, or raise an error.
    column_weights : dict, array-like of shape (n_features,) or None, default=None
        What the columns count for in the loss, by name or in their order; 1 where
        nothing is said. None weighs all columns alike, whatever their kind.
    init : {"auto", "pca", "random"}, default="auto"
        Where training starts. "pca" adds the networks to PCA's own encoder and
        decoder: untrained the two are PCA, and PCA is kept where no epoch beats it
        on the held-out rows by 1.5 standard errors of the gain. Codes are in PCA's
        units, the data's. "random" has no linear part and no guard. "auto" is "random"
        with `pretrain` and for a :class:`~sk_autoencoder.networks.UserNetwork`, which
        is then the whole model, else "pca".
    pretrain : {"layerwise"} or None, default=None
        "layerwise" first trains one layer at a time, those below it frozen, to
        rebuild its own inputs, which `noise` corrupts: a stacked denoising
        autoencoder. Each for `max_epochs` over the number of layers at most, then all
        together. For dense layers, with `init="random"` or `features="hidden"`. It
        takes memory for one layer's outputs of all rows. The first `partial_fit`
        gives each layer one pass; what goes on from a fit trains all together.
        `callbacks` see the last phase only.
    ordered : bool, default=False
        Whether each prefix of a code is a code by itself: `inverse_transform` takes
        the first j columns, `truncate` keeps them, and `explained_variance_ratio_`
        tells what each adds. A second decoder learns that after the first, in about
        the same time; the whole code is as good as without. If a prefix were worse
        than PCA's on held-out rows by over 5 %, PCA is kept. Needs `init="pca"`.
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
        more than 4,000; three times that for `features="reconstruction"`.
    batch_size : int or "auto", default="auto"
        Rows in a step. "auto" is a power of two near a 16th of the rows, 32 to 256.
    early_stopping : bool, default=True
        Whether to hold rows out, stop for want of a gain on them, and keep the
        epoch that was best on them. With few rows none can be held out. Without
        held-out rows nothing guards against a result worse than PCA's.
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
        Further arguments of the skorch net, such as `gradient_clip` (10.0 with
        `init="pca"`, else 1.0; None clips nothing) and `weight_average` (0.99, or
        None).
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
        as for PCA. With `ordered=True` the first j sum to what the first j
        components explain; else the sum is shared out by their variances.
    fell_back_to_pca_ : bool
        Whether the transformer is PCA: nothing that was learnt was better.
    loss_curve_ : list of float
        Mean loss of the training rows, one value an epoch. The squared error is
        divided by PCA's on the training rows, with `init="random"` by the variance:
        1 is as good as PCA, or as the mean row. That of a `UserNetwork` with
        `init="random"` is in the units of `numeric_scaling`.
    validation_loss_curve_ : list of float
        Loss of the held-out rows likewise; empty without any.
    best_epoch_ : int
        Epoch whose weights were kept, counted from 1; 0 is before the first.
    n_iter_ : int
        Epochs run, those of `pretrain` too.
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module.
    history_ : skorch.history.History
        One dict an epoch: losses, batches, seconds; with `pretrain` its phase.
    device_ : str
        Device that the module is on.

    See Also
    --------
    AutoEncoderTransformer : Reconstructs its input as it is.
    VAETransformer : A density over rows.

    References
    ----------
    Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing robust
    features with denoising autoencoders, ICML. With others (2010), Stacked denoising
    autoencoders, JMLR 11: `pretrain`.
    Jahrer (2017), first place in Porto Seguro's Safe Driver Prediction, Kaggle.

    Examples
    --------
    Ten numbers for each row, as PCA gives them:

    >>> from sklearn.datasets import load_digits
    >>> from sk_autoencoder import DenoisingAutoEncoderTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> reducer = DenoisingAutoEncoderTransformer(10, max_epochs=5, random_state=0)
    >>> reducer.fit_transform(X).shape
    (1797, 10)

    All hidden layers side by side, more features than columns:

    >>> extractor = DenoisingAutoEncoderTransformer(
    ...     features="hidden", hidden_layer_sizes=(100, 100), max_epochs=5
    ... )
    >>> extractor.fit_transform(X).shape
    (1797, 200)
    >>> extractor.get_feature_names_out()[[0, 1, -1]]
    array(['h1_0000', 'h1_0001', 'h2_0099'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseAutoEncoder._parameter_constraints,
        "loss": [
            StrOptions({"auto", "squared_error", "binary_cross_entropy", "huber"}),
            callable,
        ],
        "noise": [StrOptions(set(NOISES)), callable],
        "noise_level": [Interval(Real, 0, None, closed="left")],
        "noise_schedule": [
            StrOptions({"cosine"}),
            Interval(Real, 0, 1, closed="right"),
            callable,
            None,
        ],
        "feature_groups": [list, tuple, None],
        "features": [StrOptions({"bottleneck", "hidden", "reconstruction"})],
        "layers": ["array-like", None],
        "ordered": ["boolean"],
        "init": [StrOptions({"auto", "pca", "random"})],
        "pretrain": [StrOptions({"layerwise"}), None],
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
        noise: str | Callable = "swap",
        noise_level: float = 0.15,
        noise_schedule: float | str | Callable[[int], float] | None = None,
        feature_groups: Sequence[Sequence[Any]] | None = None,
        features: str = "bottleneck",
        layers: Sequence[int] | None = None,
        loss: str | Callable = "auto",
        numeric_scaling: str = "auto",
        categorical_features: Any = "from_dtype",
        allow_missing: bool = False,
        handle_unknown: str = "ignore",
        column_weights: Any = None,
        init: str = "auto",
        pretrain: str | None = None,
        ordered: bool = False,
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
        self.noise = noise
        self.noise_level = noise_level
        self.noise_schedule = noise_schedule
        self.feature_groups = feature_groups
        self.features = features
        self.layers = layers
        self.loss = loss
        self.numeric_scaling = numeric_scaling
        self.categorical_features = categorical_features
        self.allow_missing = allow_missing
        self.handle_unknown = handle_unknown
        self.column_weights = column_weights
        self.init = init
        self.pretrain = pretrain
        self.ordered = ordered
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

    def _objective(self) -> Denoise:
        names = vars(self).get("feature_names_in_")
        groups = group_numbers(self.feature_groups, names, self.n_features_in_)
        return Denoise(self.noise, float(self.noise_level), groups, self.noise_schedule)

    def _likelihood(self) -> str:
        return likelihood_of(self.loss)

    def _table_scaling(self) -> str:
        is_stacked = self.features != "bottleneck"
        is_auto = self.numeric_scaling == "auto"
        return "standard" if is_stacked and is_auto else self.numeric_scaling

    def truncate(self, n_components: int) -> Self:
        """Return a transformer with the first components only, without fitting again.

        Parameters
        ----------
        n_components : int
            How many to keep, from 1 to `n_components_`.

        Returns
        -------
        truncated : object
            A copy; this transformer stays as it is.

        Raises
        ------
        ValueError
            If the components are not ordered, or there are not so many.
        """
        return self._truncated(n_components)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : Ignored
            Present for API consistency by convention.

        Returns
        -------
        names : ndarray of str, shape (n_components,)
            Class name and number; with `features="hidden"` layer and unit, as
            "h1_0000"; with "reconstruction" the names of the features.
        """
        check_is_fitted(self)
        plan = self._plan
        if plan.imputes:
            return feature_names_in(self, input_features)
        if not plan.stacked:
            return super().get_feature_names_out(input_features)
        widths = plan.network.stack_widths()
        names = np.array(
            [f"h{i}_{unit:04d}" for i, n in enumerate(widths, 1) for unit in range(n)],
            dtype=object,
        )
        return names if plan.output_index is None else names[list(plan.output_index)]
