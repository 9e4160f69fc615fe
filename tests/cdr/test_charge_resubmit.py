"""The command charge_resubmit: a dry run lists and quotes, --apply sends, exit codes tell."""

import json
from io import StringIO
from typing import Any

from django.core.management import call_command

from cdr.models import CallRecord
from counter.subscriptions import open_service
from tests.cast import LONG_AGO, make_item, price_by
from tests.cdr.desk import Desk, call, make_sender
from tests.cdr.test_counter_away import counter_away


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON envelope."""
    out = StringIO()
    try:
        call_command("charge_resubmit", *arguments, "--format", "json", stdout=out)
    except SystemExit as end:
        return int(str(end.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_dry_run_lists_and_quotes_and_moves_nothing(desk: Desk) -> None:
    sender = make_sender()
    with counter_away():
        told = sender.post(call(seconds=95)).json()

    code, envelope = run("--organization", sender.organization)

    assert (code, envelope["dry_run"], envelope["counts"]["pending"]) == (0, True, 1)
    (item,) = envelope["items"]
    assert (item["cdr_id"], item["seconds"], float(item["quoted"])) == (told["cdr_id"], 95, 0.24)
    assert (sender.records[0].state, sender.balance) == ("pending", "100.00")


def test_apply_charges_and_counts(desk: Desk) -> None:
    sender, other = make_sender(), make_sender()
    with counter_away():
        sender.post([call(seconds=95), call(seconds=30)])
        other.post(call(seconds=30))

    code, envelope = run("--organization", sender.organization, "--apply")

    assert (code, envelope["counts"]["charged"], float(envelope["amounts"]["CNY"])) == (0, 2, 0.36)
    assert (sender.balance, other.balance) == ("99.64", "100.00")
    assert run("--organization", sender.organization, "--apply")[1]["counts"] == {}
    run("--organization", other.organization, "--apply")


def test_refused_record_is_sent_again_only_when_asked_for(desk: Desk) -> None:
    sender = make_sender()
    told = sender.post(call(call_type="direct", seconds=95)).json()
    assert told["state"] == "review"

    assert run("--record", told["cdr_id"], "--apply")[1]["counts"] == {}
    make_item("direct", "by_deck")
    open_service(sender.account.accno, "direct", at=LONG_AGO)
    price_by("main", label="direct", organization=sender.organization)
    code, envelope = run("--record", told["cdr_id"], "--include-review", "--apply")

    assert (code, envelope["counts"]["charged"]) == (0, 1)
    assert CallRecord.objects.get(id=told["cdr_id"]).state == "charged"
    assert sender.balance == "99.76"


def test_what_fails_again_is_told_with_exit_code_3(desk: Desk) -> None:
    sender = make_sender()
    told = sender.post(call(call_type="notify", seconds=95)).json()

    code, envelope = run("--record", told["cdr_id"], "--include-review", "--apply")

    assert (code, envelope["errors"][0]["code"], envelope["errors"][0]["ref"]) == (3, "service_unknown", told["cdr_id"])


def test_counter_away_is_exit_code_75(desk: Desk) -> None:
    with counter_away():
        code, envelope = run("--apply")

    assert (code, envelope["errors"][0]["code"]) == (75, "unavailable")
