"""Adam over one vector of weights, one call a step."""

from typing import Any

import torch
from torch import Tensor, nn

from sk_autoencoder._utils.torch_compat import (
    fused_adam_,
    fused_adamw_,
    has_step_hooks,
    note_step,
)

KINDS: dict[Any, Any] = {torch.optim.Adam: fused_adam_, torch.optim.AdamW: fused_adamw_}
SETTINGS = {"lr", "betas", "eps", "weight_decay", "fused"}
# Settings that torch's optimizers have beside these: other ways to the same steps, but
# for two. `maximize` is heeded; `amsgrad` cannot be turned on between two steps of
# torch's either, which then lacks a part of its state.
OF_TORCH = frozenset(
    {
        "amsgrad",
        "capturable",
        "decoupled_weight_decay",
        "differentiable",
        "foreach",
        "fused",
        "maximize",
    }
)


class FlatAdam:
    """torch's own kernel of Adam or AdamW, without an optimizer object around it.

    The first `torch.optim.Optimizer` of a process costs a second of imports, and each
    step of one ten times what the kernel takes on a small vector. `as_torch` makes the
    object for whoever asks for it. It is a view: state and settings are from then on
    read from it, so that what is written to it, or loaded into it, counts, and each
    step is still taken here.

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
        The settings; what is written to them counts from the next step on.
    state : dict of str to Tensor
        Empty before the first step.

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
        self._kernel = KINDS[kind]
        self._vector = vector
        self._groups: list[dict[str, Any]] = [
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        ]
        self._state: dict[str, Tensor] = {}
        self._view: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the view out: it is made again for whoever asks for it."""
        (group,) = self.state_dict()["param_groups"]
        del group["params"]
        own = {"_groups": [group], "_state": dict(self.state), "_view": None}
        return {**self.__dict__, **own}

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._groups if self._view is None else self._view.param_groups

    @property
    def state(self) -> dict[str, Tensor]:
        return self._state if self._view is None else self._view.state[self._vector]

    @staticmethod
    def fits(kind: object, vector: Tensor, settings: dict[str, Any]) -> bool:
        """Whether this can stand in for an optimizer class so called."""
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
        view = self._view
        if view is not None:
            if _asks_for_more(view):
                view.step()
                return
            note_step(view)
        state, settings = self.state, self.param_groups[0]
        if not state:
            state.update(self.fresh_state())
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
        """Return torch's optimizer as a view of this one, the same at each call."""
        if self._view is None:
            settings, state = self._groups[0], self._state
            known = {name: settings[name] for name in SETTINGS & settings.keys()}
            view = self._kind([self._vector], **{**known, "fused": True})
            # Others have left things there too: a scheduler its first learning rate.
            unknown = settings.keys() - view.param_groups[0].keys()
            view.param_groups[0].update((name, settings[name]) for name in unknown)
            if state:
                view.state[self._vector] = state
            self._view = view
        return self._view

    def tie(self, vector: nn.Parameter) -> None:
        """Move another vector of the same weights from here on: that of a copy."""
        self._vector = vector

    def state_dict(self) -> dict[str, Any]:
        """Return what torch's optimizer gives, but for settings of other kernels."""
        state = {0: dict(self.state)} if self.state else {}
        settings = self.param_groups[0].items()
        own = {name: value for name, value in settings if name not in OF_TORCH}
        return {"state": state, "param_groups": [{**own, "params": [0]}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of another, or of torch's optimizer."""
        device = self._vector.device
        first = state["state"].get(0, {})
        self.state.clear()
        self.state.update((name, value.to(device)) for name, value in first.items())
        settings = dict(state["param_groups"][0])
        del settings["params"]
        self.param_groups[0].update(settings)


def _asks_for_more(view: Any) -> bool:
    """Return whether a view was told what only torch's own step heeds."""
    return bool(
        len(view.param_groups) > 1
        or view.param_groups[0]["maximize"]
        or has_step_hooks(view)
    )
