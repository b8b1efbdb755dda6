"""Installing: the wheel alone runs a ledger, the container copies what there is, and the guide names each file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SOURCES = ("ledger", "projections", "replay", "api", "rules")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program as `pip install .` puts it there, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "program")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=120)
    shutil.rmtree(source)
    return folder / "program"


def test_every_file_is_installed(installed: Path) -> None:
    for name in SOURCES:
        files = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*") if path.is_file()}
        missing = {str(path) for path in files if path.suffix != ".pyc" and not (installed / path).is_file()}
        assert not missing
    assert not (installed / "tests").exists()
    where = "from api.operations.service import DEFAULT_RULES; print(DEFAULT_RULES)"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", where], cwd=installed, env=environment, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == installed / "rules" / "luohu.toml"
    assert list(installed.glob("*.dist-info/licenses/LICENSE"))


def test_the_installed_program_makes_a_ledger_and_uses_it(installed: Path, database_url: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "PYTHONPATH": str(installed),
        "HOURS_KERNELS": str(tmp_path / "kernels"),
    }

    def hours(*words: str) -> Any:
        program = "import api, sys; from api.cli.main import main; print(api.__file__, file=sys.stderr); main()"
        command = [sys.executable, "-c", program, "--data", "data", *words, "--json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(str(installed))
        return json.loads(done.stdout)

    rules = installed / "rules" / "luohu.toml"
    assert hours("init", "--no-rules")["rules"] is None  # nothing is compiled
    assert hours("rules", "check", str(rules))["errors"] == 0
    assert [key["role"] for key in hours("keys", "list")] == ["admin"]


def instructions() -> list[list[str]]:
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_containerfile_copies_what_there_is_and_all_that_is_needed() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    copied: set[str] = set()
    for name, rest in instructions():
        assert name in known | {"ENTRYPOINT", "CMD"}, name
        words = shlex.split(rest)
        if name == "COPY" and not words[0].startswith("--from"):
            copied |= set(words[:-1])
        if name == "RUN":  # the shell can parse it
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        if name in {"VOLUME", "ENTRYPOINT", "CMD"}:
            assert all(isinstance(word, str) for word in json.loads(rest))
    assert all((ROOT / path).exists() for path in copied)
    assert copied == {*SOURCES, "requirements.txt", "pyproject.toml", "README.md", "LICENSE"}


def test_the_container_runs_a_command_that_exists_as_another_user_than_root() -> None:
    found = {name: rest for name, rest in instructions() if name != "COPY"}
    assert found["USER"] == "hours"
    words = [*json.loads(found["ENTRYPOINT"])[1:], *json.loads(found["CMD"]), "--help"]
    program = [sys.executable, "-c", "from api.cli.main import main; main()", *words]
    assert subprocess.run(program, cwd=ROOT, check=False, capture_output=True, timeout=60).returncode == 0


def test_the_guide_names_every_file_and_installs_none_that_is_missing() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    for path in DEPLOY.iterdir():
        assert f"deploy/{path.name}" in text, path.name
    for name in re.findall(r"deploy/([A-Za-z.]+)", text):
        assert name == "md" or (DEPLOY / name).is_file() or not name.strip("."), name


def test_the_environment_is_one_that_systemd_and_the_guide_can_read() -> None:
    lines = [line for line in (DEPLOY / "environment").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[A-Z_]+=[^\s\"']+", line) for line in lines)
    assert "EnvironmentFile=-/etc/hours/environment" in (DEPLOY / "hours.service").read_text("utf-8").splitlines()
