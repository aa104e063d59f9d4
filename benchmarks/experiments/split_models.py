"""Models that people bring, at sizes that one core runs in seconds, each with a cut inside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import transformers
from torch import Tensor, nn
from torchvision import models
from torchvision.models import video

from approxbit import backbones

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of fvcore, which asks torch.jit
    from pytorchvideo.models import csn, r2plus1d, resnet, x3d

Build = Callable[[], nn.Module]


class Case(NamedTuple):
    """A model, the shape of its clips, the module to cut after, and another shape if it takes any."""

    build: Build
    clip: tuple[int, ...]
    at: str
    other_clip: tuple[int, ...] | None = None


class Around(nn.Module):
    """A model behind a function of itself and a clip."""

    def __init__(self, model: nn.Module, run: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.run = model, run

    def forward(self, clip: Tensor) -> Tensor:
        """What the function makes of the clip."""
        return self.run(self.model, clip)


class Recurrent(nn.Module):
    """A small CNN on every frame, then an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU())
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits after the last frame."""
        batch, _, time, *_ = clip.shape
        features = self.features(clip.transpose(1, 2).flatten(0, 1)).mean((2, 3))
        return self.head(self.lstm(features.view(batch, time, -1))[0][:, -1])


def framewise(model: nn.Module, clip: Tensor) -> Tensor:
    """The mean of what an image model says of the frames."""
    frames = clip.transpose(1, 2)
    return model(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).mean(1)


def s3d() -> nn.Module:
    """With a pool that takes small clips."""
    model = video.s3d()
    model.avgpool = nn.AdaptiveAvgPool3d(1)
    return model


def mvit(version: int) -> Build:
    """Three blocks of torchvision's `mvit_v1_b` or `mvit_v2_s`, for small clips."""
    block, is_second = video.mvit.MSBlockConfig, version == 2
    blocks = [
        block(1, 96, 192, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 4, 4]),
        block(2, 192, 192, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
        block(2, 192, 192, [3, 3, 3] if is_second else [], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
    ]
    residual = {"residual_pool": is_second, "residual_with_cls_embed": not is_second}
    attention = {"rel_pos_embed": is_second, "proj_after_attn": is_second}
    return lambda: video.mvit.MViT((64, 64), 4, blocks, **residual, **attention)


def of_transformers(kind: str, **sizes: Any) -> Build:
    """A classifier of four narrow layers; transformers wants frames before channels and returns a record."""
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        **sizes,
    }
    config = getattr(transformers, f"{kind}Config")(**sizes)
    model = getattr(transformers, f"{kind}ForVideoClassification")
    return lambda: Around(model(config), lambda model, clip: model(clip.transpose(1, 2)).logits)


def of_pytorchvideo(create: Callable[..., nn.Module], pool: tuple[int, int, int], **options: Any) -> Build:
    """With a last pool for clips of 64x64 pixels."""
    return lambda: create(model_num_class=10, head_pool_kernel_size=pool, **options)


SMALL, SQUARE, OTHER = (3, 4, 32, 32), (3, 4, 64, 64), (3, 5, 24, 20)
C2D = {
    "stage1_pool": nn.MaxPool3d,
    "stage_conv_a_kernel_size": ((1, 1, 1),) * 4,
    "stem_conv_kernel_size": (1, 7, 7),
}
X3D = {"input_clip_length": 4, "input_crop_size": 64, "depth_factor": 1.0, "model_num_class": 10}
TOKENS = {"image_size": 32, "num_frames": 4}
V_JEPA2 = {
    "crop_size": 32,
    "frames_per_clip": 4,
    "patch_size": 8,
    "num_pooler_layers": 1,
    "pred_hidden_size": 32,
}
VIT = {"image_size": 32, "patch_size": 8, "num_layers": 4, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64}
MODELS = {
    "r2plus1d_18": Case(video.r2plus1d_18, SMALL, "layer3", OTHER),
    "r3d_18": Case(video.r3d_18, SMALL, "layer1.0", OTHER),
    "mc3_18": Case(video.mc3_18, SMALL, "layer3", OTHER),
    "s3d": Case(s3d, (3, 8, 32, 32), "features.6", (3, 9, 40, 32)),
    "swin3d_t": Case(video.swin3d_t, SMALL, "features.4.2", (3, 3, 40, 28)),
    "mvit v1": Case(mvit(1), SQUARE, "blocks.1"),
    "mvit v2": Case(mvit(2), SQUARE, "blocks.1"),
    "mvit_v1_b": Case(video.mvit_v1_b, (3, 16, 224, 224), "blocks.5"),
    "x3d": Case(lambda: x3d.create_x3d(**X3D), SQUARE, "blocks.3.res_blocks.1"),
    "slow_r50": Case(of_pytorchvideo(resnet.create_resnet, (4, 2, 2)), SQUARE, "blocks.2"),
    "C2D": Case(of_pytorchvideo(resnet.create_resnet, (2, 2, 2), **C2D), SQUARE, "blocks.2"),
    "R(2+1)D": Case(of_pytorchvideo(r2plus1d.create_r2plus1d, (1, 2, 2)), SQUARE, "blocks.2"),
    "CSN": Case(of_pytorchvideo(csn.create_csn, (1, 2, 2)), (3, 8, 64, 64), "blocks.2"),
    "VideoMAE": Case(
        of_transformers("VideoMAE", patch_size=8, **TOKENS), SMALL, "model.videomae.encoder.layer.1"
    ),
    "ViViT": Case(of_transformers("Vivit", tubelet_size=[2, 8, 8], **TOKENS), SMALL, "model.vivit.layers.1"),
    "TimeSformer": Case(
        of_transformers("Timesformer", patch_size=8, **TOKENS),
        SMALL,
        "model.timesformer.embeddings.patch_embeddings.projection",
    ),
    "V-JEPA2": Case(
        of_transformers("VJEPA2", **V_JEPA2, pred_num_attention_heads=4),
        SMALL,
        "model.vjepa2.encoder.layer.1",
        (3, 4, 48, 32),
    ),
    "ResNet18, framewise": Case(
        lambda: Around(models.resnet18(), framewise), SMALL, "model.layer2", (3, 5, 40, 32)
    ),
    "ViT, framewise": Case(
        lambda: Around(models.VisionTransformer(**VIT), framewise),
        SMALL,
        "model.encoder.layers.encoder_layer_1",
        (3, 5, 32, 32),
    ),
    "CNN + LSTM": Case(Recurrent, SMALL, "features", (3, 5, 40, 32)),
    "MoViNet-A0": Case(lambda: backbones.movinet("a0"), SMALL, "blocks.b2_l1", OTHER),
    "MoViNet-A0 stream": Case(lambda: backbones.movinet("a0", streaming=True), SMALL, "blocks.b2_l1", OTHER),
    "MViTv2 of the digits": Case(backbones.mvitv2_digits, (3, 16, 64, 64), "blocks.1"),
}
