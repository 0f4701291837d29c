"""What the documents show works: their Python runs, their commands exist, the examples run, the pages build."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_python_of_the_readme_runs():
    found = blocks(ROOT / "README.md", "python")
    assert found
    for code in found:
        exec(compile(code, "README.md", "exec"), {})


def test_the_model_of_ones_own_runs():
    code = next(code for code in blocks(ROOT / "docs" / "guide" / "python.md", "python") if "class Denoiser" in code)
    space = {"rows": np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)}
    exec(compile(code, "python.md", "exec"), space)
    assert space["detector"].predict(space["rows"]).shape == (200,)


def test_any_system_is_trained_and_used_from_python(tmp_path, monkeypatch):
    code = next(code for code in blocks(ROOT / "docs" / "guide" / "python.md", "python") if "urbild.load" in code)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(compile(code, "python.md", "exec"), space)
    assert space["threes"].shape == (4, 1, 8, 8)
    assert space["pictures"].shape == (4, 8, 8, 1)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_options_that_are_shown_exist(path):
    from urbild.cli.main import COMMANDS

    for code in blocks(path, "sh"):
        for line in code.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == ["urbild"]:
                assert words[1] in COMMANDS, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http") and target != "systems.md":
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(path):
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_the_page_of_results_is_what_the_files_say():
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import tables
    finally:
        sys.path.remove(str(ROOT))
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == tables.page()


def test_the_documentation_builds(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    page = (tmp_path / "site" / "systems" / "index.html").read_text(encoding="utf-8")
    assert "ganomaly" in page
