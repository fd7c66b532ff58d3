"""
Monitoring a fit, and resuming it after a crash
===============================================

A callback monitors the training, an error stops it halfway, and the same call resumes
it: the result is that of an uninterrupted fit, bit for bit.
"""

# %%
# A callback
# ----------
# You can use skorch's callbacks, or write your own. This one records the validation
# loss of each epoch, and raises an error halfway, as a time limit might. With
# ``state_dict`` and ``load_state_dict`` its state is part of the snapshots.

from skorch.callbacks import Callback


class Watch(Callback):
    def __init__(self, killed_at=None):
        self.killed_at = killed_at
        self.losses_ = []

    def on_epoch_end(self, net, **kwargs):
        self.losses_.append(net.history[-1, "valid_loss"])
        if len(self.losses_) == self.killed_at:
            raise TimeoutError("time limit reached")

    def state_dict(self):
        return {"losses": self.losses_}

    def load_state_dict(self, state):
        self.losses_ = list(state["losses"])


# %%
# An interrupted fit
# ------------------
# ``checkpoint_dir`` is the folder for snapshots; ``checkpoint_interval=0`` saves one
# after each epoch. ``random_state`` has to be an int.

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
# The resumed fit
# ---------------
# A fit with the same parameters and the same data finds the snapshot.

seen_again = Watch()
resumed = reducer(seen_again, **snapshots).fit(X)
print(f"{len(seen_again.losses_)} epochs seen, {resumed.n_iter_} in all")

# %%
# Comparison with an uninterrupted fit
# ------------------------------------

import numpy as np

whole_watch = Watch()
whole = reducer(whole_watch).fit(X)
assert np.array_equal(resumed.transform(X), whole.transform(X))
assert seen_again.losses_ == whole_watch.losses_

import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
ax.plot(range(1, 31), whole_watch.losses_, color="0.7", lw=5, label="uninterrupted")
ax.plot(range(1, 13), watch.losses_, color="#0072B2", label="until the error")
ax.plot(range(12, 31), seen_again.losses_[11:], "--", color="#D55E00", label="resumed")
ax.set(
    xlabel="epoch",
    ylabel="validation loss (PCA: 1)",
    title="The resumed fit equals the uninterrupted one",
)
ax.legend()
plt.show()
