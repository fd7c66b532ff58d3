"""A process of `speed.versions`: fits what it is asked to, with the package it imports.

It imports nothing else of this repository, so that any version of the package will do.
It reads a request a line, and answers each with a line, both in JSON.
"""

import json
import sys
import time

import numpy as np

import sk_autoencoder


def answer(request: dict) -> dict:
    """Fit once; return the seconds, the epochs and the error of rows held out.

    Parameters
    ----------
    request : dict
        `file` with arrays `train` and `test`, the `estimator`'s name, its `params`, and
        `has_error`: whether it reconstructs.
    """
    rows = np.load(request["file"])
    model = getattr(sk_autoencoder, request["estimator"])(**request["params"])
    started = time.process_time()
    model.fit(rows["train"])
    seconds = time.process_time() - started
    error = None
    if request["has_error"]:
        test = rows["test"]
        rebuilt = model.inverse_transform(model.transform(test))
        error = float(np.square(test - rebuilt, dtype=np.float64).sum())
    return {"seconds": seconds, "epochs": int(model.n_iter_), "error": error}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
