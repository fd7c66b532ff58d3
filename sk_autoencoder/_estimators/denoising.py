"""The denoising autoencoder."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags, check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._columns import Table, given_cells, passed_names
from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._estimators.constraints import PARAMETER_CONSTRAINTS
from sk_autoencoder._estimators.validation import check_table
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._fitting.passthrough import MOST_BLOCK_COLUMNS
from sk_autoencoder._fitting.settings import (
    AUTO_DEFAULTS,
    OptimizerParameter,
    likelihood_of,
    table_scaling_of,
    uses_levels,
)
from sk_autoencoder._inference.conditionals import CellPredictor
from sk_autoencoder._objectives import Denoise
from sk_autoencoder._objectives.denoise import NOISES, group_numbers
from sk_autoencoder._protocols import Network
from sk_autoencoder._saving.registry import loadable
from sk_autoencoder._training.config import Precision
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.schedules import Schedule
from sk_autoencoder._utils.sklearn_compat import (
    Interval,
    StrOptions,
    available_if,
    feature_names_in,
)
from sk_autoencoder._utils.tensors import as_array
from sk_autoencoder._utils.threads import threads_for
from sk_autoencoder._utils.torch_compat import torch_defaults
from sk_autoencoder._utils.values import listed, shortened
from sk_autoencoder.networks._checks import AUTO

# Where it is not given: as the first place of Porto Seguro's competition has it.
NOISE_LEVEL = 0.15


def _draws_cells(estimator: Any) -> bool:
    """Whether a masked network is fitted, or would be to a table; raises if not."""
    fitted_to = ""
    if "_fitted" in vars(estimator):
        found = bool(estimator._plan.is_masked)
        fitted_to = f", fitted to {estimator.n_features_in_:,} columns"
    else:
        found = uses_levels(1, **estimator.get_params(deep=False))
    if not found:
        raise AttributeError(
            "expected a model of the cells of a table, got "
            f"features={estimator.features!r}, loss={estimator.loss!r}, "
            f"noise={estimator.noise!r} and network={shortened(estimator.network)}"
            f"{fitted_to}. Fit with features='reconstruction', loss='cross_entropy', "
            "noise='auto' and network=None."
        )
    return True


def _generator(random_state: Any) -> torch.Generator:
    return make_generator(
        check_random_state(random_state).randint(np.iinfo(np.int32).max)
    )


@loadable()
@dataclass(eq=False, repr=False)
class DenoisingAutoEncoderTransformer(BaseAutoEncoder):
    """Denoising autoencoder: features, imputation and repair of corrupted samples.

    A network is trained to reconstruct clean samples from samples with corrupted cells.
    For this it has to learn how columns depend on each other, which makes good features
    for tables, best with `features="hidden"`, which does not use `n_components`, `init`
    and `ordered`. With a bottleneck, training starts from PCA, as in
    `AutoEncoderTransformer`. Epochs are compared with each other, and with PCA, by how
    well they repair corrupted validation samples, with the same noise each time. So
    `score`, which is for clean samples, may be slightly below PCA's.

    `transform` is deterministic: the code of a sample is always the same, whatever
    other samples it is passed with. In addition to X, memory is needed for the weights,
    and for a float32 copy of X unless X is float32 in C order.

    Read more in the :doc:`user guide </user_guide/features>`.

    Parameters
    ----------
    n_components : int, float or None, default=2
        Number of components, the length of a code. None is min(n_samples, n_features),
        as in PCA. A larger number is allowed with a warning, since such a code
        compresses nothing. A float in (0, 1) is the fraction of the variance to
        explain: several fits search for the smallest number of components that explain
        it on the validation set, up to the number that PCA needs on all samples; if
        these are too few, there is a warning. A float cannot be used with `partial_fit`
        or with `features="hidden"`. An int has no effect with `features="hidden"` and
        "reconstruction".
    features : {"bottleneck", "hidden", "reconstruction"}, default="bottleneck"
        What `transform` returns. "bottleneck" is a mirrored network whose code has
        `n_components` numbers. "hidden" is a deep network without a bottleneck, whose
        code is the activations of all hidden layers, side by side; with swap noise and
        `network=None` it also learns which cells were swapped. "reconstruction" is a
        model of the cells of a table, and `transform` returns the samples with their
        missing cells filled: with `allow_missing=True` it is an imputer. Cells that are
        not missing stay as they are, including categories that were not seen in `fit`.
        `reconstruct`, the errors and `score` predict each cell from the others of its
        sample; `sample` and `sample_missing` draw cells: see `loss`. "hidden" and
        "reconstruction" ignore `n_components` and `init`.
    layers : list of int or None, default=None
        Hidden layers whose activations `transform` returns with `features="hidden"`,
        counted from 1, or from the end with -1 for the last one. None is all of them.
    passthrough : bool, default=False
        Whether `transform` returns, with `features="hidden"`, the input for a linear
        model: first a block of at most 128 columns, the activations centered and
        reduced by PCA, multiplied by one number so that they have the same total
        variance as the columns after them; then the columns themselves. Of these,
        numbers are scaled by `numeric_scaling` (and clipped at 5 standard deviations),
        except for columns with two values; categories are one-hot encoded (those with
        two levels as one column, those with more than 64 as their codes); missing cells
        are 0; and each column that had missing cells in `fit` has an indicator column
        at the end. Nothing has to be standardized afterwards. `inverse_transform` uses
        the block only, which is approximate. X cannot be sparse in `fit`, and `whiten`
        must be False.

        .. versionadded:: 0.2
    add_indicator : bool, default=False
        Whether `transform` appends, with `features="reconstruction"`, an indicator
        column for each column that had missing cells in `fit`, as in scikit-learn's
        imputers: 1 if the cell was missing, and 0 otherwise. `inverse_transform` drops
        them.

        .. versionadded:: 0.2
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
        training samples. `inverse_transform` undoes it. Cannot be combined with
        `passthrough=True` or `features="reconstruction"`.
    rotation : {"varimax"} or None, default=None
        "varimax" rotates the code so that, at the mean sample, each component has a
        strong effect on a few columns and little on the others, and sorts the
        components by the variance that they explain. The reconstruction stays the same.
        Cannot be combined with `ordered=True`, hidden features or reconstructions.

        .. versionadded:: 0.2
    align_to : FrozenEstimator or None, default=None
        `sklearn.frozen.FrozenEstimator(old)` rotates the code as close as possible to
        that of `old`, a fitted transformer of this package with the same number of
        components and the same features, so that the components of a refit keep their
        signs, order and orientation. The rotation is determined on the training
        samples. The reconstruction stays the same; `alignment_error_` is the remaining
        difference. Cannot be combined with a fractional `n_components`, `rotation`,
        `ordered=True`, hidden features or reconstructions.

        .. versionadded:: 0.2
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Number of units in each layer between the input and the code, in the order of
        the encoder; the decoder mirrors them. "auto" is (256, 128). With
        `features="hidden"` these are all layers between the input and the linear
        output, and "auto" is (256, 256, 256). With the loss "cross_entropy" they are
        residual blocks of the same width, and "auto" is (256, 256).
    activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "elu", \
"silu"} or torch.nn.Module, default="auto"
        Activation after each hidden layer. "auto" is "silu". With `features="hidden"`
        and `network=None` layers are also normalized over the units of a sample. Each
        layer gets its own copy of a module, whose weights are trained; the module must
        keep the shape of its input and must not be random.
    dropout : float or "auto", default="auto"
        Fraction of units set to zero in training after each hidden layer, in [0, 1).
        "auto" is 0, and 0.2 with the loss "cross_entropy".
    batch_norm : bool, default=False
        Whether to normalize each hidden layer over the batch.
    network : network specification or None, default=None
        A specification such as :class:`~sk_autoencoder.networks.MLP`, instead of the
        four parameters above, which must then keep their defaults.
    loss : {"auto", "squared_error", "binary_cross_entropy", "huber", \
"cross_entropy"} or callable, default="auto"
        "auto" is the squared error, and "cross_entropy" with
        `features="reconstruction"` for a dense table of at most 256 columns, with
        `network=None` and `noise` "auto" or "masking": a network that sees which cells
        are hidden predicts the probability of each level of a hidden cell. Numbers have
        about 32 levels, bins with equal numbers of training samples. Missing numbers
        are filled with the average of the mean of the bins and a linear regression on
        the other cells, categories with the most probable level; see
        `imputation_report_`. The activation is "relu"; `batch_norm`, `pretrain` and
        `whiten` are not available. A column can have at most 4,096 levels. The binary
        cross-entropy requires X in [0, 1], or `numeric_scaling="minmax"`. "huber" is
        half the squared error up to an error of 1, and linear beyond. A function or
        `torch.nn.Module` of your own is passed the reconstruction and the target,
        tensors of shape (n, n_features), and returns a tensor of shape (n,), or (n,
        n_features), which is averaged (for torch's losses, use `reduction="none"`).
        Both are in the units of `numeric_scaling`; with "none" these are the units of
        X. PCA is still fitted with the squared error, but compared by this loss.
        `score` remains the explained variance. The Huber loss and losses of your own
        are for arrays of numbers, not for tables with categories or missing cells.
    numeric_scaling : {"auto", "none", "standard", "minmax", "rank_gauss"} or tuple of \
these, default="auto"
        Units in which errors of numbers are measured. The input of the network is
        standardized in any case, except for a `UserNetwork` with `init="random"`.
        "none" keeps the units of X, as PCA does; "standard" divides each column by its
        standard deviation; "minmax" by its range; "rank_gauss" replaces values by the
        normal scores of their ranks. "auto" is "none", and "standard" for tables with
        categories and for `features="hidden"` or "reconstruction". With these two,
        "standard" and "rank_gauss" divide columns with two values by their range, also
        for the input of the network, so that one-hot and indicator columns stay 0 and
        1, however rare they are. A tuple, for `features="hidden"` only, encodes each
        number in several ways side by side, the first of which `inverse_transform`
        decodes. For hidden features, "auto" is ("standard", "rank_gauss"), or
        "standard" for sparse matrices and losses other than the squared error.
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
    noise : {"auto", "swap", "gaussian", "masking", "salt_and_pepper"} or callable, \
default="auto"
        How the input is corrupted, anew for each batch and never in `transform`. "auto"
        is "swap", and "masking" for `features="reconstruction"`. "swap" replaces a cell
        with the value of the same column in another sample, chosen at random for each
        cell; "gaussian" adds normal noise; "masking" makes a cell missing, or sets it
        to the mean of its column if missing cells are not allowed; "salt_and_pepper"
        sets it to the minimum or maximum of its column. A callable takes a batch, a
        tensor of shape (n, n_features) in the units of X, and a `torch.Generator`, and
        returns the corrupted batch; for a table with categories, missing cells or ranks
        the batch contains scaled numbers, indices of levels, and NaN for missing cells.
    noise_level : float or "auto", default="auto"
        Fraction of the cells that are corrupted, in [0, 1]; for "gaussian", the
        standard deviation of the noise relative to that of the column. Not used by a
        callable. "auto" is 0.15; for `features="reconstruction"` with masking, between
        1 and all cells of a sample are hidden, each number with equal probability,
        since `sample` starts without any cell and is worse with a fixed level.
    noise_schedule : None, float, "cosine" or callable, default=None
        Schedule of the noise level. None keeps it constant; a float in (0, 1] is a
        factor applied after each epoch; "cosine" decreases it to 0 over `max_epochs`; a
        callable takes the epoch, counted from 0, and returns a factor, 0 or more.
    feature_groups : list of lists or None, default=None
        Lists of columns, by name or position, whose cells are corrupted together (with
        "swap", from the same sample), such as the one-hot columns of a category. A
        column that is in no list is its own group. Categories that the transformer
        encodes itself need no group.
    init : {"auto", "pca", "random"}, default="auto"
        How the model is initialized. With "pca" the networks are added to PCA's encoder
        and decoder: before the first step the model is PCA, and it falls back to PCA
        unless an epoch repairs the corrupted validation set better than PCA by about 2
        standard errors of the gain (3.25 where there are fewer than 14 samples in it),
        measured in the square roots of the samples' losses so that no single sample
        dominates (with a loss of your own, by 1.5 standard errors, in the losses). PCA
        is fitted to clean samples. Codes are in PCA's units, those of the data.
        "random" has no linear part and no fallback. "auto" is "random" with `pretrain`
        and for a :class:`~sk_autoencoder.networks.UserNetwork`, which is then the whole
        model, else "pca".
    pretrain : {"layerwise"} or None, default=None
        "layerwise" first trains one layer at a time, with those below it frozen, to
        reconstruct its own inputs, corrupted by `noise` (a stacked denoising
        autoencoder), each for at most `max_epochs` divided by the number of layers, and
        then all layers together. For dense layers, with `init="random"` or
        `features="hidden"`. The outputs of one layer for all samples are kept in
        memory. The first `partial_fit` trains each layer for one pass; later calls, and
        `warm_start=True`, train all layers together. `callbacks` see only the last
        phase.
    optimizer : {"auto", "adam", "adamw", "sgd"}, torch optimizer class or partial of \
one, default="auto"
        Optimizer that updates the weights. "auto" is "adamw", and "adam" for
        `features="hidden"` with `network=None`. Pass further arguments of a class as in
        `functools.partial(torch.optim.SGD, momentum=0.9)`.
    lr : float or "auto", default="auto"
        Learning rate. "auto" is 0.002 for "adam" and "adamw", 0.3 for "sgd" (0.6 with
        SiLU after dense layers). For a class, it is the default of that class.
    weight_decay : float or "auto", default="auto"
        Weight decay. "auto" is 0.1 for "adamw" (0.01 with `init="pca"` and with the
        loss "cross_entropy"), 0 for "adam" and "sgd". For a class, it is the default of
        that class.
    lr_schedule : None, float, "auto", "cosine" or callable, default="auto"
        Schedule of the learning rate. "auto" is None; with `features="hidden"` and
        `network=None`, or with the loss "cross_entropy", it increases the learning rate
        over 100 steps and then decreases it by a cosine, step by step. None keeps `lr`
        constant; a float in (0, 1] is a factor applied after each epoch; "cosine"
        decreases `lr` to 0 over `max_epochs`; a callable takes the epoch, counted from
        0, and returns a factor, 0 or more.
    max_epochs : int or "auto", default="auto"
        Maximum number of passes over the training samples; with 0 nothing is trained.
        "auto" is 150, but increased to at least 1,500 steps (with fewer than 100
        samples, to 15 steps per sample) and limited to 4,000 steps; twice that with
        `init="pca"`, three times that for `features="reconstruction"`. For
        `features="hidden"` with `network=None` it is 30, with 900 to 4,000 steps. With
        the loss "cross_entropy" it is 60, but increased to at least 600 steps and
        limited to 4,000 steps, or to half a step per sample.
    batch_size : int or "auto", default="auto"
        Number of samples in each step. "auto" is a power of two close to a 16th of the
        number of samples, from 32 to 256, or to 128 for `features="hidden"` with
        `network=None`; 256 with the loss "cross_entropy".
    early_stopping : bool, default=True
        Whether to set a validation set aside, to stop when the loss on it no longer
        improves, and to keep the epoch with the smallest loss. With very few samples
        there is no validation set. Without one, the model cannot fall back to PCA. An
        imputer with the loss "cross_entropy" is trained to the end of its schedule, and
        the last epoch is kept, if `n_iter_no_change` and `lr_schedule` are "auto".
    validation_fraction : float, default=0.1
        Fraction of the samples in the validation set, in (0, 1), chosen at random; not
        used if a validation set is passed to `fit` as `X_val`.
    n_iter_no_change : int or "auto", default="auto"
        Number of epochs without improvement after which training stops. "auto"
        corresponds to 400 steps, or to six tenths of the steps up to the best epoch if
        these are more. With `features="hidden"` or "reconstruction" and a cosine
        schedule of the learning rate, training does not stop early.
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
        Further arguments of the skorch net, such as `gradient_clip` (1.0; None
        does not clip) and `weight_average` (0.99, or
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
        explains, as in PCA; with `passthrough=True` the values are those of the block.
        With `ordered=True` each value is what the component adds to those before it,
        and where that would rise, the mean of some: the values do not rise, and the
        first j may sum to a few hundredths more than the first j components explain.
        Otherwise the sum is divided among the components in proportion to their
        variances. Not available with the loss "cross_entropy", which has no code.
    components_ : ndarray of shape (n_components, n_encoded_features)
        How the reconstruction changes with each component at `mean_code_`: PCA's
        components if the model is PCA. In the units of X; for a table with categories,
        in those in which errors are measured, with the columns in
        `encoded_feature_names_`. Like the following attributes up to `mean_code_`, not
        available for hidden features and reconstructions.
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
        Mean loss of the training samples, one value per epoch. It is divided by that of
        PCA on the corrupted training samples; with `init="random"` the squared error is
        divided by their variance: 1 is as good as PCA, or as predicting the mean. For a
        `UserNetwork` with `init="random"` it is in the units of `numeric_scaling`; with
        the loss "cross_entropy", in nats per hidden cell. For `features="hidden"` it is
        a mean squared error, plus four times the mean cross-entropy, in nats, of which
        cells were swapped.
    validation_loss_curve_ : list of float
        The same for the validation set, which is also corrupted; empty without one.
    imputation_report_ : dict
        For each column, how well hidden validation cells were filled: "measure" is
        "squared_error" for numbers and "accuracy" for categories; "network", and
        "median" or "mode", have its values; "regression" is the weight of a linear
        regression on the other cells in the filled numbers: 0, 0.5 or 1. "kept" is what
        `transform` uses: the median or mode if it is better by two standard errors.
        Only with the loss "cross_entropy" and validation samples, and not after
        `partial_fit`: then the network fills all columns.
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
    AutoEncoderTransformer : Dimensionality reduction by an autoencoder.
    VAETransformer : A probability density of the samples.

    Notes
    -----
    Denoising autoencoders are those of [1]_; `pretrain="layerwise"` stacks them as [2]_
    does. Swap noise and concatenated hidden features are those of [3]_.

    Parameters by topic:

    - the result: `features`, `layers`, `passthrough`, `add_indicator`
    - the noise: `noise`, `noise_level`, `noise_schedule`, `feature_groups`
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
    .. [1] Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing
       robust features with denoising autoencoders, ICML,
       https://doi.org/10.1145/1390156.1390294
    .. [2] Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010), Stacked denoising
       autoencoders, JMLR 11, https://jmlr.org/papers/v11/vincent10a.html
    .. [3] Jahrer (2017), first place in Porto Seguro's Safe Driver Prediction, Kaggle

    Examples
    --------
    Ten numbers for each sample, like those of PCA:

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

    Missing cells filled, and new samples with one of the numbers given:

    >>> import numpy as np
    >>> X[::3, 30] = np.nan
    >>> imputer = DenoisingAutoEncoderTransformer(
    ...     features="reconstruction", allow_missing=True, max_epochs=2
    ... )
    >>> int(np.isnan(imputer.fit_transform(X)).sum())
    0
    >>> imputer.sample(5, given={20: 16.0}).shape
    (5, 64)
    >>> len(imputer.sample_missing(X[:10], 3))
    3
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **PARAMETER_CONSTRAINTS,
        **{
            name: [*PARAMETER_CONSTRAINTS[name], StrOptions({"auto"})]
            for name in AUTO_DEFAULTS
        },
        "loss": [
            StrOptions(
                {
                    "auto",
                    "squared_error",
                    "binary_cross_entropy",
                    "huber",
                    "cross_entropy",
                }
            ),
            callable,
        ],
        "noise": [StrOptions({"auto", *NOISES}), callable],
        "noise_level": [Interval(Real, 0, None, closed="left"), AUTO],
        "noise_schedule": [
            StrOptions({"cosine"}),
            Interval(Real, 0, 1, closed="right"),
            callable,
            None,
        ],
        "feature_groups": [list, tuple, None],
        "features": [StrOptions({"bottleneck", "hidden", "reconstruction"})],
        "layers": ["array-like", None],
        "numeric_scaling": [*PARAMETER_CONSTRAINTS["numeric_scaling"], tuple, list],
        "passthrough": ["boolean"],
        "add_indicator": ["boolean"],
        "ordered": ["boolean"],
        "pretrain": [StrOptions({"layerwise"}), None],
    }

    n_components: float | None = 2
    _: KW_ONLY
    features: str = "bottleneck"
    layers: Sequence[int] | None = None
    passthrough: bool = False
    add_indicator: bool = False
    ordered: bool = False
    whiten: bool = False
    rotation: str | None = None
    align_to: FrozenEstimator | None = None
    hidden_layer_sizes: Sequence[int] | str = "auto"
    activation: str | torch.nn.Module = "auto"
    dropout: float | str = "auto"
    batch_norm: bool = False
    network: Network | None = None
    loss: str | Callable[..., Any] = "auto"
    numeric_scaling: str | Sequence[str] = "auto"
    categorical_features: Any = "from_dtype"
    allow_missing: bool = False
    handle_unknown: str = "ignore"
    column_weights: Any = None
    noise: str | Callable[..., Any] = "auto"
    noise_level: float | str = "auto"
    noise_schedule: Schedule = None
    feature_groups: Sequence[Sequence[Any]] | None = None
    init: str = "auto"
    pretrain: str | None = None
    optimizer: OptimizerParameter = "auto"
    lr: float | str = "auto"
    weight_decay: float | str = "auto"
    lr_schedule: Schedule | Literal["auto"] = "auto"
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

    def _objective(self) -> Denoise:
        names = vars(self).get("feature_names_in_")
        groups = group_numbers(self.feature_groups, names, self.n_features_in_)
        noise: Any = self.noise
        level: Any = self.noise_level
        fills = self.features == "reconstruction"
        if isinstance(noise, str) and noise == "auto":
            noise = "masking" if fills else "swap"
        if isinstance(level, str):
            hides = fills and isinstance(noise, str) and noise == "masking"
            level = None if hides else NOISE_LEVEL
        level = None if level is None else float(level)
        return Denoise(noise, level, groups, self.noise_schedule)

    def _uses_levels(self, X: Any) -> bool:
        params = self.get_params(deep=False)
        if sparse.issparse(X) or not uses_levels(1, **params):
            return False
        shape: tuple[int, ...] = X.shape if hasattr(X, "shape") else np.asarray(X).shape
        return len(shape) == 2 and uses_levels(shape[1], **params)

    def _reads_as_table(self, X: Any = None) -> bool:
        named = isinstance(self.loss, str) and self.loss == "cross_entropy"
        return named or super()._reads_as_table(X)

    def _ranks_numbers(self) -> bool:
        return (
            self.features == "hidden"
            and isinstance(self.numeric_scaling, str)
            and self.numeric_scaling == "auto"
            and isinstance(self.loss, str)
            and self.loss in ("auto", "squared_error")
            and not self._reads_as_table()
        )

    def _likelihood(self) -> str:
        return likelihood_of(self.loss)

    def _table_scaling(self) -> str:
        return table_scaling_of(self.numeric_scaling, self.features)

    def _keeps_binary(self) -> bool:
        return self.features != "bottleneck"

    def _validate_params(self) -> None:
        super()._validate_params()
        given = self.numeric_scaling
        if isinstance(given, str):
            return
        known = {"none", "standard", "minmax", "rank_gauss"}
        if not given or len(set(given)) < len(given) or not set(given) <= known:
            raise ValueError(
                "expected at least one of 'none', 'standard', 'minmax' and "
                f"'rank_gauss', and none twice, got numeric_scaling={given!r}. Pass "
                "e.g. ('standard', 'rank_gauss')."
            )
        if self.features != "hidden":
            raise ValueError(
                "expected features='hidden' for several codings of numbers, got "
                f"features={self.features!r} and numeric_scaling={given!r}. Pass one "
                "scaling, or features='hidden'."
            )

    def _training_rows(
        self, X: Any, before: FittedModel | None, *, is_pass: bool = False
    ) -> tuple[Any, Table | None]:
        if self.passthrough and sparse.issparse(X):
            raise ValueError(
                "expected an array or a frame for passthrough=True, got a sparse "
                f"matrix of shape {X.shape}: its columns would be returned dense. Pass "
                "passthrough=False, or X.toarray()."
            )
        rows, table = super()._training_rows(X, before, is_pass=is_pass)
        if self.passthrough:
            block = self._block_names(MOST_BLOCK_COLUMNS)
            _refuse_repeated(block + self._passed_names(table, rows), "passthrough")
        elif self.add_indicator and self.features == "reconstruction" and table:
            _refuse_repeated(self._passed_names(None, rows), "add_indicator")
        return rows, table

    def _block_names(self, n_columns: int) -> list[str]:
        """Return names of the columns of a block, as scikit-learn makes them."""
        prefix = type(self).__name__.lower()
        return [f"{prefix}{i}" for i in range(n_columns)]

    def _passed_names(self, table: Table | None, rows: Any = None) -> list[str]:
        """Return the names of columns beside a block.

        Parameters
        ----------
        table : Table or None
        rows : ndarray or None
            Those that are fitted on; None after a fit.
        """
        if rows is None:
            indicators: Sequence[int] = self._plan.indicators
        else:
            indicators = np.flatnonzero(np.isnan(rows).any(axis=0)).tolist()
        names = feature_names_in(self)
        return passed_names([str(name) for name in names], table, indicators)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.sparse and not self.passthrough
        return tags

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

    @property
    def imputation_report_(self) -> dict[Any, dict[str, Any]]:
        """How near hidden validation cells were to what fills them, by column."""
        check_is_fitted(self)
        imputation = self._fitted.imputation
        if imputation is None:
            raise AttributeError(
                "expected a fit with features='reconstruction', the loss "
                "'cross_entropy' and validation samples for imputation_report_, got "
                "another. Fit with early_stopping=True, on a dense table."
            )
        return imputation.report(self._plan.level_columns())

    @available_if(_draws_cells)
    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        given: Any = None,
    ) -> Any:
        """Return random samples of the fitted table, with some columns as given.

        The cells of a sample are drawn one after the other, in a random order, each
        from its distribution given those that are there: given columns therefore make
        samples from the conditional distribution. Numbers are values that were seen in
        `fit`. For `features="reconstruction"` with the loss "cross_entropy".

        .. versionadded:: 0.2

        Parameters
        ----------
        n_samples : int, default=1
            How many; 0 or more.
        random_state : int, RandomState instance or None, default=None
            Seed of the cells.
        given : dict, frame of `n_samples` rows or None, default=None
            Columns that are fixed: a value each, by their names, for an array by their
            positions; or those of a frame, whose missing cells are drawn. Other columns
            are drawn. A number outside the range of the training samples counts as the
            end of that range, with a warning, and comes back as it is; whole numbers
            beyond 2**53 are rounded to float64.

        Returns
        -------
        X : {ndarray, frame} of shape (n_samples, n_features)
            A table of the kind that was fitted.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If `n_samples` is no integer, `given` is no dict and no frame, or a value
            in it is of another type than its column.
        ValueError
            If `n_samples` is below 0, or `given` has a column or a category that `fit`
            has not seen, a fraction where only whole numbers were, or another number
            of rows.
        """
        check_is_fitted(self)
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=0, include_boundaries="left"
        )
        table = self._plan.table
        assert table is not None
        cells = given_cells(table, given, n_samples)
        rows = self._drawn(cells, _generator(random_state))
        if table.format.kind == "array":
            return self._in_container(table.array(rows, cells), None)
        return table.table(rows, given, cells)

    @available_if(_draws_cells)
    def sample_missing(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> list[Any]:
        """Return tables whose missing cells are filled at random: multiple imputation.

        The missing cells of a row are drawn one after the other, in a random order,
        each from its distribution given those that are there: together they are one
        draw from the distribution of all. For `features="reconstruction"` with the loss
        "cross_entropy".

        .. versionadded:: 0.2

        Parameters
        ----------
        X : {array-like, frame} of shape (n_samples, n_features)
            Samples with the features of `fit`.
        n_samples : int, default=1
            How many tables.
        random_state : int, RandomState instance or None, default=None
            Seed of the cells.

        Returns
        -------
        tables : list of {ndarray, frame} of shape (n_samples, n_features)
            Copies of X; cells that were not missing are as they were.

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError
            If `n_samples` is no integer, or a column of X has another type.
        ValueError
            If `n_samples` is below 0, or X has other features than those of `fit`, or
            infinite cells.
        """
        check_is_fitted(self)
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=0, include_boundaries="left"
        )
        rows, generator = self._check_rows(X), _generator(random_state)
        table, X = self._plan.table, check_table(self, as_array(X))
        assert table is not None
        return [table.filled(X, self._drawn(rows, generator)) for _ in range(n_samples)]

    def _drawn(self, rows: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Draw the missing cells of samples that have been validated."""
        module = self.net_.module_
        with torch_defaults(), threads_for(len(rows) * module.n_weights()):
            predictor = CellPredictor(module, torch.float32)
            X = torch.from_numpy(rows).to(module.columns.mean.device)
            return predictor.draw(X, generator).cpu().numpy()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : Ignored
            Present for API consistency by convention.

        Returns
        -------
        names : ndarray of str, shape (n_components,)
            Class name and number; with `features="hidden"` layer and unit, such as
            "h1_0000"; with "reconstruction" the names of the features. With
            `passthrough=True` class name and number for the block, then the name of
            each column: "column", "column_level" for a category,
            "column_code0" for one of more than 64 levels, and
            "missingindicator_column" for the flags.
        """
        check_is_fitted(self)
        plan = self._plan
        if plan.imputes:
            names = feature_names_in(self, input_features)
            flags = [f"missingindicator_{names[i]}" for i in plan.indicators]
            return np.array([*names, *flags], dtype=object)
        if plan.block_variances is not None:
            feature_names_in(self, input_features)
            block = self._block_names(len(plan.block_variances))
            return np.array([*block, *self._passed_names(plan.table)], dtype=object)
        if not plan.stacked:
            generated: np.ndarray = super().get_feature_names_out(input_features)
            return generated
        widths = plan.network.stack_widths()
        names = np.array(
            [f"h{i}_{unit:04d}" for i, n in enumerate(widths, 1) for unit in range(n)],
            dtype=object,
        )
        return names if plan.output_index is None else names[list(plan.output_index)]


def _refuse_repeated(names: list[str], parameter: str) -> None:
    """Refuse names of columns that are not unique where a parameter is True."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(
            "expected unique names of the columns that transform returns for "
            f"{parameter}=True, got [{listed(repeated)}] more than once. Rename "
            f"columns or levels of X, or pass {parameter}=False."
        )
