"""How files are written: as other programs write theirs, and only what comes back."""

import errno
import functools
import os
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from skorch.callbacks import EarlyStopping, LRScheduler

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderOutlierDetector,
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
)
from sk_autoencoder._saving.atomic_file import PREFIX, SUFFIX, replace_file
from sk_autoencoder.networks import MLP

X = np.random.default_rng(0).normal(size=(40, 4))
SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 1, "random_state": 0}
posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")


@pytest.fixture(scope="module")
def fitted():
    return AutoEncoderTransformer(2, **SMALL).fit(X)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


# -- the file -------------------------------------------------------------------------


@posix
def test_a_new_file_has_the_mode_that_the_umask_leaves(fitted, umask, tmp_path):
    fitted.save(tmp_path / "model")
    assert mode_of(tmp_path / "model") == 0o640
    (tmp_path / "plain").touch()
    assert mode_of(tmp_path / "plain") == 0o640


@posix
@pytest.mark.parametrize("mode", [0o600, 0o664, 0o644, 0o440])
def test_a_file_that_is_replaced_keeps_its_mode(mode, fitted, umask, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"")
    path.chmod(mode)
    fitted.save(path)
    assert mode_of(path) == mode
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_file_is_what_safetensors_writes(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    data = path.read_bytes()
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert safetensors.numpy.save(arrays, metadata=metadata) == data


def test_the_file_and_its_name_are_on_the_disk_before_save_returns(
    fitted, tmp_path, monkeypatch
):
    done = []
    names = {"fsync": os.fsync, "replace": os.replace}

    def note(name, *arguments):
        kind = ""
        if name == "fsync":
            is_folder = stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            kind = "folder" if is_folder else "file"
            if kind == "file":  # all of it
                assert os.fstat(arguments[0]).st_size > 8_000
        done.append(f"{name} {kind}".strip())
        return names[name](*arguments)

    for name in names:
        monkeypatch.setattr(os, name, functools.partial(note, name))
    fitted.save(tmp_path / "model")
    assert done == ["fsync file", "replace", *["fsync folder"] * (os.name == "posix")]


@posix
def test_a_disk_without_room_is_an_os_error(fitted, tmp_path):
    import resource

    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:  # Python ignores the signal that comes with it
        with pytest.raises(OSError, match="large") as caught:
            fitted.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), MemoryError()])
def test_nothing_is_left_of_a_save_that_fails(error, fitted, tmp_path, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)) as caught:
        fitted.save(tmp_path / "model")
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
import sk_autoencoder
model = sk_autoencoder.load(sys.argv[1])
os.fsync = lambda handle: os.kill(os.getpid(), 9)
model.save(sys.argv[1])
"""


@posix
def test_what_a_killed_process_left_is_removed_by_the_next_save(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    (left,) = set(tmp_path.iterdir()) - {path}
    sk_autoencoder.load(path)  # as it was
    fitted.save(tmp_path / "other")
    assert not left.exists()


@posix
def test_what_another_process_is_writing_is_left_alone(tmp_path):
    others = {}

    def parts():
        yield b"first"
        replace_file(tmp_path / "other", [b"other"])
        others.update((p.name, p) for p in tmp_path.iterdir())
        yield b" second"

    (tmp_path / f"{PREFIX}stale{SUFFIX}").write_bytes(b"")
    (tmp_path / f"{PREFIX}mine").write_bytes(b"somebody's own")
    replace_file(tmp_path / "model", parts())
    assert (tmp_path / "model").read_bytes() == b"first second"
    partial = [name for name in others if name.endswith(SUFFIX)]
    assert len(partial) == 1
    assert partial != [f"{PREFIX}stale{SUFFIX}"]
    names = {"model", "other", f"{PREFIX}mine"}
    assert {p.name for p in tmp_path.iterdir()} == names


@pytest.mark.parametrize("length", [1, 248, 255])
def test_a_name_may_be_as_long_as_names_may_be(length, fitted, tmp_path):
    path = tmp_path / ("x" * length)
    fitted.save(path)
    loaded = sk_autoencoder.load(path)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


@posix
def test_a_name_that_is_too_long_is_refused_by_the_system(fitted, tmp_path):
    with pytest.raises(OSError, match="File name too long") as caught:
        fitted.save(tmp_path / ("x" * 256))
    assert caught.value.errno == errno.ENAMETOOLONG
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(there, fitted, tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "model", tmp_path / "link"
    if there:
        target.write_bytes(b"before")
    link.symlink_to(target)
    fitted.save(link)
    assert link.is_symlink()
    assert target.read_bytes() == link.read_bytes()
    sk_autoencoder.load(link)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["model"]


@posix
def test_a_circle_of_links_is_refused(fitted, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        fitted.save(tmp_path / "a")
    assert caught.value.errno == errno.ELOOP


def test_a_folder_is_told_from_a_file(fitted, tmp_path):
    example = os.path.join(tmp_path, "model.safetensors")
    message = (
        f"expected the path of a file, got a folder, path={str(tmp_path)!r}. Pass the "
        f"path of a file in it, as {example!r}."
    )
    with pytest.raises(IsADirectoryError) as caught:
        fitted.save(str(tmp_path))
    assert str(caught.value) == message
    message = (
        "expected a file that save has written, got a folder, "
        f"path={str(tmp_path)!r}. Pass the path of the file in it."
    )
    with pytest.raises(IsADirectoryError) as caught:
        sk_autoencoder.load(str(tmp_path))
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_told(fitted, tmp_path):
    (tmp_path / "model").write_bytes(b"")
    path = str(tmp_path / "model" / "model")
    message = (
        f"expected a file in a folder, got path={path!r}, where "
        f"{str(tmp_path / 'model')!r} is a file. Pass another path."
    )
    with pytest.raises(NotADirectoryError) as caught:
        fitted.save(path)
    assert str(caught.value) == message


@posix
def test_what_is_no_regular_file_is_neither_read_nor_replaced(fitted, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="expected a regular file to replace, got path="):
        fitted.save(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(ValueError, match="because: it is no regular file"):
        sk_autoencoder.load(path)


@posix
def test_a_file_that_may_not_be_read_is_told(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model"
    fitted.save(path)

    def refuse(*arguments, **more):
        raise PermissionError(errno.EACCES, "Permission denied", arguments[0])

    monkeypatch.setattr("builtins.open", refuse)  # root may read every file
    message = (
        f"expected a file that may be read, got path={str(path)!r}. Ask for the right "
        "to read it, as by chmod u+r."
    )
    with pytest.raises(PermissionError) as caught:
        sk_autoencoder.load(str(path))
    assert str(caught.value) == message


def test_a_missing_file_stays_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        sk_autoencoder.load(tmp_path / "none")


@pytest.mark.parametrize("make", [str, Path, os.fsencode])
def test_paths_may_be_of_any_kind(make, fitted, tmp_path):
    path = make(tmp_path / "model")
    fitted.save(path)
    loaded = sk_autoencoder.load(path)
    np.testing.assert_array_equal(loaded.transform(X), fitted.transform(X))


# -- what can come back ---------------------------------------------------------------


def blur(batch, generator):
    return batch + 0.1


def another_blur():
    def blur(batch, generator):
        return batch + 0.2

    return blur


class Twice(MLP):
    pass


def refusal(estimator, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of so short a fit
        estimator.fit(X)
    with pytest.raises(TypeError) as caught:
        estimator.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("noise", "what"),
    [
        (lambda batch, generator: batch, "a lambda"),
        (another_blur(), "defined inside a function"),
    ],
    ids=["lambda", "local"],
)
def test_functions_that_have_no_name_to_be_found_by_are_refused(noise, what, tmp_path):
    reason = refusal(DenoisingAutoEncoderTransformer(2, noise=noise, **SMALL), tmp_path)
    assert re.fullmatch(
        "expected functions and classes that load can be given again by their names, "
        rf"got noise=<function .*>, which is {what}\. Define it with def or class "
        r"at the top level of a module, or pickle the estimator with cloudpickle\.",
        reason,
    )


def test_a_class_inside_a_function_is_refused(tmp_path):
    class Local(MLP):
        pass

    network = Local((4,))
    estimator = AutoEncoderTransformer(2, network=network, max_epochs=1)
    assert "which is defined inside a function" in refusal(estimator, tmp_path)


def test_two_of_one_name_are_refused(tmp_path):
    callbacks = [EarlyStopping(patience=5), ("second", EarlyStopping(patience=50))]
    estimator = AutoEncoderTransformer(2, callbacks=callbacks, **SMALL)
    reason = refusal(estimator, tmp_path)
    assert reason.startswith(
        "expected functions, classes and objects of your own of different names, got "
        "<skorch.callbacks.training.EarlyStopping object"
    )
    assert reason.endswith(
        ", both 'EarlyStopping'. Rename one, or pickle the estimator instead."
    )


def test_one_thing_in_several_places_comes_back(tmp_path):
    noisy = DenoisingAutoEncoderTransformer(
        2, noise=blur, network=Twice((4,)), callbacks=[LRScheduler()], max_epochs=1
    )
    for estimator in (noisy, AutoEncoderOutlierDetector(noisy)):
        estimator.fit(X).save(tmp_path / "model")
        own = {"blur": blur, "Twice": Twice, "LRScheduler": LRScheduler()}
        loaded = sk_autoencoder.load(tmp_path / "model", custom=own)
        assert type(loaded) is type(estimator)


def test_modules_of_the_same_layers_are_one(tmp_path):
    activation = torch.nn.PReLU()
    estimator = AutoEncoderTransformer(2, activation=activation, **SMALL)
    detector = AutoEncoderOutlierDetector(estimator).fit(X)
    detector.save(tmp_path / "model")
    own = {"activation": torch.nn.PReLU()}
    loaded = sk_autoencoder.load(tmp_path / "model", custom=own)
    np.testing.assert_array_equal(loaded.score_samples(X), detector.score_samples(X))


class Own(AutoEncoderTransformer):
    pass


class OwnDetector(AutoEncoderOutlierDetector):
    pass


@pytest.mark.parametrize("kind", [Own, OwnDetector])
def test_classes_of_ones_own_are_refused(kind, tmp_path):
    estimator = kind(2, **SMALL) if kind is Own else kind()
    assert refusal(estimator, tmp_path) == (
        "expected an estimator of a class of sk_autoencoder, or a pipeline of one with "
        f"StandardScaler, MinMaxScaler or PCA, got {kind.__name__} of "
        f"{kind.__module__}, which load does not know. Dump it with skops or joblib "
        "instead."
    )


def test_settings_that_a_file_does_not_hold_are_refused(tmp_path):
    params = {"iterator_train__num_workers": 0}
    estimator = AutoEncoderTransformer(2, net_params=params, **SMALL)
    assert refusal(estimator, tmp_path) == (
        "expected net_params that a file can hold, arguments of the net of "
        "sk_autoencoder and of the optimizer, got a setting "
        "'iterator_train__num_workers'. Pickle the estimator instead, or fit without "
        "it."
    )


def test_parameters_that_are_not_valid_are_refused(fitted, tmp_path):
    broken = AutoEncoderTransformer(2, **SMALL).fit(X).set_params(max_epochs=-1)
    with pytest.raises(ValueError, match="The 'max_epochs' parameter of AutoEncoder"):
        broken.save(tmp_path / "model")


def test_columns_of_dtypes_that_are_not_taken_back_are_refused(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["when"] = pd.cut(X[:, 0], 3)
    estimator = AutoEncoderTransformer(2, **SMALL).fit(frame)
    with pytest.raises(TypeError, match="expected values that can be saved, got "):
        estimator.save(tmp_path / "model")


def test_a_description_without_end_is_refused(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("sk_autoencoder._saving.files.MOST_VALUES", 100)
    with pytest.raises(TypeError) as caught:
        fitted.save(tmp_path / "model")
    assert re.fullmatch(
        r"expected an estimator that a file can describe, got AutoEncoderTransformer "
        r"with \d+ values, beyond 100\. Pickle it instead, or fit to fewer levels or "
        r"for fewer epochs\.",
        str(caught.value),
    )
