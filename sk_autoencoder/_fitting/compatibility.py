"""What does not go together is refused here, before anything is trained.

`REFUSALS` is the table of parameters that exclude each other, or the kind of the
columns. Below it: what may change between two fits of one model. Refusals of a
network's own are in `networks/`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from sk_autoencoder._columns import LIKELIHOODS, Table, levels_of
from sk_autoencoder._fitting.plan import Plan
from sk_autoencoder._fitting.settings import FitSettings
from sk_autoencoder._objectives import Denoise
from sk_autoencoder._utils.comparison import is_same
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP, UserNetwork

# Levels of a column of which a network gives a probability each.
MOST_LEVELS = 4096


@dataclass(frozen=True)
class _Asked:
    """What a fit is asked for, by parameters and by data."""

    settings: FitSettings
    table: Table | None
    is_pass: bool
    has_validation_set: bool
    is_stream: bool = False

    @property
    def validation(self) -> str:
        """Name of the argument that the validation set is."""
        return "validation" if self.is_stream else "X_val"

    @property
    def takes_logits(self) -> bool:
        """Whether the loss is computed from logits."""
        likelihood = LIKELIHOODS[self.settings.likelihood]
        return self.table is None and likelihood.needs_unit_interval

    @property
    def loss(self) -> str:
        """Name of the parameter that says how reconstructions are scored."""
        return "likelihood" if self.settings.objective.is_variational else "loss"

    @property
    def loss_value(self) -> Any:
        """Value of that parameter, where it is not "auto"."""
        settings = self.settings
        return settings.loss if self.loss == "loss" else settings.likelihood

    @property
    def loss_of_logits(self) -> str:
        """That parameter, with a value that takes logits."""
        if self.loss == "likelihood":
            return "likelihood='bernoulli'"
        return "loss='binary_cross_entropy'"

    @property
    def rotation(self) -> str:
        """The rotation, as it was passed."""
        return repr(self.settings.rotation)

    @property
    def align_to(self) -> str:
        """What codes are aligned to, in short."""
        return shortened(self.settings.align_to)

    @property
    def init(self) -> str:
        """The start, as the user knows it."""
        is_auto = self.settings.init == "auto"
        return "'auto', which is 'random' for a UserNetwork" if is_auto else "'random'"

    @property
    def masked(self) -> bool:
        """Whether a masked network of levels is asked for."""
        return self.settings.uses_levels(self.table)

    @property
    def masked_kind(self) -> str:
        """What asks for it, in the user's words."""
        return f"features='reconstruction' with loss={self.settings.loss!r}"

    @property
    def too_many_levels(self) -> dict[Any, int]:
        """Columns of too many levels for a masked network, and how many."""
        columns = self.table.columns if self.masked and self.table else ()
        found = {c.name: levels_of(c) for c in columns}
        return {name: n for name, n in found.items() if n > MOST_LEVELS}

    @property
    def categories(self) -> list[Any]:
        """Names of the columns of categories."""
        columns = () if self.table is None else self.table.columns
        return [column.name for column in columns if hasattr(column, "levels")]


@dataclass(frozen=True)
class _Refusal:
    """A combination that is refused, and its message.

    Texts are templates: `s` is the `FitSettings`, `asked` all that is asked for.
    """

    when: Callable[[FitSettings, _Asked], bool]
    expected: str
    got: str
    instead: str
    because: str = ""

    def message(self, asked: _Asked) -> str:
        because = f": {self.because}" if self.because else ""
        text = f"expected {self.expected}, got {self.got}{because}. {self.instead}"
        return text.format(s=asked.settings, asked=asked)


def _beside_a_network(name: str, default: Any) -> _Refusal:
    """Refuse a parameter of dense layers that a specification stands in for."""
    return _Refusal(
        when=lambda s, _: s.network is not None and not is_same(s.dense[name], default),
        expected=f"{name}={default!r} beside a network",
        got=f"{name}={{s.{name}!r}} and network={{s.network!r}}",
        instead="Set it in the network, or pass network=None.",
    )


def _of_masked_networks(name: str, value: Any) -> _Refusal:
    """Refuse a parameter that has no meaning for them, but at one value."""
    return _Refusal(
        when=lambda s, asked: asked.masked and getattr(s, name) != value,
        expected=f"{name}={value!r} for {{asked.masked_kind}}",
        got=f"{name}={{s.{name}!r}}",
        instead=f"Pass {name}={value!r}, or loss='squared_error'.",
    )


def _of_turned(name: str) -> tuple[_Refusal, _Refusal]:
    """Refuse a parameter by which codes are turned where that has no meaning."""
    return (
        _Refusal(
            when=lambda s, _: getattr(s, name) is not None and s.is_ordered,
            expected=f"ordered=False for {name}={{asked.{name}}}",
            got="ordered=True",
            because="components that are turned have no order",
            instead=f"Pass ordered=False, or {name}=None.",
        ),
        _Refusal(
            when=lambda s, _: getattr(s, name) is not None and s.is_stacked,
            expected=f"features='bottleneck' for {name}={{asked.{name}}}",
            got="features={s.features!r}",
            because="there is no code of a few components to be turned",
            instead=f"Pass features='bottleneck', or {name}=None.",
        ),
    )


def _in_memory(name: str, value: Any, when: Callable[[FitSettings], bool]) -> _Refusal:
    """Refuse in `fit_batches` what has to have all samples in memory."""
    return _Refusal(
        when=lambda s, asked: asked.is_stream and when(s),
        expected=f"{name}={value} in fit_batches",
        got=f"{name}={{s.{name}!r}}",
        because="it needs all samples in memory",
        instead=f"Pass {name}={value}, or call fit.",
    )


def _in_one_process(
    name: str, value: Any, when: Callable[[FitSettings], bool], got: str = ""
) -> _Refusal:
    """Refuse what several processes cannot do together."""
    return _Refusal(
        when=lambda s, _: s.distributed and when(s),
        expected=f"{name}={value} for distributed=True",
        got=got or f"{name}={{s.{name}!r}}",
        because="processes that have a part of each batch do not share it",
        instead=f"Pass {name}={value}, or distributed=False.",
    )


REFUSALS = (
    # -- streams -----------------------------------------------------------------------
    _in_memory("n_components", "an int or None", lambda s: s.searches_components),
    _in_memory("ordered", False, lambda s: s.ordered),
    _in_memory("pretrain", None, lambda s: s.is_pretrained),
    _in_memory("features", "'bottleneck' or 'hidden'", lambda s: s.imputes),
    _in_memory("passthrough", False, lambda s: s.passthrough),
    _in_memory("align_to", None, lambda s: s.align_to is not None),
    # -- several processes -------------------------------------------------------------
    _in_one_process(
        "random_state", "an int", lambda s: not isinstance(s.random_state, Integral)
    ),
    _in_one_process("ordered", False, lambda s: s.ordered),
    _in_one_process("pretrain", None, lambda s: s.is_pretrained),
    _in_one_process("features", "'bottleneck' or 'hidden'", lambda s: s.imputes),
    _in_one_process("n_components", "an int or None", lambda s: s.searches_components),
    _in_one_process("checkpoint_dir", None, lambda s: s.checkpoint_dir is not None),
    _in_one_process(
        "network",
        "dense, convolutional or recurrent layers",
        lambda s: isinstance(s.network, UserNetwork),
    ),
    _in_one_process(
        "free_bits",
        0.0,
        lambda s: bool(getattr(s.objective, "free_bits", 0)),
        "free_bits={s.objective.free_bits!r}",
    ),
    _Refusal(
        when=lambda s, asked: s.distributed and (asked.is_pass or asked.is_stream),
        expected="distributed=False in partial_fit and fit_batches",
        got="distributed=True",
        because="each process is to have all samples",
        instead="Call fit, or pass distributed=False.",
    ),
    # -- the network ---------------------------------------------------------------
    *(_beside_a_network(*item) for item in MLP().get_params().items()),
    _Refusal(
        when=lambda s, asked: (
            bool(asked.categories) and s.specification.needs_all_features
        ),
        # No pixel or step is a number of levels.
        expected="columns of numbers for network={s.network!r}",
        got="categories in {asked.categories}",
        instead="Pass network=None, or rows without them.",
    ),
    _Refusal(
        when=lambda s, asked: _gives_logits(s) and not asked.takes_logits,
        expected="outputs='auto' or 'data' for {asked.loss}={s.likelihood!r}",
        got="outputs='logits', from which only binary cross-entropy is computed",
        instead="Pass outputs='auto' to UserNetwork, or {asked.loss_of_logits}.",
    ),
    # -- the number of components ----------------------------------------------------
    _Refusal(
        when=lambda s, _: s.searches_components and s.is_stacked,
        expected="an int or None with features={s.features!r}",
        got="n_components={s.n_components!r}",
        because="they have no components",
        instead="Pass an int, or features='bottleneck'.",
    ),
    _Refusal(
        when=lambda s, _: s.is_pretrained and s.searches_components,
        expected="an int or None for pretrain='layerwise'",
        got="n_components={s.n_components!r}",
        because="the number of components is found by several fits",
        instead="Pass an int, or pretrain=None.",
    ),
    _Refusal(
        when=lambda s, asked: s.searches_components and asked.is_pass,
        expected="an int or None in partial_fit",
        got="n_components={s.n_components!r}",
        because="the number of components is found by fits on all samples",
        instead="Pass an int, or call fit.",
    ),
    _Refusal(
        when=lambda s, _: s.passthrough and s.features != "hidden",
        expected="features='hidden' for passthrough=True",
        got="features={s.features!r}",
        because="columns stand beside hidden features",
        instead="Pass features='hidden', or passthrough=False.",
    ),
    _Refusal(
        when=lambda s, _: s.passthrough and s.whiten,
        expected="whiten=False for passthrough=True",
        got="whiten=True",
        because="hidden features are to vary as much as the columns beside them",
        instead="Pass whiten=False, or passthrough=False.",
    ),
    *(refusal for name in ("rotation", "align_to") for refusal in _of_turned(name)),
    _Refusal(
        when=lambda s, _: s.rotation is not None and s.align_to is not None,
        expected="align_to=None for rotation={s.rotation!r}",
        got="align_to={asked.align_to}",
        because="codes are turned in one way",
        instead="Pass align_to=None, or rotation=None.",
    ),
    _Refusal(
        when=lambda s, _: s.align_to is not None and s.searches_components,
        expected="an int n_components for align_to={asked.align_to}",
        got="n_components={s.n_components!r}",
        because="it has to be the number of components of align_to",
        instead="Pass an int, or align_to=None.",
    ),
    # -- the start -------------------------------------------------------------------
    _Refusal(
        when=lambda s, _: s.is_ordered and s.is_pretrained,
        expected="ordered=False for pretrain='layerwise'",
        got="ordered=True",
        because="ordered components start as PCA's, and pretrained layers do not",
        instead="Pass ordered=False, or pretrain=None and init='pca'.",
    ),
    _Refusal(
        when=lambda s, _: s.is_pretrained and s.starts_from_pca,
        expected="init='random' for pretrain='layerwise'",
        got="init={s.init!r}",
        because="a model that starts as PCA leaves nothing to train layer by layer",
        instead="Pass init='random', or pretrain=None.",
    ),
    _Refusal(
        when=lambda s, _: s.is_ordered and s.start != "pca",
        expected="init='pca' for ordered=True",
        got="init={asked.init}",
        because="only components that start as PCA's have an order",
        instead="Pass init='pca'.",
    ),
    _Refusal(
        when=lambda s, _: s.is_ordered and _has_decoder_of_one_size(s),
        expected="a function that makes the decoder for ordered=True",
        got="decoder={s.network.decoder!r}",
        because="first components have a decoder of their own, of twice as many inputs",
        instead="Pass a function of the numbers of inputs and outputs, as "
        "UserNetwork(encoder, lambda n_in, n_out: torch.nn.Linear(n_in, n_out)), or "
        "ordered=False.",
    ),
    # -- noise and loss --------------------------------------------------------------
    _Refusal(
        when=lambda s, _: (
            isinstance(s.objective, Denoise)
            and (s.objective.level or 0) > 1
            and s.objective.noise != "gaussian"
        ),
        expected="a fraction of cells in [0, 1] for noise={s.objective.noise!r}",
        got="noise_level={s.objective.level!r}",
        instead="Pass e.g. noise_level=0.15.",
    ),
    _Refusal(
        when=lambda s, asked: (
            asked.table is not None and not LIKELIHOODS[s.likelihood].fits_tables
        ),
        expected="{asked.loss}='auto' for a table whose columns have a likelihood each",
        got="{asked.loss}={asked.loss_value!r}",
        instead="Pass 'auto', or encode the columns first.",
    ),
    # -- masked networks -------------------------------------------------------------
    _Refusal(
        when=lambda s, _: s.loss == "cross_entropy" and not s.imputes,
        expected="features='reconstruction' for loss='cross_entropy'",
        got="features={s.features!r}",
        because="only then are numbers predicted by their bins",
        instead="Pass features='reconstruction', or loss='auto'.",
    ),
    _Refusal(
        when=lambda s, _: s.loss == "cross_entropy" and s.network is not None,
        expected="network=None for loss='cross_entropy'",
        got="network={s.network!r}",
        because="its network has an output for each bin",
        instead="Pass network=None, or loss='auto'.",
    ),
    _Refusal(
        when=lambda s, asked: s.loss == "cross_entropy" and not asked.masked,
        expected="noise='auto' or 'masking' for loss='cross_entropy'",
        got="noise={s.objective.noise!r}",
        because="hidden cells are what is predicted",
        instead="Pass noise='masking', or loss='squared_error'.",
    ),
    *(
        _of_masked_networks(*item)
        for item in (("batch_norm", False), ("pretrain", None))
    ),
    _Refusal(
        when=lambda s, _: s.imputes and s.whiten,
        expected="whiten=False for features='reconstruction'",
        got="whiten=True",
        because="transform gives samples, and no code to whiten",
        instead="Pass whiten=False.",
    ),
    _Refusal(
        when=lambda s, asked: asked.masked and len(set(_widths(s))) > 1,
        expected="layers of one width, which residual blocks add to each other, for "
        "{asked.masked_kind}",
        got="hidden_layer_sizes={s.hidden_layer_sizes!r}",
        instead="Pass e.g. hidden_layer_sizes=(256, 256), or loss='squared_error'.",
    ),
    _Refusal(
        when=lambda _, asked: bool(asked.too_many_levels),
        expected=f"at most {MOST_LEVELS:,} levels in a column for "
        "{asked.masked_kind}",
        got="{asked.too_many_levels}",
        because="each has a probability",
        instead="Join rare levels, drop the column, or pass loss='squared_error'.",
    ),
    _Refusal(
        when=lambda s, _: (
            isinstance(s.objective, Denoise)
            and s.objective.level is None
            and s.objective.schedule is not None
        ),
        expected="a noise_level for noise_schedule={s.objective.schedule!r}",
        got="noise_level='auto', by which 1 to all cells of a sample are hidden",
        instead="Pass e.g. noise_level=0.3, or noise_schedule=None.",
    ),
    # -- validation ------------------------------------------------------------------
    _Refusal(
        when=lambda s, asked: asked.has_validation_set and not s.early_stopping,
        expected="early_stopping=True with a validation set",
        got="{asked.validation} and early_stopping=False, which looks at none",
        instead="Pass early_stopping=True, or leave {asked.validation} out.",
    ),
)


def _widths(settings: FitSettings) -> Sequence[int]:
    sizes = settings.hidden_layer_sizes
    return () if isinstance(sizes, str) else sizes


def _gives_logits(settings: FitSettings) -> bool:
    network = settings.network
    return isinstance(network, UserNetwork) and network.outputs == "logits"


def _has_decoder_of_one_size(settings: FitSettings) -> bool:
    """Whether the decoder is a module of the user's, whose sizes are not left open."""
    decoder = getattr(settings.network, "decoder", None)
    if not isinstance(decoder, nn.Module):
        return False
    return not any(map(is_lazy, decoder.parameters()))


def refuse_combinations(
    settings: FitSettings,
    table: Table | None,
    *,
    is_pass: bool = False,
    has_validation_set: bool = False,
    is_stream: bool = False,
) -> None:
    """Refuse what `REFUSALS` lists.

    Parameters
    ----------
    settings : FitSettings
    table : Table or None
        How the samples are read, where they are not numbers alone.
    is_pass : bool
        Whether these samples are some of many.
    has_validation_set : bool
        Whether the user has passed one.
    is_stream : bool
        Whether samples are read anew in each pass.
    """
    asked = _Asked(settings, table, is_pass, has_validation_set, is_stream)
    for refusal in REFUSALS:
        if refusal.when(settings, asked):
            raise ValueError(refusal.message(asked))
    if not is_pass:
        refuse_unseeded(settings.checkpoint_dir, settings.random_state)


def refuse_unseeded(folder: Any, random_state: Any) -> None:
    """Refuse a folder for snapshots of a fit that cannot be called again.

    Parameters
    ----------
    folder : path-like or None
    random_state : int, RandomState instance or None
    """
    if folder is not None and not isinstance(random_state, Integral):
        raise ValueError(
            f"expected an int random_state for checkpoint_dir={folder!r}, got "
            f"random_state={random_state!r}: only the fit of a known seed can be "
            "called again and go on. Pass e.g. random_state=0, or checkpoint_dir=None."
        )


def refuse_changes(settings: Iterable[tuple[str, Any, Any]]) -> None:
    """Refuse to go on from a fit on whose settings the weights depend.

    Parameters
    ----------
    settings : iterable of (str, object, object)
        Names that the user knows them by, values of the fit before, and new ones.
    """
    for name, old_value, value in settings:
        if not is_same(old_value, value):
            raise ValueError(
                f"expected {name}={shortened(old_value)} as in the fit before, got "
                f"{name}={shortened(value)}, because its weights go on. Pass "
                "warm_start=False and call fit to start anew."
            )


def refuse_truncated(plan: Plan) -> None:
    """Refuse to go on from a fit whose last components were cut off.

    Parameters
    ----------
    plan : Plan
        Of the fit.
    """
    n_kept, n_components = plan.n_kept, plan.n_components
    if n_kept is not None and n_kept < n_components:
        raise ValueError(
            f"expected all {n_components} components to train further, got the first "
            f"{n_kept}, which truncate has kept. Train the transformer that was "
            "truncated, and truncate it again."
        )


def refuse_unordered(plan: Plan) -> None:
    """Refuse to cut off components of a fit that has none in order.

    Parameters
    ----------
    plan : Plan
        Of the fit.
    """
    if not plan.ordered:
        raise ValueError(
            "expected a fit with ordered=True, got ordered=False: only then are the "
            "first components a code by themselves. Fit again with ordered=True."
        )


def check_components(n_components: int, n_old: int) -> None:
    """Refuse to align codes to others of another length.

    Parameters
    ----------
    n_components : int
    n_old : int
        Of those that they are to be aligned to.
    """
    if n_components != n_old:
        raise ValueError(
            f"expected align_to with {n_components} components, as many as are fitted, "
            f"got one with {n_old}. Pass n_components={n_old}, or align_to=None."
        )
