"""From a folder's tensors to a ResNet-50 that holds them; timm and torchvision use the same names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras

from ats_mag.model.encoders.stored_tensor import StoredTensor
from ats_mag.model.encoders.weight_plan import WeightPlan

_PARTS = {
    "first": ("conv1", "bn1"),
    "second": ("conv2", "bn2"),
    "third": ("conv3", "bn3"),
    "short": ("downsample.0", "downsample.1"),
}


def load_resnet50(source: Path, tensors: Mapping[str, StoredTensor], network: keras.Model) -> None:
    """Reads the weights into a network of `convolutions.resnet50`.

    Raises:
        WeightsError: tensors are missing, unknown or of another shape.
    """
    plan = WeightPlan(source, tensors, ignored=r"fc\..*|.*\.num_batches_tracked")
    for layer in network.layers:
        if not isinstance(layer, keras.layers.Conv2D):
            continue
        name = layer.name.removesuffix("_conv")
        if name == "stem":
            convolution, norm = "conv1", "bn1"
        else:
            block, part = name.split("_")
            stage, repeat = block.removeprefix("block").split("-")
            convolution, norm = (f"layer{int(stage) + 1}.{repeat}.{own}" for own in _PARTS[part])
        plan.convolution(layer, convolution)
        plan.norm(network.get_layer(f"{name}_norm"), norm)
    plan.carry_out()
