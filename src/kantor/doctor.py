"""What a report of a fault should say of a machine: versions, device, threads, extras, and what is missing."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator

from kantor.core.optional import BROKEN

_FOR_DEVELOPERS = ("all", "bench", "browser", "dev", "docs")
_NEED = re.compile(r"^(?P<name>[\w.-]+).*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")


def checked() -> Iterator[tuple[str, str]]:
    """What there is, name by name; what is missing says how to install it."""
    yield "kantor", _version("kantor") or "not installed: run from its sources"
    yield "python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield from _torch()
    for name in ("numpy", "scipy", "safetensors", "accelerate"):
        yield name, _version(name) or f"missing: pip install {name}"
    for extra, packages in _extras().items():
        found = {name: _version(name) for name in packages}
        there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
        missing = [name for name, version in found.items() if version is None]
        remedy = f"missing {', '.join(missing)}: pip install 'kantor[{extra}]'" if missing else ""
        yield f"[{extra}]", "; ".join(said for said in (there, remedy) if said)


def _torch() -> Iterator[tuple[str, str]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield "torch", f"cannot be imported: {error}"
        return
    from kantor.core.cores import cores

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    yield "torch", f"{torch.__version__} ({built})"
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    yield "device", ", ".join([*gpus, *mps]) or f"cpu ({torch.backends.cpu.get_cpu_capability()})"
    asked = os.environ.get("OMP_NUM_THREADS")
    yield "threads", f"{torch.get_num_threads()} of {cores()} cores" + (f" (OMP_NUM_THREADS={asked})" if asked else "")
    if _version("torchvision"):
        yield "torchvision", _importing_torchvision()


def _importing_torchvision() -> str:
    """It is the package that most often does not fit its torch."""
    try:
        import torchvision  # noqa: F401  # pyright: ignore[reportMissingImports]
    except BROKEN as error:
        said = " ".join(str(error).split())
        return f"{_version('torchvision')}, and importing it fails ({said}): install it and torch from one place"
    return _version("torchvision") or ""


def _extras() -> dict[str, list[str]]:
    """The packages of each extra, as the package's own metadata name them."""
    found: dict[str, list[str]] = {}
    try:
        needs = importlib.metadata.requires("kantor") or []
    except importlib.metadata.PackageNotFoundError:
        needs = []
    for need in needs:
        match = _NEED.match(need)
        if match and match["extra"] not in _FOR_DEVELOPERS and match["name"] != "kantor":
            found.setdefault(match["extra"], []).append(match["name"])
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
