"""What an estimator has to have so that `save` writes it and `load` makes it again."""

import json
import math
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn import config_context

from sk_autoencoder._saving.checks import check_names, need
from sk_autoencoder._saving.formats import FORMAT, OPTIONAL
from sk_autoencoder._saving.pickles import PickleEncoder
from sk_autoencoder._saving.serialize import Decoder
from sk_autoencoder._utils.params import ChecksObjects
from sk_autoencoder._utils.shapes import Shape, shape_of
from sk_autoencoder._utils.sklearn_compat import (
    OF_CALLBACKS,
    OUTPUT_CONFIG,
    REQUESTS,
)
from sk_autoencoder._utils.values import shortened

# A parameter that no file has: it would choose a folder on its reader's machine.
FOLDER = "checkpoint_dir"
# What a pickle has of a fit: JSON, the arrays that it names, and what is in neither.
TEXT, ARRAYS, OWN = "_fit_json", "_fit_arrays", "_fit_own"


class Saveable(ChecksObjects):
    """An estimator that a file can hold: its parameters, and what a fit leaves.

    Attributes
    ----------
    _saved_attributes : tuple of str
        Attributes of a fitted estimator that do not follow from others. The first is
        what a fit has learned.
    """

    _saved_attributes: ClassVar[tuple[str, ...]]
    # Attributes that a pickle has and no file.
    _unsaved: ClassVar[tuple[str, ...]] = ()
    # Of a row as it came to fit. Estimators saved before there was one had flat rows.
    _row_shape: Shape = None
    n_features_in_: int

    def _to_state(self) -> dict[str, Any]:
        """Return what a file holds of this estimator, fitted or not, by name.

        Raises
        ------
        ValueError, TypeError
            If it has parameters or attributes that could not be read again.
        """
        self._validate_params()
        own = vars(self)
        names = (*self._get_param_names(), *self._saved_attributes, *OPTIONAL)
        state = {name: own[name] for name in names if name in own}
        if FOLDER in state:
            state[FOLDER] = None
        known = {*OF_CALLBACKS, REQUESTS, *self._derived_names(), *self._unsaved}
        unknown = sorted(own.keys() - state.keys() - known)
        if unknown:
            raise TypeError(
                f"expected attributes of {type(self).__name__} alone, got "
                f"{', '.join(unknown)} beside them. Delete what is yours, as by "
                f"del estimator.{unknown[0]}, or pickle the estimator instead."
            )
        if REQUESTS in own:
            state[REQUESTS] = self._requests()
        return state

    def _requests(self) -> dict[str, Any]:
        """Return as plain values what scikit-learn has as an object."""
        return {"fit": dict(self.get_metadata_routing().fit.requests)}

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle, joblib, skops and deepcopy keep.

        These are the parameters and, of a fit, one JSON text with its arrays: no class
        of this package is named but that of the estimator.
        """
        state = dict(super().__getstate__())
        if not self._is_fitted_state(state):
            return state
        kept = {
            name: state.pop(name)
            for name in (*self._saved_attributes, *OPTIONAL)
            if name in state
        }
        if state.pop(REQUESTS, None) is not None:
            kept[REQUESTS] = self._requests()
        for name in self._derived_names():
            state.pop(name, None)
        encoder = PickleEncoder()
        text = json.dumps({"format": FORMAT, "state": encoder.encode(kept, "state")})
        # What is of the user's own comes first: skops refuses it.
        return {OWN: encoder.own, **state, TEXT: text, ARRAYS: encoder.arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if TEXT not in state:
            super().__setstate__(state)
            return
        own = {k: v[0] if isinstance(v, list) else v for k, v in state.pop(OWN).items()}
        header, arrays = json.loads(state.pop(TEXT)), state.pop(ARRAYS)
        decoder = Decoder(arrays, own, header["format"], is_trusted=True)
        kept = decoder.decode_all(header["state"])
        requests = kept.pop(REQUESTS, None)
        self.__dict__.update({**state, **kept})
        if requests is not None:
            self._set_requests(requests)
        self._derive()

    def _load_state(self, state: dict[str, Any], *, is_fitted: bool) -> None:
        """Become the estimator that a file holds; nothing of it is trusted.

        Parameters
        ----------
        state : dict
            From `_to_state`, or not.
        is_fitted : bool
            Whether it has to be that of a fitted one.

        Raises
        ------
        ValueError
            If `_to_state` would not have given it.
        """
        kind, learned = type(self), self._is_fitted_state(state)
        what = f"it holds a {kind.__name__!r} that is not fitted"
        need(learned or not is_fitted, what)
        names = (*self._get_param_names(), *(self._saved_attributes if learned else ()))
        more = (REQUESTS,) if hasattr(kind, "set_fit_request") else ()
        check_names(kind.__name__, state, names, (*OPTIONAL, *more))
        requests = state.pop(REQUESTS, None)
        need(state.get(FOLDER) is None, "a folder for snapshots")
        self.__dict__.update(state)
        self._validate_params()
        config = state.get(OUTPUT_CONFIG, {})
        need(
            isinstance(config, dict)
            and config.keys() <= {"transform"}
            and config.get("transform") in ("default", "pandas", "polars", None),
            "an output that set_output has not",
        )
        if requests is not None:
            self._set_requests(requests)
        if learned:
            self._check_saved()
            self._derive()

    @classmethod
    def _is_fitted_state(cls, state: Mapping[str, Any]) -> bool:
        """Whether a state is that of a fitted estimator."""
        return cls._saved_attributes[0] in state

    def _derived_names(self) -> Collection[str]:
        """Return the names of attributes that `_derive` sets, which are not saved."""
        return ()

    def _derive(self) -> None:
        """Set the attributes that follow from the saved ones."""

    @abstractmethod
    def _check_saved(self) -> None:
        """Refuse what a file holds of a fit if no fit leaves it."""

    def _set_requests(self, requests: Any) -> None:
        """Request the metadata that a file names, as its user had done."""
        need(
            isinstance(requests, dict)
            and requests.keys() == {"fit"}
            and isinstance(requests["fit"], dict),
            f"requests of metadata {shortened(requests)}",
        )
        # Without it, scikit-learn's setter refuses to be called.
        with config_context(enable_metadata_routing=True):
            self.set_fit_request(**requests["fit"])

    def _check_features(self, n_features: int, network: Any) -> None:
        """Refuse numbers, names and shapes of features that are not those of a model.

        Parameters
        ----------
        n_features : int
            Of the model.
        network : Network or None
            Says which shapes a row may have.
        """
        given = self.n_features_in_
        need(
            type(given) is int and given == n_features,
            f"n_features_in_={shortened(given)}",
        )
        names = vars(self).get("feature_names_in_")
        need(
            names is None
            or (
                isinstance(names, np.ndarray)
                and names.shape == (n_features,)
                and all(isinstance(name, str) for name in names)
            ),
            "names of other features",
        )
        shape, own = self._row_shape, shape_of(network)
        allowed = [None] if own is None else [None, own, own[1:]]
        need(
            shape is None
            or (
                isinstance(shape, tuple)
                and shape in allowed
                and math.prod(shape) == n_features
            ),
            f"rows of shape {shortened(shape)}",
        )
