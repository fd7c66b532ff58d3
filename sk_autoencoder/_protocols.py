"""The contracts between the rooms: three axes, what a net trains, estimators.

A *network* turns a signal into numbers and back. An *objective* says what
corrupts the input, how the code is drawn, and what is added to the loss. *Columns*
say how a column is scaled, decoded and scored. They know nothing of each other:
`_fitting/build.py` joins one of each to a *trainable module*.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from sk_autoencoder._utils.float64_buffers import Float64Buffers
from sk_autoencoder._utils.params import refuse_one_size
from sk_autoencoder._utils.pca import ScoredRows
from sk_autoencoder._utils.pickling import PickledByPublicName

# In place of the number of a cell's level: it is hidden, or missing in the data.
HIDDEN = -1


class Network(PickledByPublicName, BaseEstimator, ABC):
    """Specification of a network: parameters only, no weights.

    A specification is a scikit-learn estimator without `fit`: it clones, prints
    and takes `set_params`. `build` reads it and never changes it.

    Attributes
    ----------
    input_shape : tuple of int or None
        Of a row, where it has one: arrays of rows in that shape are taken too, and
        reach the encoder flattened. A parameter of the networks that have it.
    needs_all_features : bool
        Whether it matters which feature stands where in a row, as in an image. `build`
        is then told as many outputs as there are features, constant ones included, and
        as many inputs, or twice as many: then a mask of the missing cells follows, in
        the same order.
    lr_scale : float
        What the recipe's learning rate is multiplied by.
    """

    input_shape: Sequence[int] | None = None
    needs_all_features: ClassVar[bool] = False
    lr_scale: ClassVar[float] = 1.0

    def _validate_params(self) -> None:
        """Validate parameters as scikit-learn does, with advice on sizes."""
        refuse_one_size(self)
        super()._validate_params()

    @abstractmethod
    def build(
        self,
        *,
        n_inputs: int,
        n_encoder_outputs: int,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Build an encoder and a decoder with fresh weights.

        Parameters
        ----------
        n_inputs : int
            Numbers in a row, as the columns encode it.
        n_encoder_outputs : int
            Numbers that the encoder gives for a row; `n_components`, or more where
            the objective draws the code from a distribution.
        n_components : int
            Numbers in a code: what the decoder takes.
        n_outputs : int
            Numbers that the decoder gives for a row.
        generator : torch.Generator
            Draws the initial weights, and the dropout masks later on. On the CPU.

        Returns
        -------
        encoder, decoder : torch.nn.Module
            (n, n_inputs) to (n, n_encoder_outputs); (n, n_components) to
            (n, n_outputs).
        """

    def validate(self, *, starts_from_pca: bool, varies: np.ndarray) -> None:
        """Refuse what the network does not go with, with advice that names its own.

        Parameters
        ----------
        starts_from_pca : bool
            Whether PCA, which sees whole rows, is to stand beside the network.
        varies : ndarray of bool of shape (n_features,)
            Which cells of a row differ between training rows.
        """

    def warning_for(self, n_features: int) -> str | None:
        """Return what is probably not meant, though it can be built, or None.

        `fit` warns of it. `build` must not: it is called whenever a file is read.

        Parameters
        ----------
        n_features : int
            Of the rows.
        """
        return None

    def stack_widths(self) -> list[int]:
        """Return the units of each hidden layer of `build_stack`."""
        raise ValueError(
            "expected a network of dense layers for features='hidden', got "
            f"network={self!r}. Pass network=None or network=MLP(...), or "
            "features='bottleneck'."
        )

    def build_stack(
        self, *, n_inputs: int, n_outputs: int, generator: torch.Generator
    ) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Build a stack without a bottleneck, whose code is every hidden layer.

        Returns
        -------
        encoder, decoder : torch.nn.Module
            (n, n_inputs) to (n, sum of widths), all hidden layers side by side;
            from these to (n, n_outputs).
        """
        raise NotImplementedError

    def layer_pairs(
        self,
        encoder: torch.nn.Module,
        decoder: torch.nn.Module,
        generator: torch.Generator,
    ) -> list[tuple[torch.nn.Sequential, torch.nn.Sequential]]:
        """Take what was built apart, to train it layer by layer.

        Parameters
        ----------
        encoder, decoder : torch.nn.Module
            From `build` or `build_stack`.
        generator : torch.Generator
            Draws the weights of decoders that are no part of what was built.

        Returns
        -------
        pairs : list of (Sequential, Sequential)
            Layers of the encoder, the first that runs first, each with a decoder from
            its outputs to its inputs; but for the first pair, its last part is the
            activation behind these inputs.
        """
        raise ValueError(
            "expected a network of dense layers for pretrain='layerwise', got "
            f"network={self!r}. Pass network=None or network=MLP(...), or "
            "pretrain=None."
        )


class Objective:
    """What is trained for: the noise, the code and the terms of the loss.

    Objectives hold plain numbers, no tensors: they pickle as they are. Every method
    has the plain autoencoder's answer as its default.

    Attributes
    ----------
    is_variational : bool
        Whether the code is sampled from a distribution that the encoder gives, and the
        loss has further terms. Else the code is the encoder's output.
    has_gradient : bool
        Whether `rsample_with_vjp` is there, where it is needed.
    """

    is_variational: ClassVar[bool] = False
    has_gradient: ClassVar[bool] = True

    @property
    def is_denoising(self) -> bool:
        """Whether clean samples are to be found from corrupted ones.

        Then how well that is done is what epochs are compared by with each other, and
        the network with PCA.
        """
        return False

    @property
    def is_own_noise(self) -> bool:
        """Whether the noise is a function of the caller's own."""
        return False

    def n_encoder_outputs(self, n_components: int) -> int:
        """Return how many numbers the encoder gives for a code of `n_components`."""
        return n_components

    def corrupt(
        self, x: Tensor, columns: "InputColumns", generator: torch.Generator
    ) -> Tensor:
        """Return the network's input for rows in training.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Centered rows; not to be written to.
        columns : InputColumns
            Scales the rows: `columns.encode`.
        generator : torch.Generator
            Draws the noise.

        Returns
        -------
        inputs : Tensor of shape (n, n_inputs)
        """
        return columns.encode(x)

    def noisy(
        self, x: Tensor, columns: "InputColumns", generator: torch.Generator
    ) -> Tensor:
        """Return the rows that `corrupt` turns into inputs, centered too."""
        return x

    def donors(
        self, x: Tensor, columns: "InputColumns", generator: torch.Generator
    ) -> Tensor | None:
        """Return the row of the batch that `noisy` takes each cell from.

        (n, n_features), drawn in place of `noisy`; None, and nothing drawn, where cells
        are not swapped.
        """
        return None

    def validation_inputs(
        self, x: Tensor, columns: "InputColumns", generator: torch.Generator
    ) -> Tensor:
        """Return the network's input for samples that the epochs are compared on."""
        return columns.encode(x)

    def n_validation_draws(self, n_samples: int) -> int:
        """Return how many times to score each of the validation samples."""
        return 1

    def encoder_input_noise(self, n_rows: int, n_inputs: int) -> float:
        """Return the standard deviation of the noise on what a network beside PCA sees.

        Parameters
        ----------
        n_rows, n_inputs : int
            Of the training rows.
        """
        return 0.0

    def at_epoch(self, epoch: int, max_epochs: int) -> "Objective":
        """Return the objective of an epoch, counted from 0."""
        return self

    def of_hidden_units(self) -> "Objective":
        """Return the objective of a layer whose columns are hidden units."""
        return self

    def rsample(self, encoder_output: Tensor, generator: torch.Generator) -> Tensor:
        """Sample the code that is decoded in training and validation."""
        return self.mode(encoder_output)

    def mode(self, encoder_output: Tensor) -> Tensor:
        """Return the one code that `transform` returns. Never random."""
        return encoder_output

    def loss_terms(self, encoder_output: Tensor) -> dict[str, Tensor]:
        """Return further terms of the loss by name, each a mean over the rows."""
        return {}

    def per_sample_terms(self, encoder_output: Tensor) -> Tensor | float:
        """Return what a row's loss has beside its reconstruction, (n,) or 0."""
        return 0.0

    def rsample_with_vjp(
        self, encoder_output: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, dict[str, float]]]]:
        """Do what `rsample` and `loss_terms` do, without a graph.

        Only variational objectives need it.

        Returns
        -------
        code : Tensor of shape (n, n_components)
        back : callable
            From the gradient of the reconstruction's loss by the code, which may be
            overwritten, to that of the whole loss by `encoder_output`, and the terms.
        """
        raise NotImplementedError

    def combine(self, terms: Mapping[str, Any]) -> Any:
        """Combine the terms to the scalar that is minimized."""
        return sum(terms.values())


class InputColumns(Float64Buffers, ABC):
    """The columns of a table as a network sees them, and as noise corrupts them.

    Inside the network rows are *centered*: the training mean is taken off before
    anything is rounded to float32, so that a large offset costs no precision.

    Attributes
    ----------
    mean : Tensor of shape (n_features,)
        What is taken off rows: the training mean, in the caller's units.
    low, high, spread : Tensor of shape (n_features,)
        Range and standard deviation of centered rows in training; NaN, NaN and 0 for
        columns that are no numbers.
    """

    mean: Tensor
    low: Tensor
    high: Tensor
    spread: Tensor

    def set_statistics(self, statistics: Any) -> None:
        """Take over the `ColumnStatistics` of the training rows, if they changed.

        By default nothing is done: the statistics of a table are those of its first
        rows, and part of it.
        """

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Turn centered rows (n, n_features) into inputs (n, n_inputs)."""

    @abstractmethod
    def mask(self, x: Tensor, keep: Tensor) -> Tensor:
        """Return centered rows that are missing where `keep` is false."""

    def value_range(self) -> tuple[Tensor, Tensor]:
        """Return the least and greatest of centered rows in training, (n_features,).

        NaN for columns that are no numbers.
        """
        return self.low, self.high

    def std(self) -> Tensor:
        """Return the standard deviations in training, (n_features,), else 0."""
        return self.spread

    def fit_dispersion(self, outputs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what depends on the trained network, from all training rows.

        Parameters
        ----------
        outputs : iterable of (raw, x)
            The decoder's output and the centered rows, batch by batch; not read by
            columns that need nothing.
        """


class Columns(InputColumns):
    """The columns of a table: how each is scaled, decoded and scored.

    Attributes
    ----------
    loss_scale : Tensor of shape (n_outputs,) or (1,)
        Of the score, in units of `centered_targets`.
    factor : ndarray of shape (n_inputs,)
        From inputs to the units of the score.
    n_inputs, n_outputs : int
        Numbers that the encoder takes and the decoder gives for a row.
    is_squared_error : bool
        Whether the loss is PCA's own, up to a factor.
    is_affine : bool
        Whether inputs are centered rows times `input_weight`, and rows are the mean of
        the likelihood less `offset`, times `output_unit`, plus `mean`: what the faster
        forward passes of `_inference` are made for.
    is_own_loss : bool
        Whether the loss is a function of the user's own, which may compute another
        value at every call.
    has_gradient : bool
        Whether `loss_and_gradient` and `link_vjp` are there.
    column_index : Tensor of shape (n_outputs,) or None
        The column that each of the decoder's outputs belongs to; None where each is a
        column of its own, and all columns are there.
    flagged_columns : Tensor of shape (n_masks,) or None
        Columns with a mask behind the other inputs, 1 where a cell is missing.
    input_spread : Tensor of shape (n_inputs,) or None
        Standard deviations of the inputs in training; None where all are taken for 1.
    """

    loss_scale: Tensor
    factor: np.ndarray
    n_inputs: int
    n_outputs: int
    is_squared_error: bool
    has_gradient: bool
    is_affine: ClassVar[bool] = False
    is_own_loss: bool = False
    column_index: Tensor | None
    flagged_columns: Tensor | None
    input_spread: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("column_index", None)
        self.register_buffer("flagged_columns", None, persistent=False)
        self.register_buffer("input_spread", None)

    # -- what follows from the training rows -----------------------------------------

    def set_variance(self, variance: float) -> None:
        """Start from one variance of the errors in all columns, in scaled units.

        Only normal densities have one.
        """

    def set_pca(
        self, explained: np.ndarray, residual_variance: float, pca_loss: float = 0.0
    ) -> float:
        """Take over how much of the rows PCA explains, where training starts from it.

        Parameters
        ----------
        explained : ndarray of shape (n_outputs,)
            Variance of PCA's reconstruction in each number of the score.
        residual_variance : float
            What it leaves in a number of the score, on average.
        pca_loss : float
            Its loss, where it was measured.

        Returns
        -------
        unit : float
            What the output of a network beside PCA is multiplied by.
        """
        return 1.0

    @abstractmethod
    def scored_rows(self, X: Any, mean: np.ndarray | None = None) -> ScoredRows:
        """Return rows X, not centered, in the units of the score, for PCA.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
        mean : ndarray of shape (n_features,) or None
            What is taken off them; None is the mean of the training rows.
        """

    def check_loss(self, raw: Tensor, x: Tensor) -> None:
        """Refuse a loss of the user's own that cannot be trained on a batch."""

    def constants(self) -> np.ndarray:
        """Return what a network that needs all features is given for constant ones.

        Of shape (n_features,).
        """
        return np.zeros(len(self.mean))

    # -- in and out ------------------------------------------------------------------

    @abstractmethod
    def mean_inputs(self) -> Tensor:
        """Return the inputs of the mean training sample, (n_inputs,)."""

    @abstractmethod
    def centered_targets(self, x: Tensor) -> Tensor:
        """Return centered rows, less their mean, in the units of `errors`."""

    @abstractmethod
    def sum_by_column(self, squares: Tensor) -> Tensor:
        """Sum squared `errors` over what belongs to a column, (n, n_features)."""

    @abstractmethod
    def decode(self, raw: Tensor) -> Tensor:
        """Turn the decoder's output (n, n_outputs) into rows, in caller's units."""

    @abstractmethod
    def errors(self, raw: Tensor, x: Tensor) -> Tensor:
        """Return centered rows less their reconstruction; see `centered_targets`."""

    @abstractmethod
    def link(self, y: Tensor) -> Tensor:
        """Turn rows in the units of the score into what a decoder would give."""

    @abstractmethod
    def link_vjp(self, gradient: Tensor, y: Tensor) -> Tensor:
        """Return the gradient by y of a loss whose gradient by `link(y)` is known."""

    @abstractmethod
    def loss_and_gradient(
        self, raw: Tensor, x: Tensor, unit: float
    ) -> tuple[float, Tensor]:
        """Score centered rows, and give the gradient by `raw`, both over `unit`.

        On the CPU, where `has_gradient`; `raw` may be overwritten.
        """

    @abstractmethod
    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score centered rows `x` by the decoder's output: a mean over the rows."""

    @abstractmethod
    def per_sample_loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """Score each of the centered rows, (n,); their mean is the loss."""

    def loss_of_inputs(self, raw: Tensor, x: Tensor, inputs: Tensor) -> Tensor:
        """Return `per_sample_loss`, where `inputs` is what `encode` gives for x."""
        return self.per_sample_loss(raw, x)

    def swapped(self, inputs: Tensor, donors: Tensor) -> Tensor:
        """Return the inputs of rows whose cells are swapped, from those before.

        Parameters
        ----------
        inputs : Tensor of shape (n, n_inputs)
            What `encode` gives for the rows.
        donors : Tensor of shape (n, n_features)
            The row that each cell is taken from.
        """
        index = self.column_index
        if index is None:
            return inputs.gather(0, donors)
        if self.flagged_columns is not None:
            index = torch.cat([index, self.flagged_columns])
        return inputs.gather(0, donors.index_select(1, index))

    @abstractmethod
    def log_likelihood(self, raw: Tensor, x: Tensor) -> Tensor:
        """Compute log densities of centered rows given the decoder's output, (n,).

        In nats, for the caller's units; only likelihoods that are densities have it.
        """

    @abstractmethod
    def sample(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows, in caller's units, given the decoder's output."""


class TrainableModule(torch.nn.Module, ABC):
    """What a net trains: centered rows go in, and a loss comes out.

    Attributes
    ----------
    columns : InputColumns
        Of the rows.
    objective : Objective
        Combines the terms of the loss. A run sets that of each epoch.
    generator : torch.Generator
        Draws all noise; see `use_generator`.
    keeps_last : bool
        Whether the end of a schedule is kept where it is reached, whatever the loss on
        validation samples is.
    """

    columns: InputColumns
    objective: Objective
    generator: torch.Generator
    keeps_last = False

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows (n, n_features) through, for `loss_terms`."""

    def validation_output(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run centered rows through as `forward`, to compare states by their loss."""
        return self.forward(x)

    @abstractmethod
    def loss_terms(self, output: tuple[Tensor, ...], x: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss by name, each a mean over the rows."""

    @abstractmethod
    def per_sample_loss(self, output: tuple[Tensor, ...], x: Tensor) -> Tensor:
        """Score each centered row, (n,), by what `forward` gives for it."""

    @cached_property
    def _drawing(self) -> list[Any]:
        """Parts that draw noise of their own, such as dropout."""
        return [part for part in self.modules() if hasattr(part, "generator")]

    def use_generator(self, generator: torch.Generator) -> None:
        """Draw all noise, dropout included, from this generator from now on."""
        for part in self._drawing:
            part.generator = generator
        self.generator = generator

    def n_weights(self) -> int:
        """Count the numbers that a row is multiplied by."""
        return sum(weight.numel() for weight in self.parameters())


class SavedEstimator(Protocol):
    """What a file asks of an estimator, fitted or not."""

    def _to_state(self) -> dict[str, Any]:
        """Return what a file holds of the estimator, by name."""

    def _load_state(self, state: dict[str, Any], *, is_fitted: bool) -> None:
        """Take over what a file holds, once it has been checked."""
