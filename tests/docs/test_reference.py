"""The tables of the reference name what the code has: nothing missing, nothing made up."""

import argparse
import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from prometheus_client import Counter, Gauge, Histogram

from billing_platform import metrics
from billing_platform.errors import PlatformError
from billing_platform.metrics import AskedGauge
from billing_platform.runs import Exit
from callcontrol.models.calls import RANKS, State
from callcontrol.simulation.scenarios import SCENARIOS
from callcontrol.wishes import CallWish
from cdr import receipts
from cdr.adapters import native
from cdr.models import CallRecord
from ledger.audit import SEALED
from ledger.invariants import INVARIANTS
from ledger.models import BillingAccount, LedgerAccount
from rating import candidates
from rating.explain import explain
from rating.messages import PRICING_MESSAGES
from rating.numbers import carriers
from tests.docs.pages import DOCS, ROOT, Page, codes_in
from tests.rating.deck_files import make_deck

ROOMS = ("billing_platform", "callcontrol", "cdr", "counter", "finance", "ledger", "rating")
READERS = {"text", "flag", "number", "words", "choice", "rate", "rates", "secret"}
READ_ELSEWHERE = {"SIMULATOR_SPEED", "PROMETHEUS_MULTIPROC_DIR"}
NOT_ERRORS = {"provider_timeout"}  # an accepted request, told beside the call
METRIC_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


def page(name: str) -> Page:
    return Page(DOCS / f"{name}.md")


def first_codes(rows: list[list[str]]) -> list[str]:
    return [code for row in rows for code in codes_in(row[0])]


def source() -> str:
    return "".join(path.read_text() for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))


def test_every_setting_is_there():
    tree = ast.parse((ROOT / "billing_platform" / "settings.py").read_text())
    read = {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in READERS
        and call.args and isinstance(call.args[0], ast.Constant)
    }  # fmt: skip
    elsewhere = {name for name in READ_ELSEWHERE if f'"{name}"' in source()}

    told = [code for table in page("settings").tables for code in first_codes(table[1:])]

    assert sorted(told) == sorted(read | elsewhere)


def refusals(kind: type[PlatformError] = PlatformError) -> Iterator[type[PlatformError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.partition(".")[0] in ROOMS:
            yield from refusals(below)


def test_every_error_code_is_there():
    for room in ROOMS:
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
            if module.name.rpartition(".")[2] not in {"wsgi", "celery", "management"}:
                importlib.import_module(module.name)
    rejections = set(re.findall(r'Rejection\(\s*"(\w+)"', source()))

    *tables, explained = page("errors").tables
    told = [code for table in tables for code in first_codes(table[1:])]

    assert sorted(told) == sorted({kind.code for kind in refusals()} | rejections | NOT_ERRORS)
    assert sorted(first_codes(explained[1:])) == sorted(PRICING_MESSAGES)


def test_every_status_of_an_error_is_right():
    known: dict[str, set[int]] = {}
    for kind in refusals():
        known.setdefault(kind.code, set()).add(kind.http_status)
    told = {row[0].strip("`"): row[1] for table in page("errors").tables[:-1] for row in table[1:]}

    wrong = {
        code: (told[code], statuses)
        for code, statuses in known.items()
        if not statuses <= {int(number) for number in re.findall(r"\b[45]\d\d\b", told[code])}
    }

    assert wrong == {}


def all_metrics() -> dict[str, tuple[str, list[str], str]]:
    found = {}
    for variable, metric in vars(metrics).items():
        if isinstance(metric, AskedGauge):
            found[metric.name] = ("gauge", list(metric.labels), variable)
        elif type(metric) in METRIC_KINDS:
            name = metric._name + ("_total" if isinstance(metric, Counter) else "")
            found[name] = (METRIC_KINDS[type(metric)], list(metric._labelnames), variable)
    return found


def test_every_metric_is_there():
    tables = [table for table in page("metrics").tables if table[0][0] == "metric"]
    told = {codes_in(row[0])[0]: (row[1], codes_in(row[2])) for table in tables for row in table[1:]}

    assert told == {name: (kind, labels) for name, (kind, labels, _variable) in all_metrics().items()}


def test_metrics_that_are_told_as_written_are_written():
    code, known = source(), all_metrics()

    silent = [
        name for name in first_codes(page("metrics").table_after("Written"))
        if not re.search(rf"\bmetrics\.{known[name][2]}\b", code)
    ]  # fmt: skip

    assert silent == []


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for chosen in action.choices.values():
                yield from options_of(chosen)
        yield from (option for option in action.option_strings if option.startswith("--"))


def test_every_command_and_option_is_there():
    common = set(options_of(BaseCommand().create_parser("manage.py", "any"))) | {"--format"}
    ours = {
        name: set(options_of(load_command_class(room, name).create_parser("manage.py", name))) - common
        for name, room in get_commands().items()
        if room in ROOMS
    }

    told = {codes_in(row[0])[0]: set(codes_in(row[2])) - {"--version"} for row in page("commands").table_after("List")}

    assert told == ours


def test_every_exit_code_is_there():
    assert [int(code) for code in first_codes(page("commands").table_after("Exit codes"))] == sorted(Exit)


def test_every_state_of_a_call_is_there():
    rows = page("callbacks").table_after("States")

    assert {row[0].strip("`"): int(row[1]) for row in rows} == {str(state): RANKS[state] for state in State}


def test_every_scenario_is_there():
    rows = page("callbacks").table_after("The simulator")

    assert first_codes(rows) == list(SCENARIOS)


def test_every_field_of_a_callback_is_there():
    assert sorted(first_codes(page("callbacks").table_after("The request"))) == sorted(CallWish.__dataclass_fields__)


def test_every_refusal_of_a_callback_is_an_error():
    errors = {code for table in page("errors").tables for code in first_codes(table[1:])}

    assert [code for code in first_codes(page("callbacks").table_after("Refusals")) if code not in errors] == []


def test_every_field_of_a_record_is_there():
    rows = page("records").table_after("The fields")
    fields = native.Body.__struct_fields__
    required = [row[0].strip("`") for row in rows if row[1] == "yes"]

    assert sorted(first_codes(rows)) == sorted(fields)
    assert sorted(required) == sorted(["provider", "provider_call_id", "caller", "called", "start_time", "end_time"])


def test_every_answer_about_a_record_is_there():
    results, states = page("records").tables[1:3]

    assert sorted(first_codes(results[1:])) == sorted(
        [receipts.ACCEPTED, receipts.DUPLICATE, receipts.UPDATED, receipts.CONFLICT, receipts.REJECTED]
    )
    assert sorted(first_codes(states[1:])) == sorted(CallRecord.State.values)


def test_events_that_are_told_are_sent():
    code = source()

    topics = first_codes(page("records").table_after("Events to your own server"))

    assert [topic for topic in topics if f'"{topic}"' not in code] == []


def test_every_way_to_a_carrier_is_there():
    ways = [carriers.GIVEN, carriers.PORTED, carriers.LOOKUP, carriers.SEGMENT, carriers.NOT_FOUND]

    assert first_codes(page("rates").table_after("Which carrier")) == ways


def test_every_field_of_an_explanation_and_every_reason_to_lose_is_there(db):
    make_deck("told", "021,0.30,60,60")
    answer = explain({"deck": "told", "destination": "02160001234"})
    reasons = {word for name, word in vars(candidates).items() if name.isupper() and isinstance(word, str)}

    fields, losing = (first_codes(table[1:]) for table in page("rates").tables[1:3])

    assert sorted(fields) == sorted(answer)
    assert sorted(losing) == sorted(reasons)


def test_every_kind_of_money_is_there():
    assert first_codes(page("money").table_after("Accounts")) == BillingAccount.State.values
    assert {*first_codes(page("money").table_after("Transfers")), "wallet"} == set(LedgerAccount.Kind.values)


def test_every_invariant_is_there():
    rows = page("money").table_after("The oracle: verify_ledger")
    told = {int(code) for code in first_codes(rows)}

    assert SEALED in told
    assert told == set(INVARIANTS) | {6, 7, 8}


@pytest.mark.parametrize("name", ["callbacks", "errors", "records", "rates", "metrics", "settings"])
def test_the_chinese_page_names_the_same(name):
    english, chinese = page(name), page(name).chinese

    assert [first_codes(table) for table in chinese.tables] == [first_codes(table) for table in english.tables]
