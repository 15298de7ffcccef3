"""A key for every variable of a model and its optimiser, the same in every process that builds the same model.

Keras numbers layers per process: a model's first convolution is `conv2d` in one process and `conv2d_3` in another. In a key the
number is the layer's rank among those of its base name in this model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

import keras

_NUMBERED = re.compile(r"(?P<base>.+)_(?P<number>\d+)")


def model_keys(variables: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    """The variables of a model by key, such as `conv2d#1/kernel`: the second of its convolutions.

    Args:
        variables: of one model, in any order.

    Raises:
        ValueError: two variables have one path, and could be taken for each other.
    """
    names = _ranked(part for variable in variables for part in variable.path.split("/"))
    keys = ["/".join(names[part] for part in variable.path.split("/")) for variable in variables]
    return _unique(keys, variables)


def optimizer_keys(
    variables: Sequence[keras.Variable], of_model: dict[str, keras.Variable]
) -> dict[str, keras.Variable]:
    """The variables of an optimiser by key, such as `adam/iteration` and `adam/conv2d#1/kernel/momentum`.

    Keras names a variable that belongs to one of the model's by that one's path, with "_" for "/", and its own name.

    Args:
        variables: of the optimiser, those of an inner one included.
        of_model: as `model_keys` gives them.

    Raises:
        ValueError: two variables would have one key.
    """
    begins = {variable.path.replace("/", "_") + "_": key for key, variable in of_model.items()}
    optimizers = _ranked(variable.path.partition("/")[0] for variable in variables)
    keys = []
    for variable in variables:
        optimizer, _, name = variable.path.partition("/")
        # The longest: `dense_1_kernel_` is no variable of `dense`.
        begin = max((begin for begin in begins if name.startswith(begin)), key=len, default=None)
        own = name if begin is None else f"{begins[begin]}/{name[len(begin) :]}"
        keys.append(f"{optimizers[optimizer]}/{own}")
    return _unique(keys, variables)


def _ranked(names: Iterable[str]) -> dict[str, str]:
    """Each name with the rank of its number among the names of the same base; the first has none."""
    groups: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for name in set(names):
        numbered = _NUMBERED.fullmatch(name)
        base, number = (numbered["base"], int(numbered["number"])) if numbered else (name, -1)
        groups[base].add((number, name))
    return {
        name: f"{base}#{rank}" if rank else base
        for base, members in groups.items()
        for rank, (_, name) in enumerate(sorted(members))
    }


def _unique(keys: list[str], variables: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    found: dict[str, keras.Variable] = {}
    for key, variable in zip(keys, variables, strict=True):
        if key in found:
            raise ValueError(
                f"two variables of the model or its optimiser have one name, {variable.path!r} and {found[key].path!r}: give "
                "the layers that they belong to different names"
            )
        found[key] = variable
    return found
