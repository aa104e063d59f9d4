"""What the trained modules make of a few clips: what every graph and engine is compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from approxbit.engines.artefact import Reference
from approxbit.engines.runner import ClipFormat
from approxbit.offload import OffloadedModel
from approxbit.wire import pack

_COARSENESS = 8  # pixels and frames per patch of colour


def make_clips(clip_format: ClipFormat, count: int, seed: int = 0) -> np.ndarray:
    """Prepared clips of colour patches that drift and change, float32 `[count, 3, time, size, size]`.

    Codes of white noise would be those of no video: its frames have nothing in common.
    """
    generator = torch.Generator().manual_seed(seed)
    time, size = clip_format.num_frames, clip_format.size
    coarse = [1 + length // _COARSENESS for length in (time, size, size)]
    patches = torch.rand(count, 3, *coarse, generator=generator)
    pictures = F.interpolate(patches, size=(time, size, size), mode="trilinear", align_corners=True)
    mean, std = (torch.tensor(each)[:, None, None, None] for each in (clip_format.mean, clip_format.std))
    return ((pictures - mean) / std).numpy()


@torch.inference_mode()
def make_reference(model: OffloadedModel, clips: np.ndarray, whole: bool = False) -> Reference:
    """Codes, margins and answers of the modules as they were trained, one clip at a time.

    Args:
        model: In eval mode, on the CPU.
        clips: Prepared clips, float32 `[n, 3, time, height, width]`, at least one.
        whole: Whether to ask the unsplit backbone, too.
    """
    packed, margins, answers, whole_answers = [], [], [], []
    for clip in torch.from_numpy(clips):
        feature = model.edge_half(clip[None])
        code = model.codec.encode(feature)
        packed.append(np.frombuffer(pack(code.to_planes()[0].numpy()), np.uint8))
        margins.append(_margins(model.codec.compute_logits(feature)))
        answers.append(_first_row(model.answer(code)))
        if whole:
            whole_answers.append(_first_row(model.backbone(clip[None])))
    stacked = np.stack(whole_answers) if whole else None
    return Reference(clips, np.stack(packed), np.stack(margins), np.stack(answers), stacked)


def _margins(logits: tuple[Tensor, Tensor]) -> np.ndarray:
    """How far the logits are from the threshold, float16 `[bit]` in the order of the wire."""
    grid, tokens = logits
    planes = torch.cat((grid.flatten(2), tokens.transpose(1, 2)), dim=2)
    largest = float(np.finfo(np.float16).max)
    return planes[0].flatten().abs().clamp(max=largest).numpy().astype(np.float16)


def _first_row(answers: Tensor) -> np.ndarray:
    return answers[0].float().numpy()
