"""What a measurement or a training ran on."""

from __future__ import annotations

import os
import platform

import torch


def describe_machine() -> str:
    """The kind of machine this runs on: architecture, cores, accelerator, torch version."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {accelerator}, torch {torch.__version__}"
