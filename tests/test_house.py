"""Rules of the house that no linter knows: sizes of files and functions, arguments of helpers, and what is private.

The lists of exceptions may only shrink: an entry that is no exception any more is an error.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "src"
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, ARGUMENTS_OF_A_HELPER = 400, 80, 6

LONG_FUNCTIONS: set[str] = set()
HELPERS_WITH_MANY_ARGUMENTS: set[str] = set()
READ_PRIVATE_NAMES: set[str] = set()

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCES.rglob("*.py"))
}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}


def functions(node: ast.AST, inside: str) -> Iterator[tuple[str, Function]]:
    """(dotted name, function) of every function below, those inside functions and classes too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            name = f"{inside}.{child.name}"
            if isinstance(child, Function):
                yield name, child
            yield from functions(child, name)
        else:
            yield from functions(child, inside)


FUNCTIONS = [found for module, tree in TREES.items() for found in functions(tree, module)]


def lines(function: Function) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if said else 0
    return function.end_lineno - function.lineno + 1 - docstring


def arguments(function: Function) -> int:
    """Of a call, so without ``self`` and ``cls``."""
    given = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return len([argument for argument in given if argument.arg not in ("self", "cls")])


def kernels(tree: ast.Module) -> set[str]:
    """Functions that Numba or Triton compiles: those take their arrays one by one."""
    found = {word for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("jit")
             for word in map(ast.unparse, node.args)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, Function) and any("compiled" in ast.unparse(word) for word in node.decorator_list):
            found.add(node.name)
    return found


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def imported(tree: ast.Module) -> Iterator[str]:
    """Private names of kantor's that a module imports, or reads from a module that it imports."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kantor"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if private(alias.name))
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname and "kantor" in alias.name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and private(node.attr):
            module = known.get(node.value.id)
            if module is not None:
                yield f"{module}.{node.attr}"


def test_no_file_is_long():
    sizes = {module: len(path.read_text("utf-8").splitlines()) for module, path in MODULES.items()}
    assert len(sizes) > 200, "the files were not found"
    assert {module: size for module, size in sizes.items() if size > LINES_OF_A_FILE} == {}


def test_no_function_is_long():
    found = {name: lines(function) for name, function in FUNCTIONS}
    assert {name for name, size in found.items() if size > LINES_OF_A_FUNCTION} == LONG_FUNCTIONS


def test_no_helper_has_many_arguments():
    kept = {f"{module}.{kernel}" for module, tree in TREES.items() for kernel in kernels(tree)}
    assert {"kantor.ot.fused._solve", "kantor.ot.gpu_small._sweeps"} <= kept
    helpers = {name: arguments(f) for name, f in FUNCTIONS if private(f.name) and name not in kept}
    assert {name for name, count in helpers.items() if count > ARGUMENTS_OF_A_HELPER} == HELPERS_WITH_MANY_ARGUMENTS


def test_nobody_reads_anothers_private_names():
    found = {f"{module} -> {name}" for module, tree in TREES.items() for name in imported(tree)}
    assert found == READ_PRIVATE_NAMES


def test_the_picture_of_the_house_shows_every_room():
    page = (SOURCES.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    picture = page.split("```text")[1].split("```")[0]
    house = SOURCES / "kantor"
    rooms = [path.parent for path in [*house.glob("*/__init__.py"), *house.glob("study/*/__init__.py")]]
    assert [room.name for room in rooms if f"{room.name}/" not in picture] == []


def test_where_things_are_found_is_true():
    page = (SOURCES.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    house = SOURCES / "kantor"
    rows = [line for line in page.split("## Where do I find")[1].splitlines() if line.startswith("| ")]
    named = [word for row in rows for word in row.split("`")[1::2] if word.endswith((".py", "/"))]
    assert len(rows) > 6
    assert [word for word in named if not (house / word).exists() and not list(house.rglob(word))] == []
