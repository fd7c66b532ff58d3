"""skorch's loggers write to real trackers, and leave a fit as it is."""

import pytest
from sklearn.datasets import load_digits
from skorch.callbacks import MlflowLogger, TensorBoard

from sk_autoencoder import AutoEncoderTransformer

# Their warnings are not ours to answer for.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("default")]

X = load_digits().data[:200]


def fit(callbacks=None):
    return AutoEncoderTransformer(
        3, callbacks=callbacks, max_epochs=3, random_state=0
    ).fit(X)


def test_tensorboard_shows_every_epoch(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    logged, plain = fit([TensorBoard(SummaryWriter(tmp_path))]), fit()
    assert logged.loss_curve_ == plain.loss_curve_
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    values = [event.value for event in found.Scalars("Loss/valid_loss")]
    assert values == pytest.approx(plain.validation_loss_curve_, rel=1e-6)  # float32


def test_mlflow_shows_every_epoch_and_keeps_the_weights(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path}/runs")
    with mlflow.start_run() as run:
        logged = fit([MlflowLogger(terminate_after_train=False)])
    assert logged.loss_curve_ == fit().loss_curve_
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert [metric.value for metric in history] == logged.loss_curve_
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"params.pth", "optimizer.pth", "history.json"} <= names
