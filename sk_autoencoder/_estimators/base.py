"""What the three estimators share: parameters, fitting, state."""

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self, get_type_hints

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags, check_random_state, check_scalar

from sk_autoencoder._columns import Table, TableSketch
from sk_autoencoder._estimators.alignment import check_align_to, old_codes
from sk_autoencoder._estimators.contributions import Contributions
from sk_autoencoder._estimators.same_data import check_same_data
from sk_autoencoder._estimators.streams import BatchReader
from sk_autoencoder._estimators.training_samples import TRANSIENT, TrainingSamples
from sk_autoencoder._estimators.validation import check_network
from sk_autoencoder._fitting.build import install_pca
from sk_autoencoder._fitting.compatibility import (
    refuse_changes,
    refuse_combinations,
    refuse_truncated,
    refuse_unordered,
)
from sk_autoencoder._fitting.fit import FittedModel, Fitting, prepare_fit
from sk_autoencoder._fitting.pca_comparison import compare_with_pca
from sk_autoencoder._fitting.settings import FitSettings
from sk_autoencoder._protocols import Objective
from sk_autoencoder._saving.checks import need
from sk_autoencoder._saving.files import write
from sk_autoencoder._saving.saveable import Saveable
from sk_autoencoder._saving.settings_checks import check_setting_names, refuse_settings
from sk_autoencoder._saving.snapshots import snapshots_of
from sk_autoencoder._training.processes import is_first_rank
from sk_autoencoder._training.snapshot import NetSnapshot
from sk_autoencoder._training.stream import RowStream
from sk_autoencoder._utils.interrupts import Interrupts, all_or_nothing
from sk_autoencoder._utils.random import seeds_from
from sk_autoencoder._utils.shapes import shape_of
from sk_autoencoder._utils.sklearn_compat import CallbackSupportMixin, fit_context
from sk_autoencoder._utils.tasks import tasks_of
from sk_autoencoder._utils.torch_compat import torch_defaults
from sk_autoencoder._utils.values import shortened
from sk_autoencoder.networks import MLP, ConvNet, RecurrentNet


class BaseAutoEncoder(
    TrainingSamples, Contributions, CallbackSupportMixin, Saveable, ABC
):
    """Base of the three transformers; not to be used itself.

    A leaf has a field for each of its parameters, and says which objective and which
    likelihood they mean.
    """

    _objects: ClassVar[dict[str, tuple[type, ...]]] = {
        "network": (MLP, ConvNet, RecurrentNet),
        "activation": (),
    }

    _saved_attributes: ClassVar[tuple[str, ...]] = (
        "_fitted",
        "_input_dtype",
        "_row_shape",
        "n_features_in_",
    )

    n_components: float | None
    align_to: FrozenEstimator | None
    net_params: dict[str, Any] | None
    callbacks: Sequence[Any] | None
    checkpoint_dir: str | os.PathLike[str] | None
    checkpoint_interval: float
    distributed: bool
    early_stopping: bool
    validation_fraction: float
    random_state: Any
    warm_start: bool

    def _validate_params(self) -> None:
        """Validate parameters; a torch module gets advice of its own."""
        check_network(self.network)
        check_align_to(self.align_to)
        super()._validate_params()

    # -- what a leaf says of itself --------------------------------------------------

    @abstractmethod
    def _objective(self) -> Objective:
        """Build the objective that the parameters mean."""

    @abstractmethod
    def _likelihood(self) -> str:
        """Name the likelihood that the parameters mean."""

    def _settings(self) -> FitSettings:
        """Return what a fit is asked for; once the features are known."""
        params = self.get_params(deep=False)
        if self.distributed and not is_first_rank():
            params["verbose"] = 0
        return FitSettings.of(
            params, objective=self._objective(), likelihood=self._likelihood()
        )

    @property
    def _loss_label(self) -> str:
        """Return what the loss curves show, with its unit: an axis label."""
        return self._fitted.loss_label

    def _check_fit(self) -> None:
        """Warn of what the caller should know of a fit; called by `fit` alone."""

    # -- fitting -----------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None) -> Self:
        """Train the network to reconstruct the samples in X.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            At least two samples: numbers without NaN or infinity, and what
            `categorical_features` and `allow_missing` allow. Sparse matrices hold
            numbers only and are made dense a batch at a time. A network with an
            `input_shape` also takes an array of shape (n_samples, `*input_shape`):
            samples are then returned in that shape.
        y : Ignored
            Not used, present for API consistency by convention.
        X_val : {array-like, frame, sparse matrix} of shape \
(n_validation_samples, n_features), default=None
            A validation set of your own, with at least two samples of the same kind as
            X: use it for samples that belong together, such as overlapping windows or
            visits of one patient, which a random `validation_fraction` would separate.
            Training then uses all of X, and early stopping and the comparison with PCA
            use only X_val. If None, `validation_fraction` of X is used. In a pipeline,
            `Pipeline(..., transform_input=["X_val"])` passes it through the preceding
            steps, with metadata routing enabled and `set_fit_request(X_val=True)`.

        Returns
        -------
        self : object
            The fitted transformer. If `fit` raises an error, it is left as it was,
            except after an interrupt.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts. From the first training step on, the best state so
            far is kept: the transformer is fitted, and `warm_start=True` continues from
            there, unless it is a copy made by a search or a detector. Before the first
            step, in the search for a fractional `n_components`, and after a second
            interrupt, the transformer is as it was before.
        ValueError
            If X or a parameter is not valid.
        sk_autoencoder.exceptions.DivergenceError
            If the loss became NaN or infinite in the first epoch or, with a random
            start, rose on the validation set to a million times its first value and no
            epoch was better than the start. Otherwise the best finite state is kept,
            with a ConvergenceWarning; without a validation set the last state is kept,
            with a ConvergenceWarning if its error is a million times the variance.
        """
        interrupts = Interrupts(tasks=tasks_of(self, X, y))
        with self._undisturbed(goes_on=self.warm_start):
            before = self._previous_fit() if self.warm_start else None
            rows, table = self._training_rows(X, before)
            held_out = self._validation_rows(X_val, table)
            data = {"X": rows, "table": table, "X_val": held_out}
            if self.distributed:
                check_same_data(self, data)
            with snapshots_of(self, data, before) as snapshots:
                fitting = prepare_fit(
                    self._settings(),
                    rows,
                    table,
                    before,
                    held_out,
                    interrupts=interrupts,
                    keeper=snapshots,
                    old_codes=old_codes(self, X),
                )

                self._finish_fit(fitting, rows, held_out, interrupts)
                if snapshots is not None and not interrupts.caught:
                    snapshots.finish()
        self._pass_on(interrupts)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_batches(self, batches: Any, *, validation: Any = None) -> Self:
        """Train as `fit` does, on samples that are read again in each epoch.

        For data that do not fit into memory. A first pass over the batches computes
        statistics, levels and ranks, and draws the validation set; a second one
        computes PCA, with nine more passes for more than 1,000 columns. Then each epoch
        is one pass, in which samples are shuffled within a buffer of 16,777,216
        numbers. Data that are sorted, for instance by a label, should be shuffled
        beforehand. No snapshots are saved.

        .. versionadded:: 0.2

        Parameters
        ----------
        batches : iterable or callable
            A list or another iterable that can be iterated over several times, or a
            function that returns a new iterator at each call. Each batch is an X as for
            `fit`, with any number of samples: an array, a memory map, a frame or a
            sparse matrix. All passes must yield the same samples in the same order.
        validation : {array-like, frame, sparse matrix} of shape \
(n_validation_samples, n_features), default=None
            A validation set of your own, in memory; training then uses all samples of
            the batches. If None, `validation_fraction` of these is used, up to 131,072
            samples and 8,388,608 numbers.

        Returns
        -------
        self : object
            The fitted transformer. If `fit_batches` raises an error, it is left as it
            was, except after an interrupt; see `fit`.

        Raises
        ------
        TypeError
            If `batches` can be read only once, or is of another type.
        ValueError
            If a batch or a parameter is not valid, if the batches change from one pass
            to the next, or if a setting needs all samples in memory: a fractional
            `n_components`, ordered components, layerwise pretraining, reconstructions
            as features, `passthrough` and `align_to`.
        """
        interrupts = Interrupts(tasks=tasks_of(self, batches))
        with self._undisturbed(goes_on=self.warm_start):
            before = self._previous_fit() if self.warm_start else None
            has_set = validation is not None
            rows, table = self._read_stream(batches, before, has_set=has_set)
            held_out = rows.held_out
            if has_set:
                held_out = self._validation_rows(
                    validation, table, "validation", "the batches"
                )
            fitting = prepare_fit(
                self._settings(), rows, table, before, held_out, interrupts=interrupts
            )
            self._finish_fit(fitting, rows, held_out, interrupts)
        self._pass_on(interrupts)
        return self

    def _finish_fit(
        self, fitting: Fitting, rows: Any, held_out: Any, interrupts: Interrupts
    ) -> None:
        """Run a fit; after an interrupt, keep the best state so far."""

        def finish() -> None:
            self._set_fitted_attributes(fitting.complete(), rows.dtype)
            self._check_fit()
            if not interrupts.caught:
                compare_with_pca(self._fitted, rows, held_out)
                interrupts.tasks.end_fit()

        interrupts.run(finish)

    def _pass_on(self, interrupts: Interrupts) -> None:
        """Raise the interrupt that ended a fit early."""
        if interrupts.caught:
            raise KeyboardInterrupt(
                f"fit was interrupted after epoch {self.n_iter_}: this estimator keeps "
                f"the best state so far, that of epoch {self.best_epoch_}. Call its "
                "fit again with warm_start=True to go on, unless it is a copy inside "
                "a search or a detector, which ends here."
            )

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one pass over the samples.

        Weights and the state of the optimizer are kept. The mean and the scales are
        updated until 10,000 samples have been seen, and are fixed from then on. There
        is no validation set. For a table with categories, missing cells or ranks, the
        scales and categories remain those of the first samples. Categories that a
        pandas Categorical or a polars Enum declares are known from the start; others
        that come later are treated as missing, with a warning.

        `history_` and the loss curves keep the last 10,000 epochs, so a stream may be
        endless; `n_iter_` and `best_epoch_` count all epochs.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            The next samples; at least two in the first call.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        self : object
            The fitted transformer. If `partial_fit` raises an error, it is left as it
            was.

        Raises
        ------
        ValueError
            If a parameter or X is not valid, or if X has other features than in
            previous calls.
        """
        interrupts = Interrupts(keeps=False)
        with self._undisturbed(goes_on=True):
            before = self._previous_fit()
            rows, table = self._training_rows(X, before, is_pass=True)
            fitting = prepare_fit(
                self._settings(),
                rows,
                table,
                before,
                is_pass=True,
                interrupts=interrupts,
                old_codes=old_codes(self, X),
            )
            self._set_fitted_attributes(fitting.complete(), rows.dtype)
        return self

    def _previous_fit(self) -> FittedModel | None:
        """Return what to go on from, read as the parameters now say."""
        if not self._is_fitted():
            return None
        fitted, table = self._fitted, self._table
        refuse_truncated(fitted.plan)
        given = self.get_params(deep=False)
        refuse_changes(
            (name, value, given[name])
            for name, value in fitted.plan.table_parameters.items()
        )
        if table is None:
            return fitted
        table = replace(table, handle_unknown=self.handle_unknown)
        return replace(fitted, plan=replace(fitted.plan, table=table))

    def _read_stream(
        self, batches: Any, before: FittedModel | None, *, has_set: bool
    ) -> tuple[RowStream, Table | None]:
        """Read batches to fit on once; return how a table of them is read, or None."""
        if before is None:
            self.__dict__.pop(TRANSIENT, None)
        table = None if before is None else before.plan.table
        reader = BatchReader(
            self, batches, self.network, table, goes_on=before is not None
        )
        draws = self.early_stopping and not has_set
        # Of a copy: what `random_state` draws is for the fit.
        state = copy.deepcopy(check_random_state(self.random_state))
        rows = reader.read(
            lambda: refuse_combinations(
                self._settings(), None, is_stream=True, has_validation_set=has_set
            ),
            self._table_check,
            TableSketch(self.categorical_features, allow_missing=self.allow_missing),
            self._read_table,
            fraction=self.validation_fraction if draws else 0.0,
            seed=seeds_from(state).split,
        )
        self._row_shape = reader.row_shape
        if before is None and reader.table is not None:
            reader.table.warn(rows.shape[0], self.categorical_features)
        self._warn_of_levels(reader.new_levels)
        return rows, reader.table

    def _set_fitted_attributes(self, fitted: FittedModel, dtype: np.dtype) -> None:
        """Set the fitted attributes that follow from the model."""
        self._fitted, self._input_dtype = fitted, dtype
        plan, net = fitted.plan, fitted.net
        n_given = len(plan.output_index or ()) or plan.n_kept or plan.n_components
        if plan.block_variances is not None:
            n_given = len(plan.block_variances) + net.module_.passed.n_columns
        if plan.imputes:
            n_given = self.n_features_in_ + len(plan.indicators)
        self._n_features_out = self.n_components_ = n_given
        for name in ("explained_variance_ratio", "alignment_error"):
            value = getattr(fitted, name)
            self.__dict__.pop(f"{name}_", None)  # of a fit before
            if value is not None:
                setattr(self, f"{name}_", value)
        self.fell_back_to_pca_ = fitted.is_pca
        self.mean_ = plan.statistics.mean if plan.table is None else plan.table.mean
        self.device_ = str(net.device)
        history = fitted.history
        self.n_iter_ = fitted.n_epochs
        self.best_epoch_ = len(fitted.pretrained) + net.best_epoch_
        self.loss_curve_ = [float(row["train_loss"]) for row in history]
        losses = [row.get("valid_loss") for row in history]
        kept = losses if any(loss is not None for loss in losses) else []
        self.validation_loss_curve_ = [np.nan if v is None else float(v) for v in kept]

    def _truncated(self, n_components: int) -> Self:
        """Return a copy with the first components only, as `truncate` does."""
        self._check_is_fitted()
        refuse_unordered(self._plan)
        most = self.n_components_
        check_scalar(n_components, "n_components", Integral, min_val=1, max_val=most)
        other: Self = copy.deepcopy(self)
        fitted = other._fitted
        plan = replace(fitted.plan, n_kept=int(n_components))
        install_pca(fitted.net.module_, plan)
        other._set_fitted_attributes(replace(fitted, plan=plan), other._input_dtype)
        other.n_components = int(n_components)
        return other

    # -- state, tags --------------------------------------------------------

    @contextmanager
    def _undisturbed(self, *, goes_on: bool) -> Iterator[None]:
        """Fit in torch's and numpy's default modes, and wholly or not at all.

        Parameters
        ----------
        goes_on : bool
            Whether the nets that are there may be trained further.
        """
        nets = self._fitted.nets if goes_on and self._is_fitted() else []
        snapshots = [NetSnapshot(net).restore for net in nets]
        with np.errstate(), torch_defaults(), all_or_nothing(self, snapshots):
            yield

    def save(self, path: str | os.PathLike[str], *, optimizer: bool = False) -> None:
        """Write the fitted estimator to one file, without pickle.

        Read it with `sk_autoencoder.load`, also on a machine without a GPU, and with
        newer versions. The file holds arrays and JSON, and no code.
        `sk_autoencoder.read_metadata` shows what is in it.

        Parameters
        ----------
        path : path-like
            File to write. An existing file is replaced once the new one is complete. It
            keeps its permissions; symbolic links are followed.
        optimizer : bool, default=False
            Whether to include the state that is only needed for further training: the
            weights before averaging, the state of the optimizer, and the random
            generators. The file is then four times as large, and `warm_start` and
            `partial_fit` continue as if training had not been interrupted. Otherwise
            they continue with a fresh optimizer, and warn once.

        Raises
        ------
        TypeError
            If a parameter, a category or an attribute cannot be saved. Of your own
            objects, only the names are saved, and they have to be passed to `load`, as
            in ``load(path, custom={"noise": ...})``: functions and classes under their
            own names, objects under those of their classes, a module or a
            `functools.partial` under the name of its parameter. Lambdas, and two
            objects with the same name, therefore raise an error.
        OSError
            If the file cannot be written. A file that existed before is unchanged.
        """
        self._check_is_fitted()
        write(path, self, optimizer=optimizer)

    @property
    def history_(self) -> Any:
        """History of training, as skorch records it: one dict per epoch.

        After `partial_fit` it holds the last 10,000 epochs; "epoch" counts all of them.
        """
        self._check_is_fitted()
        return self._fitted.history

    def _to_state(self) -> dict[str, Any]:
        refuse_settings(self.net_params or {})
        if self._is_fitted():
            refuse_settings(self._plan.training.extra)
        return super()._to_state()

    def _derived_names(self) -> Collection[str]:
        if not self._is_fitted():
            return ()
        other: Self = self.__class__.__new__(self.__class__)
        other.__dict__.update(
            {name: getattr(self, name) for name in self._saved_attributes}
        )
        other._set_fitted_attributes(self._fitted, self._input_dtype)
        return {*vars(other), TRANSIENT}

    def _load_state(self, state: dict[str, Any], *, is_fitted: bool) -> None:
        super()._load_state(state, is_fitted=is_fitted)
        check_setting_names(self.net_params or {})

    def _check_saved(self) -> None:
        fitted, dtype = self._fitted, self._input_dtype
        need(isinstance(fitted, FittedModel), "something other than a fitted model")
        plan, kind = fitted.plan, type(self).__name__
        own = get_type_hints(self._objective)["return"]
        given = type(plan.objective)
        need(given is own, f"a {given.__name__} in a {kind}")
        names = self._get_param_names()
        for flag, name in (("stacked", "features"), ("ordered", "ordered")):
            need(not getattr(plan, flag) or name in names, f"a {kind} {flag}")
        need(not plan.mixture_prior or "prior" in names, f"a prior of a {kind}")
        self._check_features(plan.statistics.mean.size, plan.network)
        need(dtype in (np.float32, np.float64), f"rows of dtype {shortened(dtype)}")
        table = plan.table
        fixed = table.dtype if table is not None and table.comes_as_frame else dtype
        need(dtype == fixed, "rows of another dtype")

    def _derive(self) -> None:
        self._set_fitted_attributes(self._fitted, self._input_dtype)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self._reads_as_table()
        tags.input_tags.allow_nan = self.allow_missing
        tags.input_tags.three_d_array = shape_of(self.network) is not None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
