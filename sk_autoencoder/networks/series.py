"""The modules that recurrent networks are made of."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

# Blocks of weights that a cell has for each of its units.
GATES = {"lstm": 4, "gru": 3}


class Recurrence(nn.Module):
    """One layer of cells, from the first frame to the last.

    **Shape**: (n, n_frames, n_in) to (n, n_frames, n_units). The state before the first
    frame, (n, n_states, n_units), may be given; `n_states` is 2 for an LSTM, else 1.

    Parameters
    ----------
    cell : {"lstm", "gru"}
    n_in, n_units : int
    generator : torch.Generator
        Draws torch's default weights, uniform in +-1/sqrt(n_units).
    """

    input_bias: nn.Parameter
    state_bias: nn.Parameter

    def __init__(
        self, cell: str, *, n_in: int, n_units: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.cell, self.n_units = cell, n_units
        self.in_features, self.out_features = n_in, n_units
        self.n_states = 2 if cell == "lstm" else 1
        n_rows = GATES[cell] * n_units
        bound = 1 / math.sqrt(n_units)
        for name, shape in {
            "input_weight": (n_rows, n_in),
            "state_weight": (n_rows, n_units),
            "input_bias": (n_rows,),
            "state_bias": (n_rows,),
        }.items():
            weight = torch.empty(shape, dtype=torch.float32)
            weight.uniform_(-bound, bound, generator=generator)
            self.register_parameter(name, nn.Parameter(weight))
        if cell == "lstm":
            # The forget gates: a cell that remembers until it has learned to forget.
            with torch.no_grad():
                self.input_bias[n_units : 2 * n_units] = 1.0
                self.state_bias[n_units : 2 * n_units] = 0.0

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the state that is shown after each frame."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.n_states, self.n_units)
        states = [part.unsqueeze(0).contiguous() for part in state.unbind(1)]
        weights: list[Tensor] = list(self.parameters())
        if x.device.type != "cpu":
            weights = in_one_piece(weights)
        rest = (True, 1, 0.0, self.training, False, True)
        if self.cell == "lstm":
            return torch.lstm(x, states, weights, *rest)[0]
        return torch.gru(x, states[0], weights, *rest)[0]


def in_one_piece(weights: Sequence[Tensor]) -> list[Tensor]:
    """Copy weights into memory of their own, one after the other.

    cuDNN asks for that, and torch warns at each call where it is not so: all weights of
    the module are views of the one vector that the optimizer has.
    """
    whole = torch.cat([weight.flatten() for weight in weights])
    parts = torch.split(whole, [weight.numel() for weight in weights])
    return [part.view_as(w) for part, w in zip(parts, weights, strict=True)]


class SeriesEncoder(nn.Module):
    """From series to codes: the state after the last frame, of each direction.

    **Shape**: (n, n_steps * n_channels), steps first, to (n, n_encoder_outputs);
    `masked` rows go on with as many marks, 1 where a cell is missing.

    Parameters
    ----------
    shape : tuple of int
        (n_steps, n_channels).
    n_read : int
        Steps that are read, from the first.
    frame : int
        Steps that are read at once. The first frame is filled up with zeros.
    layers : list of list of Recurrence
        Each for one direction, or for both.
    dropout : torch.nn.Module
        After each layer.
    output : torch.nn.Linear
    masked : bool
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        n_read: int,
        frame: int,
        layers: list[list[Recurrence]],
        dropout: nn.Module,
        output: nn.Linear,
        masked: bool,
    ) -> None:
        super().__init__()
        self.shape, self.n_read, self.frame = shape, n_read, frame
        self.masked = masked
        self.layers: Any = nn.ModuleList(nn.ModuleList(ways) for ways in layers)
        self.dropout = dropout
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """Read the frames of each row."""
        x, turned = self._frames(x)
        for ways in self.layers:
            states = [ways[0](x)]
            if len(ways) > 1:
                # From the end of the series and not of the row: padding comes last.
                states.append(ways[1](picked(x, turned)))
            last = torch.cat([picked(y, turned[:, :1]) for y in states], dim=2)
            in_order = [picked(y, turned) for y in states[1:]]
            x = self.dropout(torch.cat([states[0], *in_order], dim=2))
        code: Tensor = self.output(self.dropout(last.squeeze(1)))
        return code

    def _frames(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames to read, and for each the one in its place in reverse.

        Frames after the last that has a value stay where they are.
        """
        n_rows, n_frames = x.shape[0], -(-self.n_read // self.frame)
        blocks = x.reshape(n_rows, -1, *self.shape)[:, :, : self.n_read]
        n_more = n_frames * self.frame - self.n_read
        filled = nn.functional.pad(blocks, (0, 0, n_more, 0))
        blocks = filled.reshape(n_rows, -1, n_frames, self.frame * self.shape[1])
        frames = blocks.transpose(1, 2).flatten(2)
        place = torch.arange(n_frames, device=x.device)
        if not self.masked:
            return frames, place.flip(0).expand(n_rows, -1)
        is_there = (blocks[:, 1] < 0.5).any(dim=2)
        last = (is_there * place).amax(dim=1, keepdim=True)
        return frames, torch.where(place <= last, last - place, place)


class SeriesDecoder(nn.Module):
    """From codes to the frames of series, one after the other.

    The code is shown at every frame, beside a clock, and sets the state before the
    first.

    **Shape**: (n, n_components) to (n, n_frames, n_outputs).

    Parameters
    ----------
    n_frames : int
    layers : list of Recurrence
        The first takes `N_WAVES` numbers more than a code has.
    starts : list of torch.nn.Linear
        From the code to the states before the first frame, one a layer.
    dropout : torch.nn.Module
        After each layer.
    output : torch.nn.Linear
        From the state after a frame to what it holds.
    """

    # NOTE[DIFF] Srivastava et al. show each step the one before. Here it is the code
    # and a clock: nothing that is decoded depends on an error before it, and a layer
    # is one call.

    # The clock: cosines of 1, 2, ..., 8 half-periods from the first frame to the last.
    # With it the error was less on made-up series and on ECG5000
    # (decisions/0016-recurrent-frames.md).
    N_WAVES: ClassVar[int] = 8

    clock: Tensor

    def __init__(
        self,
        *,
        n_frames: int,
        layers: list[Recurrence],
        starts: list[nn.Linear],
        dropout: nn.Module,
        output: nn.Linear,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.starts = nn.ModuleList(starts)
        self.dropout = dropout
        self.output = output
        time = torch.arange(n_frames, dtype=torch.float32) / n_frames
        clock = torch.cos(torch.pi * time[:, None] * torch.arange(1, self.N_WAVES + 1))
        self.register_buffer("clock", clock, persistent=False)

    def forward(self, code: Tensor) -> Tensor:
        """Write the frames."""
        n_rows, (n_frames, _) = code.shape[0], self.clock.shape
        shown = code.unsqueeze(1).expand(-1, n_frames, -1)
        x = torch.cat([shown, self.clock.expand(n_rows, -1, -1)], dim=2)
        for layer, start in zip(self.layers, self.starts, strict=True):
            n_units: int = layer.n_units  # type: ignore[assignment]
            state = torch.tanh(start(code)).view(n_rows, -1, n_units)
            x = self.dropout(layer(x, state))
        frames: Tensor = self.output(x)
        return frames


class WrittenBack(nn.Module):
    """Series from codes: one decoder writes back to the start, another on to the end.

    **Shape**: (n, n_components) to (n, n_steps * n_channels), steps first.

    Parameters
    ----------
    past : SeriesDecoder
        Writes the frames that were read, the last one first.
    future : SeriesDecoder or None
        Writes those after them, in the order of time.
    sizes : tuple of int
        Numbers of the past, and of the future. The first frame of the past and the last
        of the future may be cut.
    """

    def __init__(
        self,
        past: SeriesDecoder,
        future: SeriesDecoder | None,
        sizes: tuple[int, int],
    ) -> None:
        super().__init__()
        self.past, self.future, self.sizes = past, future, sizes

    def forward(self, code: Tensor) -> Tensor:
        """Write all steps, and put them in the order of time."""
        series: Tensor = self.past(code).flip(1).flatten(1)[:, -self.sizes[0] :]
        if self.future is None:
            return series
        ahead = self.future(code).flatten(1)[:, : self.sizes[1]]
        return torch.cat([series, ahead], dim=1)


def picked(x: Tensor, place: Tensor) -> Tensor:
    """Return the frames (n, m, d) of x (n, n_frames, d) at places (n, m)."""
    return x.gather(1, place.unsqueeze(2).expand(-1, -1, x.shape[2]))
