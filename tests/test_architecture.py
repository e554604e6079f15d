import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 400  # lines
REGISTRIES = (
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "crates" + ".io",
)  # in halves, or this file would name them


def tracked():
    """Return every file that git would put into a release; those not yet added count too, for they soon will be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def python_files():
    return [path for path in tracked() if path.suffix == ".py"]


@pytest.fixture(scope="module")
def contracts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_every_module_has_its_layer(contracts):
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    placed = set(re.findall(r"newsletter\.(\w+)", " ".join(layers)))

    tops = {path.stem for path in (ROOT / "newsletter").glob("*.py")} | {
        path.parent.name for path in (ROOT / "newsletter").glob("*/__init__.py")
    }

    assert tops - {"__init__"} - placed == set()


def test_no_file_is_too_long():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE and "migrations/versions" not in str(path)
    }

    assert long == {}


def test_no_function_is_too_long():
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files()
        if "migrations/versions" not in str(path) and "tests" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 50
    ]

    assert long == []


def test_no_file_depends_on_one_package_registry():
    naming = [str(path.relative_to(ROOT)) for path in tracked() if any(host.encode() in path.read_bytes() for host in REGISTRIES)]

    assert naming == []


def test_the_dependencies_are_pinned_by_hash_without_addresses():
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-audit.lock"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9][^ \n]*==", text, re.MULTILINE)
        assert len(pins) > 50
        assert len(re.findall(r"^ {4}--hash=sha256:", text, re.MULTILINE)) >= len(pins)
        assert "://" not in text
    assert not [path for path in tracked() if path.name in {"uv.lock", "pylock.toml"}]


def test_what_developers_have_contains_what_runs():
    run, dev = ((ROOT / name).read_text().splitlines() for name in ("requirements.lock", "requirements-dev.lock"))

    assert [line for line in run if "==" in line and line not in dev] == []


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()

    answer = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert [name for name in targets if f"  make {name} " not in answer] == []
