"""From the tensors of EfficientNet-Lite0's file to a network that holds them."""

from __future__ import annotations

from pathlib import Path

import keras

from ats_mag.model.encoders.torch_file import read_torch_file
from ats_mag.model.encoders.weight_plan import WeightPlan

MEAN = (127 / 255,) * 3  # of pixel values 0..1: (x - 127) / 128
STD = (128 / 255,) * 3


def load_lite0(network: keras.Model, path: Path) -> None:
    """Reads the weights into a network of `convolutions.efficientnet_lite0`.

    Args:
        network: the network.
        path: of `lite0_file.lite0_file`.
    """
    plan = WeightPlan(path, read_torch_file(path), ignored=r"_fc\..*|.*\.num_batches_tracked")

    def unit(layer: str, convolution: str, norm: str) -> None:
        plan.convolution(network.get_layer(f"{layer}_conv"), convolution)
        plan.norm(network.get_layer(f"{layer}_norm"), norm)

    unit("stem", "_conv_stem", "_bn0")
    for number in range(sum(layer.name.endswith("_depth_conv") for layer in network.layers)):
        name, own = f"block{number}", f"_blocks.{number}"
        if number:  # the first block does not expand
            unit(f"{name}_expand", f"{own}._expand_conv", f"{own}._bn0")
        unit(f"{name}_depth", f"{own}._depthwise_conv", f"{own}._bn1")
        unit(f"{name}_project", f"{own}._project_conv", f"{own}._bn2")
    unit("head", "_conv_head", "_bn1")
    plan.carry_out()
