"""The plain autoencoder."""

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator

from sk_autoencoder._estimators.absent import CELLS, DISTRIBUTION, Absent
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.constraints import PARAMETER_CONSTRAINTS
from sk_autoencoder._fitting.settings import OptimizerParameter, likelihood_of
from sk_autoencoder._objectives import Reconstruct
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._training.config import Precision
from sk_autoencoder._utils.schedules import Schedule
from sk_autoencoder._utils.sklearn_compat import StrOptions


@loadable()
@dataclass(eq=False, repr=False)
class AutoEncoderTransformer(BaseAutoEncoder):
    """Dimensionality reduction by an autoencoder, used like PCA.

    A network compresses each sample to a code of `n_components` numbers and is trained
    to reconstruct the sample from it. Training starts from PCA. If no epoch is better
    than PCA on a validation set, the result is PCA. Codes are in the units of PCA.

    `transform` is deterministic: the code of a sample is always the same, whatever
    other samples it is passed with. In addition to X, memory is needed for the weights,
    and for a float32 copy of X unless X is float32 in C order.

    Read more in the :doc:`user guide </user_guide/replace_pca>`.

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
    ordered : bool, default=False
        Whether to order the components so that the first j of them can be used on their
        own, for any j: `inverse_transform` accepts the first j columns, `truncate`
        keeps them, and `explained_variance_ratio_` is what each component adds. After
        training, an invertible network turns the code into one whose components are in
        order, and a second decoder learns to reconstruct from the first j. The complete
        code reconstructs as well as without an order. If there is no gain on the
        validation set, the order is the best linear one. Requires `init="pca"`.
    whiten : bool, default=False
        Whether to return codes that are uncorrelated and have unit variance on the
        training samples. `inverse_transform` undoes it.
    rotation : {"varimax"} or None, default=None
        "varimax" rotates the code so that, at the mean sample, each component has a
        strong effect on a few columns and little on the others, and sorts the
        components by the variance that they explain. The reconstruction stays the same.
        Cannot be combined with `ordered=True`.

        .. versionadded:: 0.2
    align_to : FrozenEstimator or None, default=None
        `sklearn.frozen.FrozenEstimator(old)` rotates the code as close as possible to
        that of `old`, a fitted transformer of this package with the same number of
        components and the same features, so that the components of a refit keep their
        signs, order and orientation. The rotation is determined on the training
        samples. The reconstruction stays the same; `alignment_error_` is the remaining
        difference. Cannot be combined with a fractional `n_components`, `rotation` or
        `ordered=True`.

        .. versionadded:: 0.2
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
    loss : {"auto", "squared_error", "binary_cross_entropy", "huber"} or callable, \
default="auto"
        Loss function. "auto" is the squared error. The cross-entropy requires X in [0,
        1], or `numeric_scaling="minmax"`. "huber" is half the squared error up to an
        error of 1, and linear beyond. A function or `torch.nn.Module` of your own is
        passed the reconstruction and the target, tensors of shape (n, n_features), and
        returns a tensor of shape (n,), or (n, n_features), which is averaged (for
        torch's losses, use `reduction="none"`). Both are in the units of
        `numeric_scaling`; with "none" these are the units of X. PCA is still fitted
        with the squared error, but compared by this loss. `score` remains the explained
        variance. The Huber loss and losses of your own are for arrays of numbers, not
        for tables with categories or missing cells.
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
        or raise an error.
    column_weights : dict, array-like of shape (n_features,) or None, default=None
        Weights of the columns in the loss, by name or in their order; a column without
        one has the weight 1. None gives all columns the same weight, whatever their
        kind.
    init : {"auto", "pca", "random"}, default="auto"
        How the model is initialized. With "pca" the networks are added to PCA's encoder
        and decoder: before the first step the model is PCA, and it falls back to PCA
        unless an epoch beats it on the validation set by about 2 standard errors of the
        gain (3.25 where there are fewer than 14 samples in it), measured in the square
        roots of the samples' losses so that no single sample dominates (with a loss of
        your own, by 1.5 standard errors, in the losses). Codes are in PCA's
        units, those of the data. "random" has no linear part and no fallback. "auto" is
        "random" with `pretrain` and for a
        :class:`~sk_autoencoder.networks.UserNetwork`, which is then the whole model,
        else "pca".
    pretrain : {"layerwise"} or None, default=None
        "layerwise" first trains one layer at a time, with those below it frozen, to
        reconstruct its own inputs, each for at most `max_epochs` divided by the number
        of layers, and then all layers together. For dense layers, with `init="random"`.
        The outputs of one layer for all samples are kept in memory. The first
        `partial_fit` trains each layer for one pass; later calls, and
        `warm_start=True`, train all layers together. `callbacks` see only the last
        phase.
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
        explains, as in PCA. With `ordered=True` each value is what a component adds to
        those before it; values that would increase are averaged, so the first j may sum
        to a few hundredths more than the first j components explain. Otherwise the sum
        is divided among the components in proportion to their variances.
    components_ : ndarray of shape (n_components, n_encoded_features)
        How the reconstruction changes with each component at `mean_code_`: PCA's
        components if the model is PCA. In the units of X; for a table with categories,
        in those in which errors are measured, with the columns in
        `encoded_feature_names_`.
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
    fell_back_to_pca_ : bool
        Whether the model fell back to PCA because no epoch was better.
    loss_curve_ : list of float
        Mean loss of the training samples, one value per epoch. The squared error is
        divided by that of PCA on the training samples, or by their variance with
        `init="random"`: 1 is as good as PCA, or as predicting the mean. For a
        `UserNetwork` with `init="random"` it is in the units of `numeric_scaling`.
    validation_loss_curve_ : list of float
        The same for the validation set; empty without one.
    best_epoch_ : int
        Epoch whose weights were kept, counted from 1; 0 is the state before the first
        epoch. With a start from PCA, epochs are compared by the square roots of the
        validation samples' losses, so the curve may be lower at another epoch.
    n_iter_ : int
        Number of epochs, including those of `pretrain`.
    net_ : skorch.NeuralNet
        The skorch net.
    module_ : torch.nn.Module
        The torch module.
    history_ : skorch.history.History
        One dict per epoch: losses, batches, seconds; with `pretrain` the phase.
    device_ : str
        Device on which the module is.

    See Also
    --------
    DenoisingAutoEncoderTransformer : Features, imputation and repair of samples.
    VAETransformer : A probability density of the samples.
    sklearn.decomposition.PCA : The best linear code.

    Notes
    -----
    Autoencoders are those of [1]_, `pretrain="layerwise"` is that of [2]_. The user
    guide has the formulas, under "How it works inside".

    Parameters by topic:

    - the code: `n_components`, `whiten`, `ordered`, `rotation`, `align_to`
    - the network: `hidden_layer_sizes`, `activation`, `dropout`, `batch_norm`,
      `network`
    - the error: `loss`, `numeric_scaling`, `column_weights`
    - tables: `categorical_features`, `allow_missing`, `handle_unknown`
    - the start: `init`, `pretrain`, `warm_start`, `random_state`
    - steps: `optimizer`, `lr`, `weight_decay`, `lr_schedule`, `batch_size`,
      `net_params`
    - the end: `max_epochs`, `early_stopping`, `validation_fraction`,
      `n_iter_no_change`, `tol`
    - monitoring and resuming: `verbose`, `callbacks`, `checkpoint_dir`,
      `checkpoint_interval`
    - the machine: `device`, `precision`, `distributed`

    References
    ----------
    .. [1] Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with
       neural networks, Science 313, https://doi.org/10.1126/science.1127647
    .. [2] Bengio, Lamblin, Popovici and Larochelle (2007), Greedy layer-wise training
       of deep networks, NeurIPS 19, https://doi.org/10.7551/mitpress/7503.003.0024

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_autoencoder import AutoEncoderTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> reducer = AutoEncoderTransformer(n_components=10, random_state=0)
    >>> codes = reducer.fit_transform(X)
    >>> codes.shape
    (1797, 10)
    >>> reducer.inverse_transform(codes).shape
    (1797, 64)
    >>> reducer.score(X) > 0.85
    True
    >>> reducer.reconstruction_error(X[:3]).shape
    (3,)
    >>> reducer.contributions(X[:3]).shape  # samples, components, features
    (3, 10, 64)
    >>> reducer.get_feature_names_out()[:2]
    array(['autoencodertransformer0', 'autoencodertransformer1'], dtype=object)
    """

    sample = Absent(DISTRIBUTION)
    sample_missing = Absent(CELLS)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PARAMETER_CONSTRAINTS,
        "loss": [
            StrOptions({"auto", "squared_error", "binary_cross_entropy", "huber"}),
            callable,
        ],
        "ordered": ["boolean"],
        "pretrain": [StrOptions({"layerwise"}), None],
    }

    n_components: float | None = 2
    _: KW_ONLY
    ordered: bool = False
    whiten: bool = False
    rotation: str | None = None
    align_to: FrozenEstimator | None = None
    hidden_layer_sizes: Sequence[int] | str = "auto"
    activation: str | torch.nn.Module = "silu"
    dropout: float = 0.0
    batch_norm: bool = False
    network: Network | None = None
    loss: str | Callable[..., Any] = "auto"
    numeric_scaling: str = "auto"
    categorical_features: Any = "from_dtype"
    allow_missing: bool = False
    handle_unknown: str = "ignore"
    column_weights: Any = None
    init: str = "auto"
    pretrain: str | None = None
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

    def _objective(self) -> Reconstruct:
        return Reconstruct()

    def _likelihood(self) -> str:
        return likelihood_of(self.loss)

    def truncate(self, n_components: int) -> Self:
        """Return a transformer with the first components only, without another fit.

        Parameters
        ----------
        n_components : int
            Number of components to keep, from 1 to `n_components_`.

        Returns
        -------
        truncated : object
            A copy; this transformer stays as it is.

        Raises
        ------
        ValueError
            If the components are not ordered, or there are fewer.
        """
        return self._truncated(n_components)
