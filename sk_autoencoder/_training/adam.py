"""Adam over one vector of weights, one call a step."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FlatAdam"]

KINDS = {torch.optim.Adam: "_fused_adam_", torch.optim.AdamW: "_fused_adamw_"}
SETTINGS = {"lr", "betas", "eps", "weight_decay", "fused"}


class FlatAdam:
    """torch's own kernel of Adam or AdamW, without an optimiser object around it.

    The first `torch.optim.Optimizer` of a process costs a second of imports, and each
    step of one ten times what the kernel takes on a small vector. `as_torch` gives the
    object to whoever asks for it; state and steps are the same.

    Parameters
    ----------
    kind : {torch.optim.Adam, torch.optim.AdamW}
    vector : torch.nn.Parameter
        With its gradient, on the CPU or a CUDA device.
    lr, betas, eps, weight_decay
        As torch has them.

    Attributes
    ----------
    param_groups : list of one dict
        The settings; whoever writes to them is heard at the next step.

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR.
    Loshchilov and Hutter (2019), Decoupled weight decay regularization, ICLR.
    """

    def __init__(
        self,
        kind: type[torch.optim.Optimizer],
        vector: nn.Parameter,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | None = None,
    ) -> None:
        if weight_decay is None:
            weight_decay = 0.01 if kind is torch.optim.AdamW else 0.0
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps >= 0):
            raise ValueError(
                f"expected betas in [0, 1) and eps >= 0, got betas={betas!r} and "
                f"eps={eps!r}. Pass optimizer__betas=(0.9, 0.999), say."
            )
        self._kind = kind
        self._kernel = getattr(torch, KINDS[kind])
        self._vector = vector
        self.param_groups: list[dict[str, Any]] = [
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        ]
        self.state: dict[str, Tensor] = {}

    @staticmethod
    def fits(kind: object, vector: Tensor, settings: dict[str, Any]) -> bool:
        """Tell whether this can stand in for an optimiser class so called."""
        return (
            kind in KINDS
            and vector.device.type in ("cpu", "cuda")
            and settings.keys() <= SETTINGS
            and settings.get("fused") is not False
        )

    def fresh_state(self) -> dict[str, Tensor]:
        """Return the state before the first step."""
        vector = self._vector.data
        return {
            "step": torch.zeros((), dtype=torch.float32, device=vector.device),
            "exp_avg": torch.zeros_like(vector),
            "exp_avg_sq": torch.zeros_like(vector),
        }

    def step(self) -> None:
        """Move the weights by the gradient."""
        if not self.state:
            self.state = self.fresh_state()
        state, settings = self.state, self.param_groups[0]
        state["step"].add_(1)
        self._kernel(
            [self._vector.data],
            [self._vector.grad],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            lr=settings["lr"],
            beta1=settings["betas"][0],
            beta2=settings["betas"][1],
            weight_decay=settings["weight_decay"],
            eps=settings["eps"],
            amsgrad=False,
            maximize=False,
        )

    def as_torch(self) -> torch.optim.Optimizer:
        """Give torch's optimiser in the same state; use it from then on."""
        settings = self.param_groups[0]
        known = {name: settings[name] for name in SETTINGS & settings.keys()}
        optimizer = self._kind([self._vector], **{**known, "fused": True})
        # Others have left things there too: a scheduler its first learning rate.
        unknown = settings.keys() - optimizer.param_groups[0].keys()
        optimizer.param_groups[0].update((name, settings[name]) for name in unknown)
        if self.state:
            optimizer.state[self._vector] = self.state
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """Give what torch's optimiser gives, but for the settings of other kernels."""
        state = {0: dict(self.state)} if self.state else {}
        return {
            "state": state,
            "param_groups": [{**self.param_groups[0], "params": [0]}],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of another, or of torch's optimiser."""
        device = self._vector.device
        first = state["state"].get(0, {})
        self.state = {name: value.to(device) for name, value in first.items()}
        settings = dict(state["param_groups"][0])
        del settings["params"]
        self.param_groups[0].update(settings)
