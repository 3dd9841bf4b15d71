"""The compiled core `cynosure._core`: the one place that imports it, and says when it serves.

The environment variable CYNOSURE_CORE=off leaves it out: every operation then takes its plain-torch reference.
CYNOSURE_ISA=avx512 | avx2 | portable chooses the instruction set; by default it is the best that the processor has.
"""

from __future__ import annotations

import os
from types import ModuleType

import torch  # before the core, whose threads are then those of torch's OpenMP runtime
from torch import Tensor


def _load() -> ModuleType | None:
    if os.environ.get("CYNOSURE_CORE", "on").lower() in ("off", "0", "no"):
        return None
    try:
        from cynosure import _core
    except ModuleNotFoundError:  # built without it
        return None
    except ImportError as error:
        raise ImportError(
            f"the compiled core of cynosure is there but does not load: {error}. Reinstall cynosure, or set "
            "CYNOSURE_CORE=off to work in plain torch, which is slow"
        ) from error
    return _core


_MODULE = _load()


def module() -> ModuleType | None:
    """The extension module, or None where it was not built or is turned off."""
    return _MODULE


def available() -> bool:
    """Whether the compiled core is there and in use."""
    return module() is not None


def isa() -> str | None:
    """The instruction set in use, None without the core."""
    core = module()
    return None if core is None else core.isa()


def serves(*tensors: Tensor) -> bool:
    """Whether the core can work on these tensors: on the CPU, and all float32 or all float64.

    Not inside a transform of `torch.func`, which knows no rule for the operators: there the reference serves.
    """
    if module() is None or torch._C._are_functorch_transforms_active():
        return False
    dtype = tensors[0].dtype
    return dtype in (torch.float32, torch.float64) and all(
        tensor.dtype == dtype and tensor.device.type == "cpu" for tensor in tensors
    )
