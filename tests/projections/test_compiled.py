"""The cache of compiled kernels is named by every source that compiled code depends on, wherever that source is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.compiled import kernel_sources

ROOT = Path(__file__).parents[2]

LOOP = """
from ledger.aggregates.shift import OPEN_SECONDS
from projections.compiled import kernel
from projections.schema import DAY, NO_DAY


@kernel
def add_up(values):
    return values[0] + DAY
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with a kernel in a sub-folder, the constants it needs, and modules that are nothing to it."""
    for name, text in {
        "projections/__init__.py": "",
        "projections/compiled.py": "def kernel(function):\n    return function\n",
        "projections/schema.py": "from projections.units import DAY\n\nNO_DAY = -1\n",
        "projections/units.py": "from ledger.names import EARLIEST\n\nDAY = 86_400\n",
        "ledger/__init__.py": "",
        "ledger/names.py": "EARLIEST = 0\n",
        "ledger/aggregates/__init__.py": "",
        "ledger/aggregates/shift.py": "OPEN_SECONDS = 86_400\n",
        "ledger/store/log.py": "from projections.compiled import kernel\n",
        "projections/kernels/__init__.py": "",
        "projections/kernels/sums.py": LOOP,
        "projections/unrelated.py": '"""It says @kernel in a sentence."""\n',
        "replay/__init__.py": "",
        "replay/archive/lines.py": "from projections import compiled\n\n\n@compiled.inlined\ndef line(): return 1\n",
        "api/operations/service.py": "from projections.kernels.sums import add_up\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def _names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in kernel_sources(root)}


def test_kernels_are_found_in_sub_folders_with_what_they_import(tree: Path) -> None:
    assert _names(tree) == {
        "projections/__init__.py",
        "projections/compiled.py",
        "projections/schema.py",
        "projections/units.py",
        "projections/kernels/sums.py",
        "replay/archive/lines.py",
        "ledger/names.py",
    }


def test_a_kernel_that_moves_stays_in_the_hash(tree: Path) -> None:
    new = tree / "replay" / "deeper" / "still" / "sums.py"
    new.parent.mkdir(parents=True)
    (tree / "projections" / "kernels" / "sums.py").rename(new)
    assert "replay/deeper/still/sums.py" in _names(tree)
    assert "projections/schema.py" in _names(tree)


@pytest.mark.parametrize("decorator", ["@kernel", "@inlined", "@compiled.kernel", "    @inlined"])
def test_every_way_to_write_the_decorator_counts(tree: Path, decorator: str) -> None:
    (tree / "replay" / "more.py").write_text(f"{decorator}\ndef f(): ...\n", "utf-8")
    assert "replay/more.py" in _names(tree)


def test_an_import_over_several_lines_is_followed(tree: Path) -> None:
    text = LOOP.replace("import DAY, NO_DAY", "import (\n    DAY,  # seconds\n    NO_DAY,\n)")
    (tree / "projections" / "kernels" / "sums.py").write_text(text, "utf-8")
    assert "projections/units.py" in _names(tree)


def test_of_the_ledger_only_its_shared_words_are_in_the_hash(tree: Path) -> None:
    assert {name for name in _names(tree) if name.startswith("ledger/")} == {"ledger/names.py"}
    sources = kernel_sources(ROOT)
    of_ledger = [path for path in sources if path.is_relative_to(ROOT / "ledger")]
    assert ROOT / "ledger" / "names.py" in of_ledger
    assert {path.parent for path in of_ledger} == {ROOT / "ledger"}


# --- this program ---------------------------------------------------------------------------------------------------


def _kernels() -> Iterator[tuple[Path, ast.Module, ast.FunctionDef]]:
    """Yield every decorated function of this program, found by a parser: its file, what that says, and itself."""
    for package in ("ledger", "projections", "replay", "api", "bench"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            for node in ast.walk(tree):
                for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                    name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
                    if name in {"kernel", "inlined"}:
                        assert isinstance(node, ast.FunctionDef)
                        yield path, tree, node


def test_every_decorated_function_of_this_program_is_in_the_hash() -> None:
    decorated = {path for path, _, _ in _kernels()}
    assert len(decorated) > 10
    assert decorated <= set(kernel_sources(ROOT))


def test_no_kernel_uses_what_the_hash_leaves_out() -> None:
    """Of the ledger only its shared words are in the hash: nothing of events or the store may be compiled into code."""
    for path, tree, kernel in _kernels():
        left_out = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ledger.")
            for name in node.names
            if not (ROOT / "ledger" / f"{(node.module or '').removeprefix('ledger.')}.py").is_file()
        }
        body = ast.Module(kernel.body, [])
        used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
        assert not used & left_out, f"{path.name}: {kernel.name}"
