"""Recurrent networks for series."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.sklearn_compat import Interval, StrOptions
from sk_autoencoder.networks._checks import AUTO, COUNT, LAYER_CONSTRAINTS, check_sizes
from sk_autoencoder.networks._layers import Dropout, linear
from sk_autoencoder.networks.series import (
    GATES,
    Recurrence,
    SeriesDecoder,
    SeriesEncoder,
    WrittenBack,
)

# Frames that a series is cut into. On made-up series and ECG5000 they took a third of
# the time of single steps and gave less error (decisions/0016-recurrent-frames.md).
FRAMES = 16


@dataclass(eq=False, repr=False)
class RecurrentNet(Network):
    """An LSTM or GRU that reads a series, and one that writes it from the code.

    Samples are series, of shape (n_samples, n_steps, n_channels) or flattened, as by
    `X.reshape(len(X), -1)`; they are returned in the same shape. They are read and
    generated in frames of a few steps. The state of the encoder after the last frame is
    mapped to the code. The decoder starts from the code, sees it and the time at every
    frame, and generates the series from its end to its beginning, so that it starts
    with what the encoder has read last.

    To use series of unequal length, pad them with missing cells at the end and pass
    `allow_missing=True` to the estimator. The encoder reads up to the last frame that
    has a value, in both directions; earlier missing cells are marked in the input, and
    the loss ignores all missing cells. Reconstructions have all steps.

    Parameters
    ----------
    input_shape : tuple of int or None, default=None
        (n_steps, n_channels); their product is the number of features. None is one
        channel of as many steps as there are features.
    cell : {"lstm", "gru"}, default="lstm"
        Kind of the recurrent cells: long short-term memory, or gated recurrent units,
        which have a quarter fewer weights.
    hidden_size : int or tuple of int, default=64
        Number of units of each layer, in each direction; a tuple is in the order of the
        encoder, and the decoder mirrors it.
    n_layers : int, default=1
        Number of layers of the encoder, and of each decoder.
    frame_size : int or "auto", default="auto"
        Number of steps that are read or generated at once; with 1 it is a plain
        recurrent network. "auto" is a sixteenth of the steps, rounded up. Fewer, longer
        frames are faster and easier to learn.
    bidirectional : bool, default=True
        Whether the encoder also reads from the last frame to the first.
    dropout : float, default=0.0
        Fraction of units set to zero in training after each layer, in [0, 1).
    n_future : int, default=0
        Number of steps at the end that the encoder does not see. A second decoder
        predicts them from the code, in the order of time. Requires `init="random"`,
        since PCA would see them.

    See Also
    --------
    ConvNet : Convolutions, also over time; faster.

    Notes
    -----
    Encoders and decoders of series are those of [1]_ and [2]_, frames of steps those of
    [3]_. The time is proportional to the number of frames, which are computed one after
    the other. Weights are initialized as in torch, except for the bias of the forget
    gates of an LSTM, which is 1. With `lr="auto"` the learning rate is 2.5 times that
    of dense networks.

    If series are shifted or stretched in time, their best code can be far from PCA's,
    and a start from PCA keeps the network close to it: also try `init="random"`.

    References
    ----------
    .. [1] Srivastava, Mansimov and Salakhutdinov (2015), Unsupervised learning of video
       representations using LSTMs, ICML, https://doi.org/10.48550/arXiv.1502.04681
    .. [2] Sutskever, Vinyals and Le (2014), Sequence to sequence learning with neural
       networks, NeurIPS, https://doi.org/10.48550/arXiv.1409.3215
    .. [3] Sak, Senior, Rao and Beaufays (2015), Fast and accurate recurrent neural
       network acoustic models for speech recognition, Interspeech,
       https://doi.org/10.48550/arXiv.1507.06947

    Examples
    --------
    >>> import numpy as np
    >>> from sk_autoencoder import AutoEncoderTransformer
    >>> from sk_autoencoder.networks import RecurrentNet
    >>> start = np.random.default_rng(0).uniform(0, 6, size=(100, 1, 1))
    >>> series = np.sin(start + np.linspace(0, 6, 20)[:, None] * [1, 2])
    >>> network = RecurrentNet((20, 2), hidden_size=8)
    >>> reducer = AutoEncoderTransformer(3, network=network, max_epochs=2)
    >>> reducer.fit_transform(series).shape
    (100, 3)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "cell": [StrOptions(set(GATES))],
        "hidden_size": [COUNT, "array-like"],
        "n_layers": [COUNT],
        "frame_size": [COUNT, AUTO],
        "bidirectional": ["boolean"],
        "dropout": LAYER_CONSTRAINTS["dropout"],
        "n_future": [Interval(Integral, 0, None, closed="left")],
    }
    needs_all_features: ClassVar[bool] = True
    # From PCA a third less error than with 1, and 5 gave no less; from a random start
    # the same error (decisions/0016-recurrent-frames.md).
    lr_scale: ClassVar[float] = 2.5

    input_shape: Sequence[int] | None = None
    cell: str = "lstm"
    hidden_size: int | Sequence[int] = 64
    n_layers: int = 1
    frame_size: int | str = "auto"
    bidirectional: bool = True
    dropout: float = 0.0
    n_future: int = 0

    def build(
        self,
        *,
        n_inputs: int,
        n_encoder_outputs: int,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and one decoder or two; see `Network.build`."""
        n_steps, n_channels = self._shape(n_outputs)
        sizes = self._sizes()
        frame = self._frame(n_steps)
        n_read = n_steps - self.n_future
        masked = n_inputs == 2 * n_outputs
        n_ways = 2 if self.bidirectional else 1
        width = frame * n_channels
        widths = [width * (2 if masked else 1), *(n_ways * size for size in sizes)]
        layers = [
            [self._recurrence(n_in, size, generator) for _ in range(n_ways)]
            for n_in, size in zip(widths[:-1], sizes, strict=True)
        ]
        encoder = SeriesEncoder(
            (n_steps, n_channels),
            n_read=n_read,
            frame=frame,
            layers=layers,
            dropout=self._dropout(),
            output=linear(widths[-1], n_encoder_outputs, generator),
            masked=masked,
        )
        ends = [n_components, *reversed(sizes), width]
        past, future = (
            self._decoder(-(-n // frame), ends, generator) if n else None
            for n in (n_read, int(self.n_future))
        )
        assert past is not None
        counts = (n_read * n_channels, self.n_future * n_channels)
        return encoder, WrittenBack(past, future, counts)

    def validate(self, *, starts_from_pca: bool, varies: np.ndarray) -> None:
        """Refuse what leaves nothing to predict; see `Network.validate`."""
        if not self.n_future:
            return
        if starts_from_pca:
            raise ValueError(
                f"expected init='random' for n_future={self.n_future!r}, got "
                "init='pca', which sees the steps that are to be predicted. Pass "
                "init='random', or n_future=0."
            )
        n_steps, n_channels = self._shape(len(varies))
        n_read = n_steps - self.n_future
        if not varies[n_read * n_channels :].any():
            raise ValueError(
                f"expected series that go on after step {n_read} of {n_steps}, got "
                f"n_future={self.n_future!r} and X without values that differ there. "
                "Pass a smaller n_future, or longer series."
            )

    def _decoder(
        self, n_frames: int, sizes: list[int], generator: torch.Generator
    ) -> SeriesDecoder:
        """Make a decoder of so many frames through these sizes, the code's first."""
        n_components, *units, width = sizes
        n_shown = [n_components + SeriesDecoder.N_WAVES, *units[:-1]]
        layers = [
            self._recurrence(n_in, size, generator)
            for n_in, size in zip(n_shown, units, strict=True)
        ]
        starts = [
            linear(n_components, layer.n_states * layer.n_units, generator)
            for layer in layers
        ]
        return SeriesDecoder(
            n_frames=n_frames,
            layers=layers,
            starts=starts,
            dropout=self._dropout(),
            output=linear(units[-1], width, generator),
        )

    def _recurrence(
        self, n_in: int, n_units: int, generator: torch.Generator
    ) -> Recurrence:
        return Recurrence(self.cell, n_in=n_in, n_units=n_units, generator=generator)

    def _dropout(self) -> nn.Module:
        return Dropout(self.dropout) if self.dropout else nn.Identity()

    # -- checks ----------------------------------------------------------------------

    def _frame(self, n_steps: int) -> int:
        """Resolve the steps of a frame."""
        if isinstance(self.frame_size, str):
            return -(-n_steps // FRAMES)
        return int(self.frame_size)

    def _shape(self, n_outputs: int) -> tuple[int, int]:
        """Check the parameters against the features; return the shape."""
        self._validate_params()
        shape: tuple[int, ...] = (n_outputs, 1)
        if self.input_shape is not None:
            shape = check_sizes("input_shape", self.input_shape, (140, 1))
        if len(shape) != 2:
            raise ValueError(
                "expected (n_steps, n_channels), got "
                f"input_shape={self.input_shape!r}. Pass e.g. input_shape=(140, 1)."
            )
        n_steps, n_channels = shape
        if n_steps * n_channels != n_outputs:
            raise ValueError(
                f"expected series of input_shape={shape}, {n_steps * n_channels} "
                f"features, got X with {n_outputs} features"
                f"{self._guess(n_steps, n_channels, n_outputs)}. Pass "
                "network=RecurrentNet(input_shape=(n_steps, n_channels)) whose product "
                "is X.shape[1]."
            )
        if self.n_future >= n_steps:
            raise ValueError(
                f"expected n_future from 0 to n_steps - 1 = {n_steps - 1}, got "
                f"n_future={self.n_future!r}. Pass fewer steps to predict, or longer "
                "series."
            )
        return n_steps, n_channels

    @staticmethod
    def _guess(n_steps: int, n_channels: int, n_features: int) -> str:
        """Return what else the shape may have been meant to be."""
        if n_features % n_steps == 0:
            n_channels = n_features // n_steps
            return f", which would be {n_channels} channels of {n_steps} steps"
        if n_features % n_channels == 0:
            n_steps = n_features // n_channels
            return f", which would be {n_steps} steps of {n_channels} channels"
        return ""

    def _sizes(self) -> list[int]:
        """Return the units of each layer."""
        size = self.hidden_size
        if isinstance(size, Integral):
            return [int(size)] * int(self.n_layers)
        sizes = check_sizes("hidden_size", size, (64, 32))
        if len(sizes) != self.n_layers:
            raise ValueError(
                f"expected as many sizes as layers, got hidden_size={size!r} and "
                f"n_layers={self.n_layers!r}. Pass n_layers={len(sizes)}, or an int."
            )
        return list(sizes)
