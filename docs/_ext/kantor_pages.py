"""What the pages take from kantor itself, so that none of it can grow stale.

- ``{loss} NAME``: a transfer loss's facts, from its class, and what its docstrings say of paper and choices.
- ``{command} NAME``: a command's help, as the terminal prints it.
- Formulas become MathML when the pages are built, so that they show without a network.
- ``reference/api/``: a page for each package, of what it exports, and one for what lies inside.
- A reference to ``kantor.ot.cost.cost`` finds ``kantor.ot.cost``, where the reference documents it.
- The build fails where a loss, a command or a module is on no page.
"""

import functools
import inspect
import pkgutil
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from nbclient import NotebookClient
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import kantor
from kantor.cli import _parser
from kantor.losses import LOSSES, PENALTIES

log = logging.getLogger(__name__)

METHODS: dict[str, Any] = {**LOSSES, **PENALTIES}
READS = {
    "logits": "the logits",
    "penultimate": "the classifier's input",
    "feature": "the last feature map or token sequence",
    "stages": "every paired stage",
    "sequence_logits": "the logits of every token",
}


class Loss(SphinxDirective):
    """``{loss} kd``: facts and docstrings of one transfer loss."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Nodes of the facts, then of what the function and the class say."""
        name = self.arguments[0]
        show(self.env, "methods", name)
        loss = METHODS[name]
        module = sys.modules[loss.__module__]
        function = getattr(module, name, None)
        lines = [*facts(name, loss), ""]
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            lines += [*prose(function), ""]
        lines += [*prose(loss), ""]
        container = nodes.container(classes=["method"])
        container.document = self.state.document
        # Names in the docstrings are relative to the package that exports them.
        before = self.env.ref_context.get("py:module")
        self.env.ref_context["py:module"] = "kantor.losses"
        try:
            text = "\n".join(["```{eval-rst}", *lines, "```"])
            self.state.nested_parse(StringList(text.splitlines(), source=name), 0, container)
        finally:
            if before is None:
                self.env.ref_context.pop("py:module")
            else:
                self.env.ref_context["py:module"] = before
        return [container]


def facts(name: str, loss: Any) -> list[str]:
    """One line each: source, what it reads and needs, weight, settings with their defaults."""
    reads = READS.get(getattr(loss, "reads", ""), "weights, not features")
    needs = [
        word
        for word, needed in (
            ("the same classes on both sides", getattr(loss, "same_classes", False)),
            ("labels", getattr(loss, "needs_targets", False)),
            ("sample ids", getattr(loss, "needs_ids", False)),
            ("pretraining", name == "delta" or (name in LOSSES and loss.prepare is not base_prepare())),
            ("a student that starts from weights", name in PENALTIES),
        )
        if needed
    ]
    settings = [
        f"``{p.name}={p.default!r}``"
        for p in inspect.signature(loss).parameters.values()
        if p.default is not inspect.Parameter.empty
    ]
    rows = {
        "name": f"``{name}``; :class:`kantor.losses.{loss.__name__}`",
        "source": source(loss.paper),
        "reads": reads,
        "needs": ", ".join(needs),
        "default weight": f"{loss.default_weight:g}",
        "settings": ", ".join(settings),
    }
    lines = [".. list-table::", "   :stub-columns: 1", "   :widths: 18 82", "   :class: facts", ""]
    for label, content in rows.items():
        lines += [f"   * - {label}", f"     - {content}"] if content else []
    return lines


def base_prepare() -> Any:
    """The pretraining that does nothing."""
    return kantor.losses.TransferLoss.prepare


def source(paper: str) -> str:
    """The paper, as a link where it is on arXiv."""
    if paper.startswith("arXiv "):
        return f"`{paper} <https://arxiv.org/abs/{paper.removeprefix('arXiv ')}>`__"
    return paper


def prose(documented: Any) -> list[str]:
    """A docstring without its sections of arguments, results and errors: they are in the reference."""
    text = inspect.getdoc(documented) or ""
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line in ("Args:", "Returns:", "Raises:", "Attributes:", "Example:"):
            skipping = True
        elif skipping and line and not line.startswith(" "):
            skipping = False
        if not skipping:
            kept.append(line)
    return str(GoogleDocstring("\n".join(kept), Config())).splitlines()


class Command(SphinxDirective):
    """``{command} distill``: its help."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A literal block."""
        name = self.arguments[0]
        show(self.env, "commands", name)
        parser, _ = _parser()
        return [literal(subparsers(parser)[name].format_help())]


def literal(text: str) -> nodes.literal_block:
    """Text as a terminal shows it."""
    block = nodes.literal_block(text, text)
    block["language"] = "text"
    return block


def subparsers(parser: Any) -> dict[str, Any]:
    """Command -> parser."""
    return next(
        action.choices for action in parser._actions if getattr(action, "choices", None) and action.dest == "command"
    )


def show(env: Any, kind: str, name: str) -> None:
    """Remember that the page being read shows it."""
    if not hasattr(env, "kantor_shown"):
        env.kantor_shown = {}
    env.kantor_shown.setdefault(env.docname, set()).add((kind, name))


def forget(app: Sphinx, env: Any, docname: str) -> None:  # noqa: ARG001
    """A page is read anew."""
    getattr(env, "kantor_shown", {}).pop(docname, None)


def list_results(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the pages of results, which come from whoever ran the study, where the index wants them."""
    if docname == "index":
        found = sorted(name for name in app.env.found_docs if name.count("/") == 0)
        source[0] = source[0].replace("RESULTS", "\n".join(name for name in found if name != "index"))


def public_home(app: Sphinx, env: Any, node: Any, contnode: nodes.Node) -> nodes.Node | None:
    """Resolve a reference by the name under which an object is documented, not the file it is written in."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target:
        return None
    domain = env.get_domain("py")
    for name in homes(target, node.get("py:module"), domain.objects):
        entry = domain.objects[name]
        from sphinx.util.nodes import make_refnode

        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)
    return None


def homes(target: str, module: str | None, known: Any) -> list[str]:
    """Documented names of what ``target`` is: an object of kantor's, wherever it is written."""
    parts = (module or "").split(".")
    if not target.startswith("kantor.") and parts[0] != "kantor":
        return []
    by_identity = documented(frozenset(name for name in known if name.startswith("kantor.")))
    names = [target] if target.startswith("kantor.") else []
    names += [".".join([*parts[:k], target]) for k in range(len(parts), 0, -1) if parts[0] == "kantor"]
    found = (by_identity.get(meant) for name in names for meant in documented_objects(name))
    return [name for name in found if name][:1]


@functools.cache
def documented(names: frozenset[str]) -> dict[int, str]:
    """Identity -> the shortest name under which it is documented."""
    found = {meant: name for name in sorted(names, key=len, reverse=True) for meant in documented_objects(name)}
    found.pop(id(None), None)
    return found


def nothing_forgotten(app: Sphinx, env: Any) -> None:  # noqa: ARG001
    """Warn, and so fail the build, where something public is on no page."""
    parser, _ = _parser()
    on_pages = set().union(*getattr(env, "kantor_shown", {}).values())
    for kind, wanted in (("methods", METHODS), ("commands", subparsers(parser))):
        for name in sorted(name for name in wanted if (kind, name) not in on_pages):
            log.warning(f"{name} ({kind}) is on no page: add it where its like are.")
    documented = {name for name in env.get_domain("py").objects if name.startswith("kantor")}
    shown = set().union(*(documented_objects(name) for name in documented))
    for name, module in modules():
        for thing in public(module):
            if id(getattr(module, thing)) not in shown:
                log.warning(f"{name}.{thing} is on no page of the reference.")


def generate(app: Sphinx) -> None:
    """Write the reference's pages, those that changed alone."""
    folder = Path(app.srcdir) / "reference" / "api"
    folder.mkdir(exist_ok=True)
    found = dict(modules())
    packages = [name for name, module in found.items() if hasattr(module, "__path__") and name.count(".") == 1]
    pages: dict[str, str] = {}
    for package in [
        *packages,
        *(f"kantor.{name}" for name in ("arguments", "catalogue", "cli", "completion", "doctor")),
    ]:
        exported = getattr(found[package], "__all__", None) or ([] if package in packages else public(found[package]))
        inside = [name for name in found if name.startswith(f"{package}.")]
        left = {name: public(found[name]) for name in inside}
        left = {name: [p for p in names if p not in exports(name)] for name, names in left.items()}
        left = {name: names for name, names in left.items() if names or hasattr(found[name], "__all__")}
        if exported:
            pages[package] = page(package, autodoc(package))
            title, head = f"Inside {package}", "What its own parts use. Public, documented, and freer to change."
        else:
            title, head = package, ""
        if left:
            sections = [f"## {name}\n\n{autodoc(name, exports(name), left[name])}" for name in left]
            pages[f"{package}.inside" if exported else package] = page(title, head, *sections)
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()


def page(title: str, *parts: str) -> str:
    """A page in MyST."""
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def autodoc(module: str, without: Sequence[str] = (), inside: Sequence[str] = ()) -> str:
    """Directives that document a module, without what its packages export."""
    package, _, last = module.rpartition(".")
    if getattr(sys.modules[package], last) is not sys.modules[module]:
        # kantor.losses.lckt is the function; the module that holds it has no name of its own.
        lines = [inspect.getdoc(sys.modules[module]) or "", ""]
        for name in inside:
            kind = "class" if inspect.isclass(getattr(sys.modules[module], name)) else "function"
            lines += [f".. auto{kind}:: {module}::{name}", ""]
    else:
        lines = [f".. automodule:: {module}", "   :members:"]
        lines += [f"   :exclude-members: {', '.join(without)}"] if without else []
    return "\n".join(["```{eval-rst}", *lines, "```"])


def exports(module: str) -> list[str]:
    """What the packages around a module export."""
    parts = module.split(".")
    packages = (sys.modules[".".join(parts[:k])] for k in range(2, len(parts)))
    return [name for package in packages for name in getattr(package, "__all__", ())]


def public(module: ModuleType) -> list[str]:
    """Classes and functions that a module defines for others."""
    return [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__
        and not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
    ]


def documented_objects(name: str) -> set[int]:
    """The identities of what a documented name may stand for: a function can hide the module of its name."""
    parts = name.split(".")
    found: set[int] = set()
    for k in range(1, len(parts) + 1):
        thing: Any = sys.modules.get(".".join(parts[:k]))
        for part in parts[k:]:
            thing = getattr(thing, part, None)
        found.add(id(thing))
    return found


def modules() -> list[tuple[str, ModuleType]]:
    """kantor's importable modules, those that need an optional package left out where it is not there."""
    found: list[tuple[str, ModuleType]] = []
    for info in pkgutil.walk_packages(kantor.__path__, "kantor."):
        if info.name.endswith("__main__"):
            continue
        try:
            __import__(info.name)
        except (ImportError, RuntimeError):  # torchvision raises the latter beside a torch it was not built for
            continue
        found.append((info.name, sys.modules[info.name]))
    return found


def mathml(self: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula. Brackets grow by themselves in MathML, so TeX's sizes are left out."""
    tex = re.sub(r"\\[bB]igg?(?![a-zA-Z])", "", node.astext()).strip()
    block = isinstance(node, nodes.math_block)
    formula = tex2mathml(tex, as_block=block)
    self.body.append(f'<div class="math">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def keep_colons(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """An attribute's docstring may hold a colon; napoleon would take what stands before it for a type."""
    if what in ("attribute", "data", "property") and lines and lines[0]:
        lines.insert(0, "")


def join_pieces() -> None:
    """A command's output reaches a notebook in pieces that end anywhere: join them as they are, before MyST-NB does."""
    before = NotebookClient.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        before(self, *args, **kwargs)
        self.coalesce_streams = True

    NotebookClient.__init__ = __init__


def setup(app: Sphinx) -> dict[str, Any]:
    """Register directives and hooks."""
    app.add_directive("loss", Loss)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.add_directive("command", Command)
    join_pieces()
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("builder-inited", generate)
    app.connect("source-read", list_results)
    app.connect("env-purge-doc", forget)
    app.connect("missing-reference", public_home)
    app.connect("env-check-consistency", nothing_forgotten)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
