"""Laws that hold for all data, tried on data that hypothesis makes.

The examples are the same in every run (tests/conftest.py): a failure is repeated by
running the test again.
"""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sk_autoencoder._columns import ColumnStatistics
from sk_autoencoder._columns.dtypes import dtype_from_json, dtype_to_json
from sk_autoencoder._columns.table import Table
from sk_autoencoder._inference.moments import LatentMoments
from sk_autoencoder._model.latent_map import LatentMap
from sk_autoencoder._objectives.denoise import swap
from sk_autoencoder._saving.serialize import Decoder, Encoder
from sk_autoencoder._utils.pca import PrincipalAxes, RowsInUnits

EPS = np.finfo(np.float64).eps

# Six decimals: squares of smaller numbers underflow, which no law here is about.
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))


@st.composite
def parts_of_rows(draw, n_parts=2):
    """Draw matrices of the same columns, of one to six rows each."""
    n_columns = draw(st.integers(1, 4))
    shapes = [(draw(st.integers(1, 6)), n_columns) for _ in range(n_parts)]
    return [draw(hnp.arrays(np.float64, shape, elements=numbers)) for shape in shapes]


def rounding_of_squares(X):
    """Bound what sums of squares of X may differ by, computed in different orders."""
    return 100 * EPS * max(1.0, np.square(X).sum())


# ------------------------------------------------- joined parts equal the whole


@given(parts_of_rows())
def test_joined_statistics_equal_those_of_all_rows(parts):
    X = np.vstack(parts)
    joined = ColumnStatistics.of(parts[0]).joined(ColumnStatistics.of(parts[1]))
    assert joined.n_rows == len(X)
    np.testing.assert_array_equal(joined.low, X.min(axis=0))
    np.testing.assert_array_equal(joined.high, X.max(axis=0))
    largest = np.abs(X).max()
    np.testing.assert_allclose(joined.mean, X.mean(axis=0), 0, 100 * EPS * largest)
    squares = np.square(X - X.mean(axis=0)).sum(axis=0)
    np.testing.assert_allclose(joined.squares, squares, 0, rounding_of_squares(X))


@given(parts_of_rows(n_parts=3))
def test_the_order_of_joining_does_not_matter(parts):
    a, b, c = map(ColumnStatistics.of, parts)
    left, right = a.joined(b).joined(c), c.joined(b.joined(a))
    X = np.vstack(parts)
    assert left.n_rows == right.n_rows == len(X)
    np.testing.assert_allclose(left.mean, right.mean, 0, 100 * EPS * np.abs(X).max())
    np.testing.assert_allclose(left.squares, right.squares, 0, rounding_of_squares(X))


@given(numbers, st.integers(1, 5), st.integers(1, 5))
def test_a_constant_column_has_no_spread_however_it_is_cut(value, n_first, n_second):
    first, second = np.full((n_first, 1), value), np.full((n_second, 1), value)
    joined = ColumnStatistics.of(first).joined(ColumnStatistics.of(second))
    assert joined.spread == 0


def moments_of(codes, errors, *, full_covariance):
    """Compute the moments of codes by numpy."""
    deviations = codes - codes.mean(axis=0)
    scatter = deviations.T @ deviations
    return LatentMoments(
        len(codes),
        codes.mean(axis=0),
        scatter if full_covariance else np.diag(scatter),
        float(errors.sum()),
        float(2 * errors.sum()),
    )


@given(parts_of_rows(), st.booleans())
def test_joined_moments_equal_those_of_all_rows(parts, full_covariance):
    first, second = (
        moments_of(part, np.square(part), full_covariance=full_covariance)
        for part in parts
    )
    X = np.vstack(parts)
    joined, whole = (
        first.joined(second),
        moments_of(X, np.square(X), full_covariance=full_covariance),
    )
    assert joined.n_rows == whole.n_rows
    largest = np.abs(X).max()
    np.testing.assert_allclose(joined.mean, whole.mean, 0, 100 * EPS * largest)
    atol = rounding_of_squares(X)
    np.testing.assert_allclose(joined.scatter, whole.scatter, 0, atol)
    np.testing.assert_allclose(joined.covariance, whole.covariance, 0, atol)
    np.testing.assert_allclose(joined.error, whole.error, 1e-14)
    np.testing.assert_allclose(joined.total, whole.total, 1e-14)


def scatter_of(axes):
    """Put the covariance together again from the axes."""
    return (axes.components.T * np.square(axes.std)) @ axes.components


@given(parts_of_rows(), st.data())
def test_joined_principal_axes_equal_those_of_all_rows(parts, data):
    n_columns = parts[0].shape[1]
    units = hnp.arrays(np.float64, n_columns, elements=st.floats(0.1, 10.0))
    old, new = data.draw(units), data.draw(units)
    means = [part.mean(axis=0) for part in parts]
    first, second = (
        PrincipalAxes.of(RowsInUnits(part, mean, weight), n_columns)
        for part, mean, weight in zip(parts, means, (old, new), strict=True)
    )
    joined = first.joined(second, (means[1] - means[0]) * new, new / old)

    X = np.vstack(parts) * new
    covariance = np.cov(X, rowvar=False, bias=True).reshape(n_columns, n_columns)
    # A hundred: the ratio of the two units. Rows fewer than columns have their axes
    # from products, whose rounding is that of squares.
    atol = 100 * rounding_of_squares(X)
    np.testing.assert_allclose(scatter_of(joined), covariance, 0, atol)
    np.testing.assert_allclose(joined.total, np.trace(covariance), 0, atol)
    assert joined.n_rows == len(X)
    assert (np.diff(joined.std) <= 0).all()
    rank = np.count_nonzero(joined.std)
    held = joined.components[:rank]
    np.testing.assert_allclose(held @ held.T, np.eye(rank), 0, 1e-12)


# ------------------------------------------------------------- a table and back

texts = st.text("aß ", max_size=2)
COLUMNS = {
    "float": (numbers, "float64"),
    "int": (st.integers(-(10**6), 10**6), "int64"),
    "bool": (st.booleans(), "bool"),
    "text": (texts, "str"),
    "category": (st.sampled_from("xyz"), pd.CategoricalDtype([*"zyxw"])),
}


@st.composite
def frames(draw, *, gaps=False):
    """Draw a pandas frame of up to four columns of any kind, one of which varies."""
    n = draw(st.integers(2, 8))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    columns = {}
    for i, kind in enumerate(kinds):
        cells, dtype = COLUMNS[kind]
        values = draw(st.lists(cells, min_size=n, max_size=n))
        columns[f"{kind} {i}"] = pd.Series(values, dtype=dtype)
    frame = pd.DataFrame(columns)
    assume(any(frame[name].nunique() > 1 for name in frame))
    if gaps:
        nullable = {"int64": "Int64", "bool": "boolean"}
        frame = frame.astype(
            {name: nullable.get(str(t), t) for name, t in frame.dtypes.items()}
        )
        hidden = draw(hnp.arrays(bool, frame.shape))
        hidden[:2] = False
        assume(any(frame[name][:2].nunique() > 1 for name in frame))
        frame = frame.mask(hidden)
    return frame


def table_of(X, *, scaling="auto", allow_missing=False):
    return Table.of(
        X,
        categorical_features="from_dtype",
        scaling=scaling,
        column_weights=None,
        allow_missing=allow_missing,
        handle_unknown="error",
    )


def assert_same_frame(found, frame):
    assert list(found.columns) == list(frame.columns)
    assert list(found.dtypes) == list(frame.dtypes)
    for name in frame.columns:
        cells, expected = found[name].to_numpy(), frame[name].to_numpy()
        if expected.dtype.kind == "f":
            atol = 1e-9 * np.abs(expected).max()
            np.testing.assert_allclose(cells, expected, 0, atol)
        else:
            assert list(cells) == list(expected)


@pytest.mark.parametrize("scaling", ["none", "standard", "minmax", "rank_gauss"])
@given(frame=frames())
def test_a_pandas_frame_comes_back_from_its_matrix(scaling, frame):
    table = table_of(frame, scaling=scaling)
    matrix = table.matrix(frame)
    assert matrix.shape == frame.shape
    assert np.isfinite(matrix).all()
    assert_same_frame(table.table(matrix, frame), frame)


@given(frame=frames())
def test_a_polars_frame_comes_back_from_its_matrix(frame):
    schema = {
        name: pl.Enum([*"zyxw"]) if name.startswith("category") else None
        for name in frame.columns
    }
    columns = [
        pl.Series(name, frame[name].tolist(), dtype=schema[name]) for name in schema
    ]
    frame = pl.DataFrame(columns)
    table = table_of(frame)
    assert_same_frame(table.table(table.matrix(frame)), frame)


@given(parts=parts_of_rows(1))
def test_an_array_comes_back_from_its_matrix(parts):
    (X,) = parts
    assume((np.ptp(X, axis=0) > 0).any())
    table = table_of(X, scaling="standard")
    atol = 1e-9 * np.abs(X).max()
    np.testing.assert_allclose(table.table(table.matrix(X)), X, 0, atol)


@given(frame=frames(gaps=True), data=st.data())
def test_missing_cells_alone_are_filled(frame, data):
    table = table_of(frame, allow_missing=True)
    matrix = table.matrix(frame)
    missing = frame.isna().to_numpy()
    np.testing.assert_array_equal(np.isnan(matrix), missing)
    # The first two rows have no gaps: each gap is filled from one of them.
    donors = data.draw(hnp.arrays(np.int64, frame.shape, elements=st.integers(0, 1)))
    filled = table.filled(
        frame, np.where(missing, np.take_along_axis(matrix, donors, axis=0), matrix)
    )
    assert_same_frame(filled, expected_of(frame, missing, donors))


def expected_of(frame, missing, donors):
    """Fill the gaps of a frame from rows of the same frame, by pandas."""
    columns = {}
    for j, name in enumerate(frame):
        cells = frame[name]
        gaps = pd.Series(missing[:, j])
        columns[name] = cells.mask(gaps, cells.iloc[donors[:, j]].set_axis(cells.index))
    return pd.DataFrame(columns)


# ------------------------------------------------------------ values in a file

NUMPY = ["f2", "f4", "f8", ">f8", "i1", "i4", "i8", "u2", "?", "U5", "O"]
numpy_dtypes = st.sampled_from(NUMPY).map(np.dtype)
pandas_dtypes = st.sampled_from(["Int64", "UInt8", "Float32", "boolean", "string"]).map(
    pd.api.types.pandas_dtype
)
polars_dtypes = st.sampled_from(
    [pl.Float32(), pl.Int64(), pl.UInt8(), pl.Boolean(), pl.String(), pl.Categorical()]
)
levels = st.one_of(
    st.lists(texts, min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
)
categories = st.builds(pd.CategoricalDtype, levels, ordered=st.booleans())
enums = st.lists(texts, min_size=1, max_size=4, unique=True).map(pl.Enum)


@given(st.one_of(numpy_dtypes, pandas_dtypes, polars_dtypes, categories, enums))
def test_a_dtype_comes_back_from_json(dtype):
    found = dtype_from_json(json.loads(json.dumps(dtype_to_json(dtype))))
    assert type(found) is type(dtype)
    assert found == dtype
    if isinstance(dtype, pd.CategoricalDtype):  # whose == looks past the order
        assert list(found.categories) == list(dtype.categories)
        assert found.categories.dtype == dtype.categories.dtype
        assert found.ordered == dtype.ordered


arrays = hnp.arrays(
    st.sampled_from(["f4", "f8", "i8", "?"]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    elements={"allow_nan": False},
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    plain | arrays,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(texts | st.integers(0, 9), inner, max_size=3),
    ),
    max_leaves=8,
)


def assert_same_value(found, value):
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value, strict=True)
    elif isinstance(value, list | tuple):
        assert len(found) == len(value)
        for one, other in zip(found, value, strict=True):
            assert_same_value(one, other)
    elif isinstance(value, dict):
        assert list(found) == list(value)
        for key in value:
            assert_same_value(found[key], value[key])
    else:
        assert found == value


def through_json(value):
    """Encode a value, write and read the JSON, and decode it."""
    encoder = Encoder()
    text = json.dumps(encoder.encode(value, "value"))
    return Decoder(encoder.arrays, {}).decode(json.loads(text))


@given(values)
def test_a_value_comes_back_from_the_codec(value):
    assert_same_value(through_json(value), value)


@given(parts_of_rows(1))
def test_a_record_comes_back_from_the_codec(parts):
    record = ColumnStatistics.of(parts[0])
    found = through_json(record)
    assert isinstance(found, ColumnStatistics)
    assert_same_value(vars(found), vars(record))


# ------------------------------------------------- a latent map and its inverse


@st.composite
def latent_maps(draw, kind):
    """Draw a map of up to five components, and its width."""
    k = draw(st.integers(1, 5))
    if kind == "scaling":
        units = draw(hnp.arrays(np.float64, k, elements=st.floats(1e-3, 1e3)))
        return LatentMap.scaling(units), k
    if kind == "ordering":
        order = draw(st.permutations(range(k)))
        return LatentMap.ordering(np.array(order)), k
    mean, covariance = draw(moments_of_codes(k))
    triangular = kind == "triangular"
    return LatentMap.whitening(
        mean, covariance, triangular=triangular, dtype=np.float32
    ), k


@st.composite
def moments_of_codes(draw, k):
    """Draw a mean, and a covariance whose eigenvalues are 1 to 201 at most."""
    mean = draw(hnp.arrays(np.float64, k, elements=st.floats(-10, 10)))
    root = draw(hnp.arrays(np.float64, (k, k), elements=st.floats(-2, 2)))
    return mean, root @ root.T + np.eye(k)


def apply_map(latent_map, codes):
    moved = codes - latent_map.offset
    return (
        moved * latent_map.matrix
        if latent_map.matrix.ndim == 1
        else moved @ latent_map.matrix
    )


def invert_map(latent_map, codes):
    moved = (
        codes * latent_map.inverse
        if latent_map.inverse.ndim == 1
        else codes @ latent_map.inverse
    )
    return moved + latent_map.offset


@pytest.mark.parametrize("kind", ["scaling", "ordering", "whitening", "triangular"])
@given(data=st.data())
def test_a_latent_map_and_its_inverse_leave_codes_as_they_are(kind, data):
    frame, k = data.draw(latent_maps(kind))
    codes = data.draw(hnp.arrays(np.float64, (3, k), elements=st.floats(-10, 10)))
    forth_and_back = invert_map(frame, apply_map(frame, codes))
    back_and_forth = apply_map(frame, invert_map(frame, codes))
    np.testing.assert_allclose(forth_and_back, codes, 0, 1e-11)
    np.testing.assert_allclose(back_and_forth, codes, 0, 1e-11)


@given(st.data(), st.integers(1, 5), st.booleans())
def test_whitening_makes_the_covariance_the_identity(data, k, triangular):
    mean, covariance = data.draw(moments_of_codes(k))
    latent_map = LatentMap.whitening(
        mean, covariance, triangular=triangular, dtype=np.float32
    )
    white = latent_map.matrix.T @ covariance @ latent_map.matrix
    np.testing.assert_allclose(white, np.eye(k), 0, 1e-11)
    if triangular:  # component j depends on the first j codes alone
        np.testing.assert_array_equal(np.tril(latent_map.matrix, -1), 0)


# ------------------------------------------------------------------- swap noise


@st.composite
def groupings(draw):
    """Draw for each of up to six columns the first column of its group."""
    labels = draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    return [labels.index(label) for label in labels]


@given(
    n=st.integers(1, 9),
    groups=groupings(),
    level=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_swap_keeps_each_columns_values_and_each_groups_donor(n, groups, level, seed):
    rows = torch.arange(n).unsqueeze(1)
    columns = torch.arange(len(groups))
    x = (100 * columns + rows).float()  # says where a cell came from
    before = x.clone()
    generator = torch.Generator().manual_seed(seed)
    noisy = swap(x, level, generator, torch.tensor(groups)).long()
    assert torch.equal(x, before)
    assert torch.equal(noisy // 100, columns.expand(n, -1))
    donors = noisy % 100
    assert (donors < n).all()
    assert torch.equal(donors, donors[:, groups])
    if level == 1 and n > 1:
        assert (donors != rows).all()
    if level == 0 or n == 1:
        assert torch.equal(noisy, before.long())
