"""Loads mutated files by the thousand: none may do any harm.

`python tests/fuzz_files.py FOLDER SEED NUMBER` mutates files of a folder and loads what
comes of them. Each has to give a ValueError that names it, or a model; nothing else
may be opened or imported, no process started, and no more than 200 MB be taken beside
the file. The first that breaks this rule is kept as `FOLDER/culprit`.
"""

import copy
import gc
import json
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from saved_files import SavedFile, peak, reset_peak, with_right_digest
from torch import nn

import sk_autoencoder

MOST_MEMORY = 200_000_000
# What no load may take longer than, on a machine that is busy with others.
SECONDS = 60
WATCHED_EVENTS = (
    "open",
    "import",
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
)
NASTY: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    10**6,
    10**9,
    2**31,
    2**53,
    2**64 - 1,
    10**30,
    -(10**20),
    0.0,
    -1.0,
    1e-300,
    1e300,
    1e39,
    float("nan"),
    float("inf"),
    "",
    "auto",
    "none",
    "cuda",
    "cpu",
    "meta",
    "transform",
    "x" * 1000,
    "\ud800",
    [],
    {},
    [1],
    [None],
    {"$tuple": []},
    {"$tuple": [1, 2]},
    {"$tuple": [10**6] * 3},
    {"$tuple": [1] * 1000},
    {"$dict": []},
    {"$dict": [["a", 1]]},
    {"$dict": [[[], 1]]},
    {"$custom": None},
    {"$custom": "eval"},
    {"$own_network": "MLP", "params": {"$dict": []}},
    {"$network": "MLP", "params": {"$dict": []}},
    {"$record": "Seeds", "fields": {"$dict": []}},
    {"$record": "Reconstruct", "fields": {"$dict": []}},
    {"$optimizer": "SGD"},
    {"$optimizer": "LBFGS"},
    {"$optimizer": "Optimizer"},
    {"$optimizer": "lr_scheduler"},
    {"$partial": {"$optimizer": "SGD"}, "keywords": {"$dict": [["lr", 0.1]]}},
    {"$dtype": {"$dict": [["numpy", "<f4"]]}},
    {"$dtype": {"$dict": [["numpy", "<f16"]]}},
    {"$dtype": {"$dict": [["pandas", "string[pyarrow]"]]}},
    {"$dtype": {"$dict": [["pandas", "datetime64[ns, dateutil//etc/passwd]"]]}},
    {"$dtype": {"$dict": [["polars", "read_csv"], ["categories", "/etc/passwd"]]}},
    {"$random_state": {"$dict": []}},
    {"$objects": ["a", 1, None]},
    {"$array": "none", "shape": [1]},
    {"$eval": "1"},
    json.loads("[" * 80 + "]" * 80),
]
DTYPES = ["f4", "f8", "f2", "i8", "i4", "u1", "u4", "?"]


class Broken(Exception):
    """A file that did what none may do."""


# -- mutations ------------------------------------------------------------------------


def nodes_of(tree: Any) -> list[tuple[Any, Any]]:
    """Return all places in JSON: what holds a value, and its key or position."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                left.append(node[key])
    return found


def another_value(value: Any, others: list, draw: random.Random) -> Any:
    how = draw.random()
    if how < 0.25 and isinstance(value, int | float) and value is not True:
        with np.errstate(all="ignore"):
            number: Any = draw.choice(
                [value + 1, value - 1, -value, value * 2, value / 2, value * 1e10]
            )
        return number
    if how < 0.35 and isinstance(value, str):
        return draw.choice([value + "x", value[:-1], value.upper(), value * 50])
    if how < 0.55:
        parent, key = draw.choice(others)
        return copy.deepcopy(parent[key])
    return copy.deepcopy(draw.choice(NASTY))


def mutate_json(file: SavedFile, draw: random.Random) -> None:
    """Replace, remove, repeat or wrap a value of the header."""
    # Most values are those of the history: others count as much as all of these.
    places = nodes_of(file.header)
    few = [p for p in places if not (isinstance(p[0], list) and len(p[0]) > 40)]
    parent, key = draw.choice(few if draw.random() < 0.9 else places)
    how = draw.random()
    if how < 0.7:
        parent[key] = another_value(parent[key], places, draw)
    elif how < 0.8:
        del parent[key]
    elif how < 0.9 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    elif isinstance(parent, dict):
        parent[str(draw.choice(["$tuple", "zzz", "$dict"]))] = parent.pop(key)
    else:
        parent[key] = draw.choice([[parent[key]], {"$tuple": [parent[key]]}])


def mutate_sizes(file: SavedFile, draw: random.Random) -> None:
    """Change whole numbers of the plan and of its network: sizes, most of them."""
    if not isinstance(file.header.get("state"), dict):
        return
    places = [
        (parent, key)
        for parent, key in nodes_of(file.header["state"])
        if type(parent[key]) is int
    ]
    if not places:
        return
    parent, key = draw.choice(places)
    value = draw.choice([0, -1, parent[key] + 1, parent[key] * 2, 16_000, 10**6, 2**40])
    for other, name in places:
        if other is parent or (other[name] == parent[key] and draw.random() < 0.5):
            other[name] = value


def changed_array(array: np.ndarray, how: int, draw: random.Random) -> np.ndarray:
    """Change the dtype (1), the shape (2 to 4) or some numbers of an array."""
    if how == 1:
        return array.astype(draw.choice(DTYPES))
    if how == 2:
        return array.reshape(-1) if array.ndim != 1 else array[None]
    if how == 3:
        return np.concatenate([array.ravel(), array.ravel()])
    if how == 4:
        return array.ravel()[: draw.randrange(array.size + 1)]
    if not array.size:
        return array
    array = array.copy()
    value = draw.choice([np.nan, np.inf, -1, 0, 1e30, 255, 2**31, -(2**62)])
    place = slice(None) if how < 7 else draw.randrange(array.size)
    array.reshape(-1)[place] = np.asarray(value).astype(array.dtype)
    return array


def mutate_array(file: SavedFile, draw: random.Random) -> None:
    """Change the numbers, the dtype or the shape of an array, or take another's."""
    if not isinstance(file.header.get("state"), dict):
        return
    name, other = draw.choice(list(file.arrays)), draw.choice(list(file.arrays))
    array, how = file.arrays[name], draw.randrange(9)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if how == 0:
            file.arrays[name], file.arrays[other] = file.arrays[other], array
        else:
            file.arrays[name] = changed_array(array, how, draw)
    if draw.random() < 0.7:  # the shape that is said is that which is there
        for parent, key in nodes_of(file.header["state"]):
            node = parent[key]
            if isinstance(node, dict) and node.get("$array") in (name, other):
                node["shape"] = list(file.arrays[node["$array"]].shape)


def mutate_reference(file: SavedFile, draw: random.Random) -> None:
    """Have a value point to another array."""
    if not isinstance(file.header.get("state"), dict):
        return
    places = [
        parent[key]
        for parent, key in nodes_of(file.header["state"])
        if isinstance(parent[key], dict) and "$array" in parent[key]
    ]
    if not places:
        return
    first, second = draw.choice(places), draw.choice(places)
    if draw.random() < 0.5:
        first.update(second)
    else:
        own = dict(first)
        first.update(second)
        second.update(own)


def mutate_bytes(data: bytes, draw: random.Random) -> bytes:
    """Change bytes of the header, its length, or where the file ends."""
    size = struct.unpack("<Q", data[:8])[0]
    how = draw.randrange(6)
    if how == 0:
        return data[: draw.randrange(len(data))]
    if how == 1:
        return data + bytes(draw.randrange(1, 100))
    if how == 2:
        length = draw.choice([0, 1, size - 1, size + 8, 2**31, 2**63, len(data)])
        return struct.pack("<Q", length) + data[8:]
    if how == 3:
        old, new = draw.choice(
            [
                (b'"F32"', b'"F16"'),
                (b'"F64"', b'"I64"'),
                (b'"F32"', b'"F8_E4M3"'),
                (b'"U8"', b'"BF16"'),
                (b"data_offsets", b"data_offset"),
                (b'"shape":[', b'"shape":[1,'),
                (b"0,", b"00000,"),
                (b"format", b"farmot"),
            ]
        )
        text = data[8 : 8 + size].replace(old, new, draw.choice([1, -1]))
        return struct.pack("<Q", len(text)) + text + data[8 + size :]
    changed = bytearray(data)
    end = 8 + size if how < 5 else len(data)
    for _ in range(draw.randrange(1, 5)):
        changed[draw.randrange(end)] = draw.randrange(256)
    return bytes(changed)


def mutate_digest(file: SavedFile, draw: random.Random) -> None:
    """Change the digest, remove it, or leave it as that of the file before."""
    digest, how = file.header.get("digest"), draw.randrange(6)
    if how == 0:
        file.header.pop("digest", None)
    elif how == 1:
        file.header["digest"] = copy.deepcopy(draw.choice(NASTY))
    elif how == 2:
        file.header["digest"] = f"{draw.getrandbits(256):064x}"
    elif how == 3 and isinstance(digest, str):
        file.header["digest"] = draw.choice([digest.upper(), digest[:-1], digest * 2])
    elif how == 4:
        file.header["digest"] = file.header.pop("digest", None)  # no longer the first


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Mutate a file once or several times.

    Most have the digest of what they hold then, so that what comes after is checked.
    """
    if draw.random() < 0.1:
        changed = mutate_bytes(data, draw)
        return with_right_digest(changed) if draw.random() < 0.7 else changed
    file = SavedFile(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        how = draw.choice(
            [mutate_json] * 5
            + [mutate_sizes, mutate_array, mutate_array, mutate_reference]
        )
        how(file, draw)
    if draw.random() < 0.1:
        mutate_digest(file, draw)
        return file.to_bytes(right_digest=False)
    return file.to_bytes()


# -- what a load may do ---------------------------------------------------------------


class Guard:
    """Notes what is opened, imported or started while a file is loaded."""

    def __init__(self) -> None:
        self.path: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple) -> None:
        if self.path is None or not event.startswith(WATCHED_EVENTS):
            return
        if event == "open" and str(args[0]) == self.path:
            return
        self.seen.append(f"{event} {args[:1]}")


def dense(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, 8), nn.Tanh(), nn.Linear(8, n_out))


def shrink(batch: Any, generator: Any) -> Any:
    return 0.98 * batch


CUSTOM = {
    "autoencoder_user": {"encoder": dense(6, 2), "decoder": dense(2, 6)},
    "autoencoder_user_random": {"encoder": dense(6, 2), "decoder": dense(2, 6)},
    "vae_user": {"encoder": dense(6, 4), "decoder": dense(2, 6)},
    "denoising_own_noise": {"shrink": shrink},
}


def use(model: Any, draw: random.Random) -> None:
    """Use a model that could be loaded: it may refuse, and must not crash."""
    try:
        X = np.linspace(-1, 1, 4 * model.n_features_in_).reshape(4, -1)
        for name in ("transform", "reconstruct", "score_samples"):
            if hasattr(model, name):
                getattr(model, name)(X)
        if draw.random() < 0.3 and hasattr(model, "partial_fit"):
            model.partial_fit(X)
    except Exception:
        return


def load_one(path: Path, custom: Any, guard: Guard) -> Any:
    """Load a file; give the model, or the error if it is as it should be."""
    guard.path, guard.seen = str(path), []
    signal.alarm(SECONDS)
    try:
        return sk_autoencoder.load(path, custom=custom)
    except ValueError as error:
        text = str(error)
        if str(path) not in text and "expected your own" not in text:
            raise Broken(f"an error that does not name the file: {text}") from error
        if "memory" in text or "alloc" in text or len(text) > 2000:
            raise Broken(f"memory, or a long message: {text[:3000]}") from error
        return error
    finally:
        signal.alarm(0)
        guard.path = None
        if guard.seen:
            raise Broken(f"it did {guard.seen[:5]}")


def too_slow(*arguments: Any) -> None:
    raise Broken(f"it took more than {SECONDS} seconds")


def run(folder: Path, seed: int, number: int) -> Counter:
    """Load so many mutated files; raise what the first that breaks the rule did."""
    signal.signal(signal.SIGALRM, too_slow)
    draw, guard, outcomes = random.Random(seed), Guard(), Counter()
    files = {p.stem: p.read_bytes() for p in sorted(folder.glob("*.safetensors"))}
    for name, data in files.items():  # what is imported, is imported here
        path = folder / f"{name}.safetensors"
        use(sk_autoencoder.load(path, custom=CUSTOM.get(name)), random.Random(0))
        assert SavedFile(SavedFile(data).to_bytes()).arrays.keys()
    status = Path("/proc/self/status").read_text()
    used = int(re.search(r"VmSize:\s+(\d+)", status).group(1))
    limit = 1024 * used + 4_000_000_000  # so that the machine does not suffer
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "model"
        for i in range(number):
            name = draw.choice(list(files))
            data = mutated(files[name], draw)
            path.write_bytes(data)
            before = reset_peak()
            try:
                model = load_one(path, CUSTOM.get(name), guard)
                taken = peak() - before
                if taken > MOST_MEMORY + len(data):
                    raise Broken(f"it took {taken} bytes of memory")
            except BaseException as error:
                (folder / "culprit").write_bytes(data)
                raise Broken(
                    f"number {i} of seed {seed}, of {name}: {error!r}"
                ) from error
            kind = "refused" if isinstance(model, ValueError) else "loaded"
            outcomes[kind] += 1
            if kind == "loaded":
                use(model, draw)
            del model
            if i % 1000 == 999:
                gc.collect()
    return outcomes


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(f"{dict(found)}\n")
