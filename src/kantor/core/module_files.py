"""Which files a module of the user's own is made of: its own, and those that it imports."""

import ast
import importlib.util
import sys
import sysconfig
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

_PLACES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_PLACES.append(Path(__file__).parents[1])  # kantor's own, wherever it is
_FOLDERS = {"site-packages", "dist-packages"}


def module_files(name: str) -> dict[str, Path]:
    """The file of a module of the user's own, and by name those of the modules that it imports, these import, and so
    on; ``{}`` where it is not there, or no file. What was installed is looked at no further.

    Nothing is imported for it but the packages that ``name`` lies in, so it is one that may be imported
    (:mod:`kantor.core.trust`).
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return {}
    found: dict[str, Path] = {}
    ahead = [(name, spec)]
    while ahead:
        module, spec = ahead.pop()
        if module in found or spec is None or spec.origin is None or not Path(spec.origin).is_file():
            continue
        found[module] = Path(spec.origin)
        if not _installed(spec.origin):
            package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
            others = [part for other in _imports(found[module], package) for part in _and_above(other)]
            ahead += [(other, at) for other in others if (at := _spec(other)) is not None and not _installed(at.origin)]
    return found


def _imports(file: Path, package: str) -> list[str]:
    """All that a source imports, anywhere in it: modules, and what may be modules in packages."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # compiled code, or what the import itself will say
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name]


def _and_above(name: str) -> list[str]:
    """A module and the packages that it lies in, which an import of it runs too."""
    pieces = name.split(".")
    return [".".join(pieces[:end]) for end in range(1, len(pieces) + 1)]


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, without an import of the packages that it lies in."""
    top, *inside = name.split(".")
    if top in sys.stdlib_module_names:
        return None
    try:
        spec, known = importlib.util.find_spec(top), top
        for piece in inside:
            if spec is None or spec.submodule_search_locations is None:
                return None
            known = f"{known}.{piece}"
            spec = PathFinder.find_spec(known, spec.submodule_search_locations)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec


def _installed(origin: str | None) -> bool:
    """Whether a file came with Python or with a package, so that a version says what it is."""
    if origin is None:
        return False
    # A user's own packages, and those of a Debian system, lie in folders of these names elsewhere.
    of_packages = not _FOLDERS.isdisjoint(Path(origin).parts)
    return of_packages or any(Path(origin).is_relative_to(place) for place in _PLACES)
