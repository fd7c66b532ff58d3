"""
Watching a fit, and resuming one that was killed
================================================

A callback watches the training, a signal kills it half way, and the same call goes on
where it was: the result is that of a fit that was never killed, bit for bit.
"""

# %%
# A callback
# ----------
# skorch's callbacks work here, and so does one of your own. This one keeps the loss on
# the validation set of each epoch, and raises an error in the middle, as a time limit
# or a full disk would. With ``state_dict`` and ``load_state_dict`` it is part of the
# snapshots.

from skorch.callbacks import Callback


class Watch(Callback):
    def __init__(self, killed_at=None):
        self.killed_at = killed_at
        self.losses_ = []

    def on_epoch_end(self, net, **kwargs):
        self.losses_.append(net.history[-1, "valid_loss"])
        if len(self.losses_) == self.killed_at:
            raise TimeoutError("the time is up")

    def state_dict(self):
        return {"losses": self.losses_}

    def load_state_dict(self, state):
        self.losses_ = list(state["losses"])


# %%
# Killed
# ------
# ``checkpoint_dir`` is where snapshots go; ``checkpoint_interval=0`` takes one each
# epoch. An int ``random_state`` is needed.

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits

from sk_autoencoder import AutoEncoderTransformer

X = load_digits().data
folder = tempfile.mkdtemp()


def reducer(watch, **params):
    return AutoEncoderTransformer(
        n_components=10, max_epochs=30, callbacks=[watch], random_state=0, **params
    )


snapshots = {"checkpoint_dir": folder, "checkpoint_interval": 0}
watch = Watch(killed_at=12)
try:
    reducer(watch, **snapshots).fit(X)
except TimeoutError as error:
    print(f"{error}, after {len(watch.losses_)} epochs")
for file in Path(folder).iterdir():
    print(file.suffix, f"{file.stat().st_size / 2**20:.1f} MB")

# %%
# Resumed
# -------
# The same parameters and the same data find the snapshot.

seen_again = Watch()
resumed = reducer(seen_again, **snapshots).fit(X)
print(f"{len(seen_again.losses_)} epochs seen, {resumed.n_iter_} in all")

# %%
# As if nothing had happened
# --------------------------

import numpy as np

whole_watch = Watch()
whole = reducer(whole_watch).fit(X)
assert np.array_equal(resumed.transform(X), whole.transform(X))
assert seen_again.losses_ == whole_watch.losses_

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(range(1, 31), whole_watch.losses_, color="0.7", lw=5, label="never killed")
ax.plot(range(1, 13), watch.losses_, color="#0072B2", label="until it was killed")
ax.plot(range(12, 31), seen_again.losses_[11:], "--", color="#D55E00", label="resumed")
ax.set(
    xlabel="epoch",
    ylabel="validation loss (PCA: 1)",
    title="The resumed fit is the one that was never killed",
)
ax.legend()
plt.show()
