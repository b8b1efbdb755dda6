"""Documents, docstrings and comments name what is there: files, links, sections, modules and benches.

Pages are Markdown files; code is read for its comments and docstrings only. Exempt are decisions that a later one
supersedes, and SQL: steps of tables that were released are never edited. The example of the rules of credit is
computed here as well.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from ledger.aggregates import Event
from projections.rules.timeline import RuleTimeline
from tests.support.oracle.comparison import kernel_results
from tests.support.oracle.histories import history, rule_set, rules
from tests.support.oracle.oracle import OracleResult, Piece, credit
from tests.support.pages.readme import ROOT

PACKAGES = ("ledger", "projections", "replay", "api", "bench", "tests")
FOLDERS = (*PACKAGES, "docs", "rules")
NEVER_MADE = {"rules/honors-luohu.toml"}
"""Decision 15 names it and rejects it."""
_PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w<>*/.-]*")
_DOTTED_PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})(?:\.\w+)+\.py\b")
_TOP = re.compile(r"(?<![\w/.-])[A-Z][\w-]+\.md\b")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r'([\w/-]+\.md), "([^"]+)"')
_STEP = re.compile(r"rules-of-credit\.md, steps? (\d)(?: to (\d))?")
_ABSENT = re.compile(r"\b(?:DESIGN|DOMAIN)\.md\b")


class Passage(NamedTuple):
    """A piece of text that people read, and where it begins."""

    file: Path
    line: int
    text: str

    def at(self, offset: int) -> str:
        """Return a place in the text as `file:line`."""
        return f"{self.file.relative_to(ROOT)}:{self.line + self.text.count(chr(10), 0, offset)}"


@cache
def pages() -> list[Passage]:
    """Return the Markdown pages, without decisions that are superseded."""
    files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))]
    texts = [(file, file.read_text("utf-8")) for file in sorted(files)]
    return [Passage(file, 1, text) for file, text in texts if not re.search(r"^Status: superseded", text, re.MULTILINE)]


@cache
def settings() -> list[Passage]:
    """Return the rule timelines and what configures the project."""
    files = [*(ROOT / "rules").glob("*.toml"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    return [Passage(file, 1, file.read_text("utf-8")) for file in files]


@cache
def remarks() -> list[Passage]:
    """Return the docstrings and comments of all code."""
    files = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return [remark for file in files for remark in _remarks(file)]


def _remarks(file: Path) -> Iterator[Passage]:
    text = file.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Passage(file, node.lineno, node.value.value)
    comments = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    for line, comment in comments:
        yield Passage(file, line, comment)


def named(passages: Iterable[Passage], pattern: re.Pattern[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield what a pattern finds, each with its place."""
    for passage in passages:
        for found in pattern.finditer(passage.text):
            yield passage.at(found.start()), found


def exists(path: str) -> bool:
    """Return whether a path is there: a file, a folder, or what a pattern or a decision's number stands for."""
    pattern = re.sub(r"<\w+>", "*", path)
    if re.fullmatch(r"docs/decisions/\d{4}", pattern):
        pattern += "-*.md"
    if path in NEVER_MADE:
        return True
    return any(ROOT.glob(pattern)) if "*" in pattern else (ROOT / pattern).exists()


# --- paths, links, sections -----------------------------------------------------------------------------------------


def test_every_path_that_is_named_is_there() -> None:
    everything = [*pages(), *remarks(), *settings()]
    paths = [(at, found[0].rstrip(".-")) for at, found in named(everything, _PATH)]
    paths += [(at, found[0]) for at, found in named(remarks(), _TOP)]
    assert len(paths) > 300
    dotted = [f"{at}: {found[0]}" for at, found in named(everything, _DOTTED_PATH)]
    assert not dotted, "\n".join(dotted)
    missing = [f"{at}: {path}" for at, path in paths if not exists(path)]
    assert not missing, "\n".join(missing)


def test_no_file_cites_what_is_not_in_the_repository() -> None:
    everything = [*pages(), *remarks(), *settings()]
    absent = [f"{at}: {found[0]}" for at, found in named(everything, _ABSENT)]
    assert not absent, "\n".join(absent)


def test_every_link_leads_somewhere() -> None:
    links = [(passage, found) for passage in pages() for found in _LINK.finditer(_without_code(passage.text))]
    assert len(links) > 80
    broken = [
        f"{passage.at(found.start())}: {found[1]}" for passage, found in links if not _leads(passage.file, found[1])
    ]
    assert not broken, "\n".join(broken)


def _leads(page: Path, target: str) -> bool:
    if target.startswith(("http://", "https://")):
        return True
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _without_code(text: str) -> str:
    """Return a page with its blocks of code blanked, lines kept."""
    return _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def _headings(file: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", _without_code(file.read_text("utf-8")), re.MULTILINE)


def _anchors(file: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _headings(file)}


def test_every_section_that_is_cited_is_there() -> None:
    cited = [(at, found) for at, found in named([*pages(), *remarks()], _SECTION) if found[1].startswith("docs/")]
    assert len(cited) > 5
    missing = [
        f"{at}: {found[0]}" for at, found in cited if " ".join(found[2].split()) not in _headings(ROOT / found[1])
    ]
    assert not missing, "\n".join(missing)


def test_every_step_of_the_rules_that_is_cited_is_there() -> None:
    steps = {heading[5] for heading in _headings(ROOT / "docs" / "rules-of-credit.md") if heading.startswith("Step ")}
    cited = list(named([*pages(), *remarks()], _STEP))
    assert len(cited) > 2
    missing = [f"{at}: {found[0]}" for at, found in cited if not set(filter(None, found.groups())) <= steps]
    assert not missing, "\n".join(missing)


def runs(program: str) -> bool:
    """Return whether `python -m` finds a program: a module, or a folder with a `__main__.py`."""
    path = program.replace(".", "/")
    return exists(f"{path}.py") or exists(f"{path}/__main__.py")


def test_every_bench_and_test_program_that_is_named_can_be_run() -> None:
    programs = list(named([*pages(), *remarks()], re.compile(r"python -m ((?:bench|tests|api)(?:\.\w+)+)")))
    assert len(programs) > 10
    missing = [f"{at}: {found[1]}" for at, found in programs if not runs(found[1])]
    assert not missing, "\n".join(missing)


# --- modules named with dots ----------------------------------------------------------------------------------------

_ENDINGS = (".md", ".json", ".sql", ".toml", ".py")
_DOTTED = re.compile(rf"(?<![\w./@-])({'|'.join(PACKAGES)})((?:\.\w+)+)(?![\w/*<(-])")


@cache
def _words_of_code(module: Path) -> set[str]:
    return set(re.findall(r"\w+", module.read_text("utf-8")))


@cache
def _tables() -> set[str]:
    files = [file for package in PACKAGES for suffix in ("sql", "py") for file in (ROOT / package).rglob(f"*.{suffix}")]
    table = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+\.\w+)")
    return {name for file in files for name in table.findall(file.read_text("utf-8"))}


def _is_there(package: str, rest: str) -> bool:
    """Return whether a dotted name is a module, something that a module defines, or a table."""
    parts = [package, *rest[1:].split(".")]
    if ".".join(parts[:2]) in _tables():
        return True
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        for module in (place.with_suffix(".py"), place / "__init__.py"):
            if module.exists():
                return set(parts[length:]) <= _words_of_code(module)
    return False


def test_every_module_that_is_named_is_there() -> None:
    prose = [page._replace(text=_without_code(page.text)) for page in pages()]
    names = [(at, found) for at, found in named([*prose, *remarks()], _DOTTED) if not found[2].endswith(_ENDINGS)]
    assert len(names) > 50
    missing = [f"{at}: {found[0]}" for at, found in names if not _is_there(found[1], found[2])]
    assert not missing, "\n".join(missing)


# --- the example of the rules of credit -----------------------------------------------------------------------------

_RULES = (ROOT / "docs" / "rules-of-credit.md").read_text("utf-8")
_COLUMNS = ("raw", "too_short", "clipped", "overlapped", "capped", "counted")


def _row(piece: Piece) -> str:
    figures = [getattr(piece, name) for name in _COLUMNS]
    grade = "scanned" if piece.scanned else "attested"
    cells = [piece.shift.int, piece.day, grade, *figures, piece.share - piece.counted, piece.credited]
    return f"| {' | '.join(map(str, cells))} |"


@pytest.mark.parametrize("compute", [credit, kernel_results], ids=["oracle", "kernels"])
def test_the_example_of_the_rules_of_credit_comes_out(
    compute: Callable[[Sequence[Event], RuleTimeline], OracleResult],
) -> None:
    (text,) = re.findall(r"^<!-- history -->\n```text\n(.*?)^```", _RULES, re.MULTILINE | re.DOTALL)
    (table,) = re.findall(r"^<!-- pieces -->\n.*\n.*\n((?:\|.*\n)+)", _RULES, re.MULTILINE)
    night = {"name": "night", "percent": 120, "minute_from": "22:00", "minute_until": "06:00"}
    in_force = rule_set(day_minutes_max=480, shift_minutes_min=10, shift_minutes_max=720, factors=[night])
    found = compute(history(text), rules(in_force))
    assert [_row(piece) for piece in found.pieces] == table.splitlines()
