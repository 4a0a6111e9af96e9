"""Which processor a network runs on."""

import re

import torch

from common.errors import UserError


def torch_device(name: str) -> torch.device:
    """The device of that name: `cpu`, `cuda`, `cuda:1`, or `auto`, a GPU where there is one.

    Raises:
        UserError: another name, or a GPU that this machine does not have.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise UserError(f"device '{name}' is not known; choose auto, cpu, cuda or cuda:N")
    gpus = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise UserError(f"device '{name}': torch finds {gpus} CUDA GPUs on this machine; choose auto or cpu")
    return device
