"""The vector type: what each operation gives, in every lane."""

from __future__ import annotations

import zlib
from pathlib import Path

import numba
import numpy as np

from chainstitch.nnet.chain import cpu, simd
from chainstitch.nnet.chain.simd import (
    LANES,
    add,
    exp,
    fma,
    load,
    maximum,
    mul,
    splat,
    store,
    transpose_in,
    transpose_out,
    zeros,
)


@numba.njit
def apply(a, b, c, out):
    for i in range(len(a)):
        x, y, z = load(a, i), load(b, i), load(c, i)
        store(out, 6 * i, add(x, y))
        store(out, 6 * i + 1, mul(x, y))
        store(out, 6 * i + 2, fma(x, y, z))
        store(out, 6 * i + 3, maximum(x, y))
        store(out, 6 * i + 4, fma(splat(np.float32(i + 0.5)), x, zeros()))
        store(out, 6 * i + 5, zeros())


@numba.njit
def exponentials(x, out):
    for i in range(len(x)):
        store(out, i, exp(load(x, i)))


@numba.njit
def there_and_back(array, starts, k, rows, row, out):
    transpose_in(rows, row, array, starts, k)
    transpose_out(out, starts, k, rows, row)


def test_arithmetic_is_that_of_numpy_lane_by_lane():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 5, LANES)).astype(np.float32)
    out = np.empty((30, LANES), np.float32)
    apply(a, b, c, out)
    found = out.reshape(5, 6, LANES).transpose(1, 0, 2)
    scale = np.arange(5, dtype=np.float32)[:, None] + 0.5
    wanted = [a + b, a * b, a * b + c, np.maximum(a, b), scale * a, np.zeros_like(a)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_compiled_code_is_made_anew_when_the_vector_type_changes():
    source = Path(simd.__file__).read_bytes()
    assert zlib.crc32(source) == cpu.SIMD_CRC32, "write it into cpu.py, which drops Numba's cache"


def test_exp_is_near_even_down_to_where_float32_ends():
    x = np.linspace(-87, 0, 200 * LANES, dtype=np.float32).reshape(-1, LANES)
    x = np.concatenate([x, -np.logspace(-30, 1, 200 * LANES, dtype=np.float32).reshape(-1, LANES)])
    out = np.empty_like(x)
    exponentials(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=2.5e-7)
    special = np.zeros((1, LANES), np.float32)
    special[0, :6] = [0.0, -0.0, -87.1, -np.inf, np.nan, -1e30]
    exponentials(special, out[:1])
    np.testing.assert_array_equal(out[0, :6], np.float32([1, 1, 0, 0, np.nan, 0]))


def test_transposes_bring_a_piece_of_every_lane_in_and_back():
    array = np.arange(3000, dtype=np.float32).reshape(3, 1000)
    starts = np.random.default_rng(0).permutation(100)[:LANES] * 29
    starts[[0, 7]] = -1
    rows, out = np.zeros((LANES + 4, LANES), np.float32), np.full_like(array, np.nan)
    there_and_back(array, starts, 5, rows, 3, out)
    places = starts[:, None] + 5 + np.arange(LANES)
    wanted = np.where(starts[:, None] < 0, -np.inf, array.ravel()[places])
    np.testing.assert_array_equal(rows[3:-1], wanted.T)
    assert not rows[:3].any() and not rows[-1].any()
    written = np.isfinite(out.ravel())
    assert set(np.flatnonzero(written)) == set(places[starts >= 0].ravel())
    np.testing.assert_array_equal(out.ravel()[written], array.ravel()[written])
