"""The two pinned lists: the program needs the first alone, tests and benches both, and every file has its digest."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OWN = {"ledger", "projections", "replay", "api", "tests", "bench"}
LISTS = {"runtime": "requirements.txt", "development": "requirements-dev.txt"}


def pinned(name: str) -> dict[str, list[str]]:
    """Return the digests of each package in a list; every line has to be a pin or a digest."""
    found: dict[str, list[str]] = {}
    text = (ROOT / LISTS[name]).read_text("utf-8").replace("\\\n", " ")
    for line in (line for line in text.splitlines() if not line.startswith("#")):
        package, *hashes = line.split()
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", package), line
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), line
        found[canonicalize_name(package.split("==")[0])] = hashes
    return found


def imported(folders: tuple[str, ...]) -> set[str]:
    """Return the packages from outside that modules in some folders import, also within functions."""
    found = set()
    for path in chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found - OWN - set(sys.stdlib_module_names)


def distributions(modules: set[str]) -> set[str]:
    known = packages_distributions()
    missing = modules - set(known)
    assert not missing, f"not installed: {missing}"
    return {canonicalize_name(name) for module in modules for name in known[module][:1]}


@pytest.mark.parametrize("folder", ["ledger", "projections", "replay", "api"])
def test_what_the_program_imports_is_in_the_runtime_list_alone(folder: str) -> None:
    assert distributions(imported((folder,))) <= set(pinned("runtime"))


def test_what_tests_and_benches_import_is_in_one_of_the_lists() -> None:
    assert distributions(imported(("tests", "bench"))) <= set(pinned("runtime")) | set(pinned("development"))


def test_no_package_is_in_both_lists_and_none_is_missing_that_another_needs() -> None:
    runtime, development = pinned("runtime"), pinned("development")
    assert not set(runtime) & set(development)
    for names, allowed in ((runtime, set(runtime)), (development, set(runtime) | set(development))):
        for name in names:
            needed = [Requirement(text) for text in requires(name) or []]
            wanted = {canonicalize_name(each.name) for each in needed if not each.marker or each.marker.evaluate()}
            assert wanted <= allowed, (name, wanted - allowed)


def test_the_lists_hold_what_pyproject_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert named <= set(pinned("runtime"))
    extra = {canonicalize_name(Requirement(text).name) for text in project["optional-dependencies"]["dev"]}
    assert extra <= set(pinned("development"))


def test_make_run_installs_the_first_list_alone() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    rules = dict(re.findall(r"^([\w$()]+): (.*)$", makefile, re.MULTILINE))
    assert rules["run"] == "$(READY)"
    assert "requirements-dev" not in rules["$(READY)"]
    assert {rules["test"], rules["check"], rules["checks"]} == {"$(DEV)"}
    installs = [line for line in makefile.splitlines() if "--requirement" in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)
