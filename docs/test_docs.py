"""Every Python block of the pages runs, every kantor command they show is one; cells run when the pages are built."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parent
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "api"} & set(page.relative_to(DOCS).parts))
FENCE = re.compile(r"^(```+|:::+)(\{code-cell\})? ?(\w*)[^\n]*\n(.*?)^\1\s*$", flags=re.DOTALL | re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [code for _, cell, language, code in found if not cell and language in languages]


def cells(page: Path) -> list[str]:
    return [code for _, cell, _, code in FENCE.findall(page.read_text(encoding="utf-8")) if cell]


def commands(page: Path) -> list[list[str]]:
    shells = blocks(page, "sh", "console") + [cell for cell in cells(page) if "%%sh" in cell]
    lines = [line.strip() for shell in shells for line in shell.replace("\\\n", "").splitlines()]
    calls = [re.search(r"(?:^|\s)(?:-m )?kantor (.*)", line) for line in lines if not line.startswith("#")]
    return [shlex.split(call.group(1).partition(" | ")[0], comments=True) for call in calls if call]


def written(page: Path) -> dict[str, str]:
    """Files that cells write."""
    found = (re.search(r"^%%writefile (\S+)\n(.*)", cell, flags=re.DOTALL | re.MULTILINE) for cell in cells(page))
    return {file.group(1): file.group(2) for file in found if file}


def modules(page: Path) -> dict[str, str]:
    """Python blocks that begin with a file's name."""
    found = ((re.match(r"# (\w+\.py)\n", code), code) for code in blocks(page, "python"))
    return {file.group(1): code for file, code in found if file}


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python(page, tmp_path, monkeypatch):
    """Blocks of one page follow each other; one that begins with a file's name is also saved under it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    scope: dict[str, object] = {"__name__": "page"}
    try:
        for number, code in enumerate(blocks(page, "python")):
            for file, text in modules(page).items():
                if text == code:
                    (tmp_path / file).write_text(code, encoding="utf-8")
            exec(compile(code, f"{name(page)}, Python block {number}", "exec"), scope)
    finally:
        for module in set(sys.modules) - before:
            if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[module]


def placed(word: str, page: Path, folder: Path) -> str:
    """Where a file is that a page's command names: written by the page, or one of the repository's examples."""
    if word in written(page):
        return str(folder / word)
    return str(DOCS.parent / word) if word.startswith("examples/") else word


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=name)
def test_commands_parse(page, tmp_path, monkeypatch):
    from kantor.cli import _parser
    from kantor.core import trust
    from kantor.study.settings.methods import codes_of, parse_methods

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for file, text in {**written(page), **modules(page)}.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(file).stem, raising=False)
    for command in commands(page):
        words = [placed(word, page, tmp_path).replace("$epochs", "1") for word in command]
        if words == ["--version"]:
            continue
        options = _parser()[0].parse_args(words)
        if words[0] in ("distill", "finetune") and "--config" not in words:
            trust.wrote(codes_of(options[words[0]]["methods"]))
            parse_methods(options[words[0]]["methods"])


def test_extending_kantor_is_as_its_page_shows(tmp_path, monkeypatch):
    """The page's module passes its test, and its commands do what they say."""
    from kantor.cli import main

    page = DOCS / "how-to" / "extend.md"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    for file, text in modules(page).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(file).stem, raising=False)
    tests = vars(import_module("test_my_parts"))
    for test in [value for key, value in tests.items() if key.startswith("test_")]:
        test()
    for command in commands(page):
        assert main([*command, "--jobs=1"] if command[0] == "distill" else command) == 0, command


def test_yaml_is_a_study():
    import yaml

    from kantor.faculty.roster import _KEYS
    from kantor.study import Study
    from kantor.study.settings.methods import codes_of, parse_methods, written_methods

    studies = [block for page in PAGES for block in blocks(page, "yaml")]
    studies += [text for page in PAGES for file, text in written(page).items() if file.endswith(".yaml")]
    assert studies
    for content in map(yaml.safe_load, studies):
        if isinstance(content, list):  # of teachers
            assert all(set(teacher) <= set(_KEYS) for teacher in content)
            continue
        study = Study(**content)
        study.check()
        written_methods(study.methods)
        if not codes_of(study.methods):  # what is a page's own is made by that page's test
            parse_methods(study.methods)


def test_commands_are_found():
    """The search above finds what there is to find."""
    assert sum(len(commands(page)) for page in PAGES) > 20
    assert sum(len(blocks(page, "python")) for page in PAGES) > 10


@pytest.mark.parametrize("processes", [1, 2])
def test_loop_on_several_processes(processes, tmp_path):
    script = DOCS / "how-to" / "loop_on_several_gpus.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launch, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{processes} processes" in done.stdout


def test_a_study_of_the_evidence_that_there_is_not():
    command = [sys.executable, str(DOCS / "evidence.py"), "run", "inductive", "inductiv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no study inductiv. There are: inductive, inductive-again, inductive-views, " in done.stderr


def test_intervals_of_the_evidence_are_clear_of_zero_where_holm_rejects(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    levels = import_module("evidence")._holm({"a": 0.009, "b": 0.0001, "c": 0.02, "d": 0.021})
    assert levels == pytest.approx({"b": 1 - 0.05 / 4, "a": 1 - 0.05 / 3, "c": 1 - 0.05 / 2, "d": 0.95})
    # The third is not rejected, so the last is not, though alone it would be.
    levels = import_module("evidence")._holm({"a": 0.009, "b": 0.0001, "c": 0.03, "d": 0.031})
    assert levels == pytest.approx({"b": 1 - 0.05 / 4, "a": 1 - 0.05 / 3, "c": 1 - 0.05 / 2, "d": 1 - 0.05 / 2})


def test_links_lead_somewhere():
    """Sphinx checks links between pages; this checks those from the README."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((docs/[^)#]+)", readme):
        assert (DOCS.parent / target).exists(), target
