"""Files of `porto.run` from which it goes on after it was killed.

A file or folder that has its name is whole: it is written under another name and then
renamed. A checkpoint holds weights, in safetensors, and the history. There is no more
to a net that is trained by plain SGD: the learning rate follows from the epochs done.
What is not kept are the generators. The epochs after a kill see the rows in another
order and other noise than they would have, so that the result is as good, but not the
same bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from skorch.callbacks import Checkpoint

PARAMS = "params.safetensors"
HISTORY = "history.json"


class EpochCheckpoint(Checkpoint):
    """Keep the last epoch in a folder of its own, and none before it."""

    def save_model(self, net: Any) -> None:
        """Write the epoch that has just ended."""
        home = Path(self.dirname)
        # A net of skorch's keeps a dict for every batch, which nobody reads.
        net.history[-1]["batches"] = net.history[-1]["batches"][-1:]
        part = home / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        net.save_params(
            f_params=part / PARAMS,
            f_history=part / HISTORY,
            use_safetensors=self.use_safetensors,
        )
        done = home / f"epoch-{len(net.history):05d}"
        shutil.rmtree(done, ignore_errors=True)
        part.rename(done)
        for folder in home.glob("epoch-*"):
            if folder != done:
                shutil.rmtree(folder)


def checkpoint(folder: Path) -> EpochCheckpoint:
    """Return skorch's checkpoint of every epoch, without any pickle."""
    return EpochCheckpoint(
        monitor=None,
        f_params=PARAMS,
        f_optimizer=None,
        f_criterion=None,
        f_history=HISTORY,
        f_pickle=None,
        dirname=str(folder),
        event_name=None,
        use_safetensors=True,
    )


def epochs_done(folder: Path) -> int:
    """Return the epochs that the newest checkpoint of a folder has behind it."""
    names = [path.name for path in folder.glob("epoch-*")]
    return max((int(name.removeprefix("epoch-")) for name in names), default=0)


def go_on(net: Any, folder: Path) -> None:
    """Load the newest checkpoint into an initialized net, if there is one."""
    done = epochs_done(folder)
    if done:
        home = folder / f"epoch-{done:05d}"
        net.load_params(
            f_params=home / PARAMS,
            f_history=home / HISTORY,
            use_safetensors=True,
        )


def seconds(net: Any) -> float:
    """Return the seconds of all epochs, those before a kill too."""
    return float(sum(row["dur"] for row in net.history))


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays to an .npz file, wholly or not at all."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    os.replace(part, path)


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read what `save_arrays` wrote; None where there is no file."""
    if not path.is_file():
        return None
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on from a run with other settings; note them in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in settings.items():
            if before.get(name) != value:
                raise SystemExit(
                    f"expected {name}={before.get(name)!r} as in the run that {folder} "
                    f"holds, got {name}={value!r}. Pass another --output."
                )
        return
    part = path.with_suffix(".part")
    part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    os.replace(part, path)
