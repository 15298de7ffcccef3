"""Which tensor of a file becomes which variable: checked as a whole before the first is read, so that nothing is half-loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from ats_mag.model.encoders.stored_tensor import StoredTensor, WeightsError

_NAMED = 5  # names that a message lists


@dataclass(frozen=True)
class _Step:
    variable: keras.Variable
    names: tuple[str, ...]
    convert: Callable[..., np.ndarray]


@dataclass
class WeightPlan:
    """What is to be read from a file for a network.

    Attributes:
        source: the file or folder, for messages.
        tensors: what it holds.
        ignored: pattern of names that a file may hold besides, such as a classifier's.
    """

    source: Path
    tensors: Mapping[str, StoredTensor]
    ignored: str
    steps: list[_Step] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    def add(
        self,
        variable: keras.Variable,
        name: str,
        shape: tuple[int, ...] | None = None,
        convert: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ) -> None:
        """Notes a variable that is made of one tensor.

        Args:
            variable: of a built layer.
            name: of the tensor.
            shape: of the tensor. None: the variable's.
            convert: the tensor -> the variable's value.
        """
        self.add_joined(variable, (name,), [tuple(variable.shape) if shape is None else shape], convert)

    def add_joined(
        self,
        variable: keras.Variable,
        names: Sequence[str],
        shapes: Sequence[tuple[int, ...]],
        convert: Callable[..., np.ndarray],
    ) -> None:
        """Notes a variable that is made of several tensors.

        Args:
            variable: of a built layer.
            names: of the tensors.
            shapes: of each.
            convert: the tensors -> the variable's value.
        """
        for name, shape in zip(names, shapes, strict=True):
            if name not in self.tensors:
                self.missing.append(name)
            elif self.tensors[name].shape != shape:
                self.unfit.append(f"{name} of shape {self.tensors[name].shape} instead of {shape}")
        self.steps.append(_Step(variable, tuple(names), convert))

    def dense(self, layer: keras.layers.Dense, *names: str) -> None:
        """Notes a dense layer, whose kernel torch keeps as `(out, in)`, perhaps in parts."""
        n_in, n_out = layer.kernel.shape
        part, n = n_out // len(names), len(names)
        kernels, biases = [f"{name}.weight" for name in names], [f"{name}.bias" for name in names]
        self.add_joined(layer.kernel, kernels, [(part, n_in)] * n, lambda *parts: np.concatenate(parts).T)
        if layer.use_bias:
            self.add_joined(layer.bias, biases, [(part,)] * n, lambda *parts: np.concatenate(parts))

    def norm(self, layer: keras.layers.Layer, name: str) -> None:
        """Notes a layer norm or a batch norm."""
        self.add(layer.gamma, f"{name}.weight")
        self.add(layer.beta, f"{name}.bias")
        if isinstance(layer, keras.layers.BatchNormalization):
            self.add(layer.moving_mean, f"{name}.running_mean")
            self.add(layer.moving_variance, f"{name}.running_var")

    def convolution(self, layer: keras.layers.Conv2D | keras.layers.DepthwiseConv2D, name: str) -> None:
        """Notes a convolution without bias, whose kernel torch keeps as `(out, in, h, w)`, or `(channels, 1, h, w)`."""
        h, w, a, b = layer.kernel.shape
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            self.add(layer.kernel, f"{name}.weight", (a, 1, h, w), lambda x: np.transpose(x, (2, 3, 0, 1)))
        else:
            self.add(layer.kernel, f"{name}.weight", (b, a, h, w), lambda x: np.transpose(x, (2, 3, 1, 0)))

    def carry_out(self) -> None:
        """Reads the tensors, one variable at a time.

        Raises:
            WeightsError: tensors are missing, too many or of another shape; no variable is changed then.
        """
        used = {name for step in self.steps for name in step.names}
        extra = [name for name in self.tensors if name not in used and not re.fullmatch(self.ignored, name)]
        found = (("misses", self.missing), ("holds, unexpectedly,", extra), ("holds", self.unfit))
        problems = [f"{verb} {_some(names)}" for verb, names in found if names]
        if problems:
            raise WeightsError(
                f"{self.source} does not fit the network that its config.json describes: it {' and '.join(problems)}. Take both "
                "files from the same release of the model"
            )
        # Of one size after the other, so that what one variable gives back is where the next one's value goes: in the file's
        # order a large model takes a third more memory.
        for step in sorted(self.steps, key=lambda step: -math.prod(step.variable.shape)):
            value = step.convert(*[self.tensors[name].read() for name in step.names])
            # A copy, as some backends would otherwise go on using the mapped file.
            step.variable.assign(np.array(value, dtype=np.float32, order="C"))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
