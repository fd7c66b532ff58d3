"""Whether the processes that train one network were given the same."""

from collections.abc import Mapping
from typing import Any

from sk_autoencoder._saving.fingerprint import describe, first_difference
from sk_autoencoder._training.processes import Processes

# Parameters that may differ from process to process, or cannot be told apart.
OF_ONE_PROCESS = {"verbose", "device", "callbacks", "net_params"}


def check_same_data(estimator: Any, data: Mapping[str, Any]) -> None:
    """Refuse data or parameters that are not the same in every process.

    Parameters
    ----------
    estimator : BaseAutoEncoder
    data : mapping of str to object
        What it is fitted to, by name.
    """
    processes = Processes()
    params = estimator.get_params(deep=False)
    asked = {k: v for k, v in params.items() if k not in OF_ONE_PROCESS}
    own = {name: describe(value) for name, value in {**asked, **data}.items()}
    first, *others = processes.gather(own)
    for rank, other in enumerate(others, start=1):
        if other != first:
            difference = first_difference(first, other)
            raise ValueError(
                "expected the same samples and parameters in every process for "
                f"distributed=True, got others in process {rank} (there) than in "
                f"process 0 (here): {difference}. Pass all samples to each."
            )
