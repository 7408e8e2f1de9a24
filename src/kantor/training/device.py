"""The device that a setting stands for, and what it can do."""

import torch

from kantor.core.errors import ConfigError


def chosen_device(name: str) -> torch.device:
    """``auto`` takes a GPU if there is one; ``cpu`` and ``cuda`` are themselves.

    Raises:
        ConfigError: cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch sees no GPU. Use --device auto, or install a CUDA build of torch.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` is an x86 processor without instructions for bfloat16, which is slower there than float32."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # which older torch lacks
        return False
    known = torch.cpu.get_capabilities()
    return known.get("architecture") == "x86_64" and not (known.get("avx512_bf16") or known.get("amx_bf16"))
