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

from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes.program import HOURS, run

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
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], check=True, timeout=PATIENCE_SECONDS
    )
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
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
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
    assert subprocess.run(program, cwd=ROOT, check=False, capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0


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


# --- the guide ------------------------------------------------------------------------------------------------------

ESSENTIAL = {"adduser", "chmod", "install", "ln", "mkdir", "mv", "cd", "sed", "systemctl", "apt-get"}
"""Programs that every Debian 12 has, or that its shell or systemd is."""
PACKAGES = {
    "curl": "curl",
    "git": "git",
    "nginx": "nginx",
    "python3": "python3-venv",
    "createdb": "postgresql",
    "createuser": "postgresql",
    "sudo": "sudo",
}
"""The package of each other program that the guide calls."""


def root_commands() -> list[list[str]]:
    """Return the commands of the guide for an empty Debian, those behind && too, in words."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8").partition("## In a container")[0]
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and "```" not in line]
    return [shlex.split(part) for line in lines[1:] if "() {" not in line for part in line.split("&&")]


def test_the_guide_installs_every_program_that_it_calls() -> None:
    commands = root_commands()
    (installs,) = [words for words in commands if words[:2] == ["apt-get", "install"]]
    assert len(commands) > 30
    for words in commands:
        programs = [words[0], words[3]] if words[:2] == ["sudo", "-u"] else [words[0]]
        for program in programs:
            own = program == "hours" or program.startswith("/opt/hours/")
            assert own or program in ESSENTIAL or PACKAGES[program] in installs, program
    assert "sudo" in installs  # which the function `hours` calls


def test_the_service_starts_after_a_postgresql_of_the_system() -> None:
    lines = (DEPLOY / "hours.service").read_text("utf-8").splitlines()
    (after,) = [line for line in lines if line.startswith("After=")]
    assert "postgresql.service" in after.removeprefix("After=").split()


def test_the_page_of_limits_shows_what_the_proxies_files_say() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("### Behind a reverse proxy")[2]
    rows = [line.split("|")[2:4] for line in text.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 7
    for column, name in enumerate(("nginx.conf", "Caddyfile")):
        lines = {line.strip().rstrip(";") for line in _without_comments(DEPLOY / name)}
        for row in rows:
            for setting in re.findall(r"`([a-z_]+ [^`]+)`", row[column]):
                assert setting in lines, (name, setting)


def _without_comments(file: Path) -> list[str]:
    return [re.sub(r"\s+#.*", "", line) for line in file.read_text("utf-8").splitlines()]


def test_a_health_check_is_in_a_format_of_images_that_has_one() -> None:
    assert any(name == "HEALTHCHECK" for name, _ in instructions())
    for path in (ROOT / "docs" / "deploy.md", DEPLOY / "Containerfile"):
        builds = re.findall(r"podman build .*", path.read_text("utf-8"))
        assert builds
        assert all("--format docker" in build for build in builds)


def test_a_backup_is_restored_where_the_data_of_a_newer_version_were_moved_away(tmp_path: Path) -> None:
    """As the guide says for PostgreSQL in the data directory, whose parent belongs to another user."""
    parent, data = tmp_path / "lib", tmp_path / "lib" / "hours"
    data.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}

    def hours(*words: str, code: int = 0) -> str:
        done = run(*HOURS, "--data", data, *words, environment=environment, timeout=PATIENCE_SECONDS)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    hours("init", "--admin", "li.wei", "--origin", "hours.example.org/log")
    hours("backup", str(data / "before"), "--key", str(data / "backup-key"))
    text = (ROOT / "rules" / "luohu.toml").read_text("utf-8")
    (tmp_path / "other.toml").write_text(text.replace("day_minutes_max = 480", "day_minutes_max = 420"), "utf-8")
    hours("publish", str(tmp_path / "other.toml"))
    hours("checkpoint")
    (data / "with-newer").mkdir()
    for name in ("postgres", "archive"):
        if (data / name).exists():
            (data / name).rename(data / "with-newer" / name)
    mode = parent.stat().st_mode
    parent.chmod(0o555)
    try:
        words = "restore", str(data / "before"), "--key", str(data / "backup-key")
        assert "2 events were signed" in hours(*words, code=2)
        for name in ("proof", "tiles"):
            (data / name).rename(data / "with-newer" / name)
        hours(*words, "--new-log", "hours.example.org/log-2")
    finally:
        parent.chmod(mode)
    assert "li.wei" in hours("keys", "list", "--json")
    assert "hours.example.org/log-2\n1\n" in hours("checkpoint")
    hours("status")
