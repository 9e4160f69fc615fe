"""The shape of the house: sizes, names and furniture that keep every file readable."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["billing_platform", "callcontrol", "cdr", "counter", "finance", "ledger", "rating"]
TOP_LEVEL = {
    "billing_platform", "callcontrol", "cdr", "counter", "finance", "ivr", "ledger", "orders", "protos", "rating",
    "tests", "docs", "benchmarks", "deploy",
}  # fmt: skip
VAGUE_FILES = {
    "utils", "util", "helpers", "helper", "common", "misc", "services", "service", "signals", "managers", "views"
}  # fmt: skip
BANNED_WORDS = {
    "process", "handle", "manage", "perform", "execute", "data", "info", "manager", "helper", "util"
}  # fmt: skip
NAMES_OF_OTHERS = {"handle", "handle_error", "process_exception", "process_view", "get_extra_info"}  # of libraries
FUNCTION_LINES, FILE_LINES, PARAMETERS, METHODS = 60, 400, 6, 15
DOORS = {"api", "pages", "tasks", "urls", "admin", "grpc_server"}
TASK_LINES = 15
MONEY_MODULES = ["ledger", "rating", "counter"]
FLOATS_ALLOWED = {"counter/grpc_server.py": 1}  # the contract's float32 fields, display only


def files() -> list[Path]:
    return sorted(
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts and "_pb2" not in path.name
    )


@functools.cache
def trees() -> list[tuple[str, ast.Module]]:
    """Of all files; read once for all tests here."""
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in files()]


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten() -> Iterator[None]:
    yield
    trees.cache_clear()


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield name, node


def words(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_"))


def is_door(name: str) -> bool:
    path = Path(name)
    return path.stem in DOORS or bool({"commands", "admin"} & set(path.parts))


def test_the_top_level_is_the_one_agreed():
    packages = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}

    assert packages - TOP_LEVEL - {"var", "staticfiles"} == set()


def test_no_vague_file_names():
    assert [str(path) for path in files() if path.stem in VAGUE_FILES] == []


def test_files_are_at_most_400_lines():
    assert [(str(path), lines) for path in files() if (lines := len(path.read_text().splitlines())) > FILE_LINES] == []


def test_functions_are_at_most_60_lines():
    long = [(name, f.name) for name, f in functions() if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES]

    assert long == []


def test_functions_have_at_most_six_parameters_unless_they_are_a_row():
    """More only where the parameters are the columns of a row or of a contract; each says so beside its noqa."""
    many = [
        (name, f.name)
        for name, f in functions()
        if len({a.arg for a in [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]} - {"self", "cls"}) > PARAMETERS
        and not ("PLR0913" in _line(name, f.lineno) or _is_wire_or_framework(name))
    ]

    assert many == []


def _line(name: str, number: int) -> str:
    return (ROOT / name).read_text().splitlines()[number - 1]


def _is_wire_or_framework(name: str) -> bool:
    return name.startswith("protos/")


def test_classes_have_at_most_15_methods():
    wide = [
        (name, node.name)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and sum(isinstance(child, ast.FunctionDef) for child in node.body) > METHODS
    ]

    assert wide == []


def test_no_imports_inside_functions():
    inner = [
        (name, f.name)
        for name, f in functions()
        for node in ast.walk(f)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert inner == []


def test_no_type_checking_fences():
    assert [name for name, _ in trees() if "TYPE_CHECKING" in (ROOT / name).read_text()] == []


def test_names_come_from_the_field():
    vague = [
        (name, node.name)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and words(node.name) & BANNED_WORDS
        and node.name not in NAMES_OF_OTHERS
    ]

    assert vague == []


def test_doors_hold_no_transactions():
    with_atomic = [
        name
        for name, tree in trees()
        if is_door(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "atomic"
    ]

    assert with_atomic == []


def test_tasks_are_thin():
    long = [
        (name, f.name)
        for name, f in functions()
        if Path(name).stem == "tasks" and (f.end_lineno or 0) - f.lineno + 1 > TASK_LINES
    ]

    assert long == []


def test_catch_alls_give_a_reason_or_raise_again():
    bare = [
        (name, node.lineno)
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
        and not re.search(r"#\s*(noqa: BLE001\s+)?[^n\s]", _line(name, node.lineno))
        and not any(isinstance(child, ast.Raise) for child in ast.walk(node))
    ]

    assert bare == []


def test_no_floats_near_money():
    found: dict[str, int] = {}
    for name, tree in trees():
        if Path(name).parts[0] in MONEY_MODULES:
            calls = [
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "float"
                and not (node.args and isinstance(node.args[0], ast.Constant))
            ]
            if calls:
                found[name] = len(calls)

    assert found == FLOATS_ALLOWED


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_card_of_at_most_ten_lines(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text())

    card = ast.get_docstring(tree) or ""

    assert 1 <= len(card.splitlines()) <= 10
    assert len(tree.body) == 1


def test_public_functions_say_what_they_promise():
    silent = [
        (name, node.name)
        for name, tree in trees()
        if not is_door(name) and "simulation" not in name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not (isinstance(node, ast.ClassDef) and len(node.body) <= 3)
    ]

    assert silent == []
