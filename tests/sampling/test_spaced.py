"""The most probable cells whose patches lie apart."""

from __future__ import annotations

import numpy as np
import pytest
from backends import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from ats_mag.sampling.draws import sample
from ats_mag.sampling.spaced import most_probable_apart


def _taken(attention: np.ndarray, n: int, sides: list[float], inside: np.ndarray | None = None) -> np.ndarray:
    return ops.convert_to_numpy(most_probable_apart(attention, n, sides, inside).index)


Cell = tuple[int, ...]


def _near(one: Cell, other: Cell, sides: list[float]) -> bool:
    apart = max(abs(one[0] - other[0]), abs(one[1] - other[1]))
    return one == other or (one[2] == other[2] and apart < sides[one[2]])


def _expected(attention: np.ndarray, n: int, sides: list[float], inside: np.ndarray) -> tuple[list[Cell], list[float]]:
    """Cells of one slide and what each stands for, as the words say it, without tensors."""
    cells = sorted(np.ndindex(attention.shape), key=lambda cell: -attention[cell])  # stable, as the flat order
    possible = [cell for cell in cells if attention[cell] > 0]
    taken: list[Cell] = []

    def free(cell: Cell) -> bool:
        return not any(_near(cell, other, sides) for other in taken)

    for wanted in (lambda cell: inside[cell] and free(cell), free, lambda _: True):
        while len(taken) < n and (left := [cell for cell in possible if cell not in taken and wanted(cell)]):
            taken.append(left[0])
    mass, left = [], set(cells)
    for cell in taken:
        its = {other for other in left if _near(cell, other, sides)}
        mass.append(float(sum(attention[other] for other in its)))
        left -= its
    return taken, mass


@given(st.data())
@settings(max_examples=examples(100), deadline=None)
def test_as_the_words_say(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)))
    numbers = np.array(
        data.draw(st.lists(st.integers(0, 6), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    )
    attention = (numbers.reshape(shape) / max(numbers.sum(), 1)).astype("float32")
    inside = np.array(data.draw(st.lists(st.booleans(), min_size=attention.size, max_size=attention.size))).reshape(
        shape
    )
    n = data.draw(st.integers(1, attention.size))
    sides = [data.draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0])) for _ in range(shape[2])]
    expected, mass = _expected(attention, n, sides, inside)
    found = most_probable_apart(attention[None], n, sides, inside[None])
    index = ops.convert_to_numpy(found.index)[0]
    assert [tuple(map(int, cell)) for cell in index][: len(expected)] == expected
    assert len({tuple(cell) for cell in index.tolist()}) == n
    weight = ops.convert_to_numpy(found.weight)[0]
    np.testing.assert_allclose(weight[: len(expected)], np.array(mass) / max(sum(mass), 1e-9), rtol=1e-5, atol=1e-7)
    assert not weight[len(expected) :].any()


def test_patches_of_a_cell_are_the_most_probable_ones() -> None:
    attention = np.random.default_rng(0).dirichlet(np.ones(60), 2).reshape(2, 5, 6, 2).astype("float32")
    found = most_probable_apart(attention, 7, [1.0, 1.0])
    topk = sample(attention, 7, "topk")
    for one, other in zip(found[:3], topk[:3], strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_tiny_attention_is_ordered_exactly() -> None:
    attention = np.full((1, 1, 4, 1), 1e-30, "float32")
    attention[0, 0, :, 0] *= [1, 3, 2, 4]
    np.testing.assert_array_equal(_taken(attention, 4, [1.0])[0, :, 1], [3, 1, 2, 0])


@pytest.mark.parametrize(
    ("n", "sides", "message"),
    [(0, [1.0], "n_samples"), (5, [1.0], "lattice of 4 cells"), (1, [1.0, 2.0], "each of the 1 magnifications")],
)
def test_refusals(n: int, sides: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        most_probable_apart(np.full((1, 2, 2, 1), 0.25, "float32"), n, sides)
