"""A digest of what is in a file, so that damage to it is found.

It is no signature: whoever changes a file on purpose can compute it again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# It comes first in a header, and is of all that follows.
FIRST = re.compile(r'\{"digest": "([0-9a-f]{64})", ')


def with_digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return a header with its digest.

    Parameters
    ----------
    text : str
        JSON of a dict without a digest, in ASCII.
    arrays : mapping of str to ndarray
        Those of the file.
    """
    rest = text.removeprefix("{")
    digest = digest_of(hashlib.sha256(rest.encode("ascii")), arrays)
    return f'{{"digest": "{digest}", {rest}'


def begin_digest(text: str) -> Any:
    """Return a hash of a header but for its digest, to which arrays can be added.

    Parameters
    ----------
    text : str
        From `with_digest`, or not.
    """
    found = FIRST.match(text)
    start = found.end() if found else 0
    # A view, as a header may be large.
    return hashlib.sha256(memoryview(text.encode("ascii"))[start:])


def digest_of(begun: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """Compute the digest of a header and of arrays: names, dtypes, shapes, and bytes.

    100 MB of arrays take 0.2 s on a processor with instructions for SHA-256, where all
    else takes 0.3 s to save them and 0.5 s to load them. No memory is taken.

    Parameters
    ----------
    begun : hash
        From `begin_digest`. The arrays are added to it.
    arrays : mapping of str to ndarray
    """
    for name, array in sorted(arrays.items()):
        dtype = array.dtype.newbyteorder("<")
        shape = list(array.shape)
        begun.update(json.dumps([name, dtype.str, shape]).encode("ascii"))
        flat = np.ascontiguousarray(array).reshape(-1)
        begun.update(flat.astype(dtype, copy=False).view(np.uint8))
    return str(begun.hexdigest())


def check_digest(digest: Any, begun: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse contents that are not those that were saved.

    Parameters
    ----------
    digest : object
        From the file.
    begun : hash
        From `begin_digest`.
    arrays : mapping of str to ndarray

    Raises
    ------
    ValueError
        If it is not the digest of these.
    """
    if digest != digest_of(begun, arrays):
        raise ValueError("its contents do not have the digest that it was saved with")
