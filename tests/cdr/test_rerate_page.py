"""S9 without a browser: who may ask and who may apply, the same figures as the command, nothing moved before that."""

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from openpyxl import load_workbook

from billing_platform import clock, closing, doorbell, job_commands
from billing_platform.closing import Closed
from billing_platform.kept import SUMMARY
from billing_platform.models import AuditEntry, JobRun, Membership, Role, StoredAnswer
from counter.models import ServiceRecord
from counter.rerate_report import RERATING
from ledger.accounts import Account
from tests import cast
from tests.counter.prices import draft, supplier_deck
from tests.counter.test_rerating import footprint
from tests.counter.told import NOON, breaches, call, end, look_afresh, money, stop_clock, use

PAGE, APPLY = "/cdr/rerate/", "/cdr/rerate/apply/"
MARCH = {"period": "2026-03"}


@pytest.fixture(autouse=True)
def _fresh_look(db: None) -> Iterator[None]:
    look_afresh()
    yield
    clock.set_test_instant(None)


@pytest.fixture(scope="module")
def charged(module_database: object) -> Iterator[Account]:
    """Three calls, two of which are cheaper by the deck that is assigned afterwards: 0.84 becomes 0.80.

    The same ones for all of these stories; what a story adds is rolled back.
    """
    look_afresh()
    account = cast.acme()
    cast.make_item("voice", "by_deck", opened_for=(account,))
    cast.make_deck("flat", "021,0.12,60,60", "13,0.30,60,60")
    cast.make_deck("cheap", "021,0.10,60,60", "13,0.30,60,60")
    cast.make_deck("default", ",0.60,60,60")
    supplier_deck("trunk", "8621,0.05,60,60")
    cast.price_by("flat", label="voice", organization="acme")
    stop_clock(NOON)
    end(
        use(account, "voice", "c1", 60, call=call()), use(account, "voice", "c2", 60, call=call()),
        use(account, "voice", "c3", 60, call=call("13800000001")),
    )  # fmt: skip
    cast.price_by("cheap", label="voice", organization="acme")
    yield account
    clock.set_test_instant(None)


@pytest.fixture
def acme(charged: Account, db: None) -> Account:
    stop_clock(NOON)
    return charged


def person(role: Role, name: str = "", *, organization: str = "acme", language: str = "en") -> Client:
    user, _new = User.objects.get_or_create(username=name or f"{organization}-{role}")
    Membership.objects.get_or_create(user=user, organization=organization, role=role)
    client = Client(headers={"accept-language": language})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def asked(client: Client, **question: str) -> str:
    """The address of a dry run that a worker has done."""
    response = client.post(PAGE, MARCH | question)
    assert response.status_code == 302, response.content.decode()
    address = str(response.headers["Location"])
    job_commands.run_command(run_of(address))
    return address


def run_of(address: str) -> int:
    found = re.search(r"run=(\d+)", address)
    assert found is not None
    return int(found[1])


def apply(client: Client, address: str, *, confirm: str = "2026-03", reason: str = "wrong deck") -> Any:
    return client.post(APPLY, {"run": str(run_of(address)), "confirm": confirm, "reason": reason})


def applied(client: Client, address: str) -> str:
    """The address of the run that applied it, once a worker has done it."""
    response = apply(client, address)
    assert response.status_code == 302, response.content.decode()
    job_commands.run_command(run_of(response.headers["Location"]))
    return str(response.headers["Location"])


def page_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def values(html: str, testid: str, name: str = "data-amount") -> list[str]:
    tags = re.findall(rf'<[^>]*data-testid="{testid}"[^>]*>', html)
    return [found[1] for tag in tags if (found := re.search(rf'{name}="([^"]*)"', tag))]


def told_by_command(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rerate", "--period", "2026-03", "--format", "json", *arguments, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def body_of(response: HttpResponse) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]


def test_the_page_says_what_the_command_says_and_nothing_is_changed(acme: Account) -> None:
    before = footprint()
    finance = person(Role.FINANCE)

    address = asked(finance)
    english, chinese = page_of(finance, address), page_of(person(Role.FINANCE, language="zh-hans"), address)

    told = told_by_command("--organization", "acme")
    total, account = told["items"][:2]
    for html in (english, chinese):
        assert values(html, "result", "data-kind") == ["dry_run"]
        assert values(html, "total-calls", "data-testid") == ["total-calls"]
        for hook, name in (("old", "old"), ("new", "new"), ("difference", "difference"), ("margin-new", "margin_new")):
            assert [Decimal(one) for one in values(html, f"total-{hook}")] == [Decimal(total[name])]
            assert Decimal(values(html, hook)[0]) == Decimal(account[name])
        assert values(html, "calls", "data-value") == [str(account["calls"])] == ["2"]
        assert values(html, "call-row", "data-use") == [one["use"] for one in told["items"] if one["by"] == "call"]
    assert Decimal(total["difference"]) == Decimal("-0.04")
    assert footprint() == before
    fetched = finance.get(f"{address}&format=json").json()
    assert {name: fetched[name] for name in ("counts", "amounts", "items")} == {
        name: told[name] for name in ("counts", "amounts", "items")}  # fmt: skip


def test_the_files_have_the_figures_of_the_page(acme: Account) -> None:
    finance = person(Role.FINANCE)
    address = asked(finance)
    told = told_by_command("--organization", "acme")["items"]

    lines = list(csv.reader(io.StringIO(body_of(finance.get(f"{address}&format=csv")).decode("utf-8-sig"))))
    book = load_workbook(io.BytesIO(body_of(finance.get(f"{address}&format=xlsx"))))
    cells = list(book.worksheets[0].iter_rows(values_only=True))

    assert lines[0][:2] == ["Dry run", "2026-03"]
    assert lines[0][-1] == "Asia/Shanghai"
    place = RERATING.index("difference")
    assert [line[place] for line in lines[2:]] == [one["difference"] for one in told]
    assert [Decimal(str(row[place])) for row in cells[2:]] == [Decimal(one["difference"]) for one in told]
    assert {type(row[RERATING.index("account")]) for row in cells[3:]} == {str}
    assert finance.get(f"{address}&format=pdf").status_code == 400


def test_apply_charges_anew_what_the_dry_run_showed_once(acme: Account) -> None:
    finance = person(Role.FINANCE)
    address = asked(finance)

    done = applied(finance, address)
    html = page_of(finance, done)

    assert values(html, "result", "data-kind") == ["applied"]
    assert [Decimal(one) for one in values(html, "total-difference")] == [Decimal("-0.04")]
    assert (money(acme), breaches()) == (("99.5", "0"), [])
    told = AuditEntry.objects.get(act="rerate.apply")
    assert (told.actor, told.reason, told.object_id) == ("person:acme-finance", "wrong deck", str(run_of(done)))
    assert (told.before, told.after) == ({"CNY": "0.240000"}, {"CNY": "0.200000"})
    assert AuditEntry.objects.get(act="uses.reprice").reason == "wrong deck"
    assert AuditEntry.objects.get(act="rerate.dry_run").after == {"question": "period=2026-03"}
    assert apply(finance, address).headers["Location"] == done
    assert values(page_of(finance, address), "applied-run", "href") == [done.replace("&", "&amp;")]
    before = footprint()
    again = page_of(finance, asked(finance))
    assert (values(again, "no-change", "data-testid"), values(again, "apply", "data-testid")) == (["no-change"], [])
    assert footprint() == before


def test_the_month_is_typed_and_a_reason_given(acme: Account) -> None:
    finance = person(Role.FINANCE)
    address = asked(finance)
    before = footprint()

    for typed, field in (
        ({"confirm": "2026-02"}, "confirm"),
        ({"confirm": ""}, "confirm"),
        ({"reason": " "}, "reason"),
        ({"reason": "wrong\x00deck"}, "reason"),
    ):
        response = apply(finance, address, **typed)
        hook = {"confirm": "confirm-error", "reason": "apply-reason-error"}[field]
        assert (response.status_code, values(response.content.decode(), hook, "id")) == (422, [hook])
    assert (JobRun.objects.filter(job="rerate").count(), footprint()) == (1, before)


def test_only_what_was_shown_is_done(acme: Account) -> None:
    """A price that changes after the dry run stops it; the run says so and nothing moves."""
    finance = person(Role.FINANCE)
    address = asked(finance)
    cast.make_deck("free", "021,0,60,60", "13,0,60,60")
    cast.price_by("free", label="voice", organization="acme")
    before = footprint()

    done = applied(finance, address)
    html = page_of(finance, done)

    assert values(html, "failure", "data-code") == ["4"]
    assert "make a new dry run" in html
    cast.price_by("cheap", label="voice", organization="acme")
    job_commands.run_command(run_of(done))  # a doorbell that was heard late: who asked was told that it is over
    assert (JobRun.objects.get(pk=run_of(done)).state, footprint()) == ("failed", before)


def test_roles_ask_apply_and_read(acme: Account) -> None:
    address = asked(person(Role.RATE_ADMIN))
    for role in (Role.RATE_ADMIN, Role.OPS, Role.AUDITOR):
        html = page_of(person(role), address)
        assert values(html, "finance-applies", "data-testid") == ["finance-applies"]
        assert apply(person(role), address).status_code == 403
    assert values(page_of(person(Role.AUDITOR), PAGE), "ask", "data-testid") == []
    assert person(Role.AUDITOR).post(PAGE, MARCH).status_code == 403
    for role in (Role.AGENT, Role.SUPERVISOR, Role.PLATFORM_ADMIN):
        assert person(role).get(PAGE).status_code == 403
    assert JobRun.objects.filter(job="rerate").count() == 1
    assert values(page_of(person(Role.FINANCE), address), "apply", "data-testid") == ["apply"]


def test_above_the_limit_the_other_one_applies(acme: Account, settings: Any) -> None:
    settings.ADJUSTMENT_SECOND_PERSON_ABOVE = Decimal("0.03")
    first, second = person(Role.FINANCE, "wang"), person(Role.FINANCE, "zhao")
    address = asked(first)
    before = footprint()

    assert values(page_of(first, address), "second-person", "data-testid") == ["second-person"]
    refused = apply(first, address)

    assert (refused.status_code, footprint()) == (403, before)
    applied(second, address)
    assert money(acme) == ("99.5", "0")


def test_another_organisation_meets_nothing(acme: Account) -> None:
    address = asked(person(Role.FINANCE))
    echo = cast.make_account("echo", money="100.00")
    stranger = person(Role.FINANCE, organization="echo")

    assert [stranger.get(f"{address}{more}").status_code for more in ("", "&format=csv", "&format=progress")] == [
        404
    ] * 3
    assert apply(stranger, address).status_code == 404
    refused = stranger.post(PAGE, MARCH | {"account": acme.accno})
    assert (refused.status_code, values(refused.content.decode(), "account-error", "id")) == (422, ["account-error"])
    html = page_of(stranger, asked(stranger, account=echo.accno))
    assert values(html, "no-change", "data-testid") == ["no-change"]
    assert values(html, "recent-run", "data-run") == [str(JobRun.objects.filter(job="rerate").latest("id").pk)]


def test_who_belongs_to_no_organisation_asks_about_nobody(acme: Account) -> None:
    assert person(Role.FINANCE, "nobody", organization="").post(PAGE, MARCH).status_code == 403
    assert not JobRun.objects.filter(job="rerate").exists()


def test_a_run_that_no_page_could_have_asked_for_is_no_ground_to_apply(acme: Account) -> None:
    """The page would read one charge where the command line named two."""
    one, two = ServiceRecord.objects.order_by("id").values_list("id", flat=True)[:2]
    number = told_by_command("--organization", "acme", "--use", str(one), "--use", str(two))["run_id"]
    finance = person(Role.FINANCE)

    assert finance.get(f"{PAGE}?run={number}").status_code == 404
    assert apply(finance, f"run={number}").status_code == 404


def test_the_menu_leads_here(acme: Account) -> None:
    for language, label in (("en", "Re-rate"), ("zh-hans", "重批价")):
        client = person(Role.FINANCE, language=language)
        html = page_of(client, PAGE)
        (entry,) = re.findall(r'<a [^>]*data-testid="nav-rerate"[^>]*>[^<]*', html)
        assert (entry.rpartition(">")[2], html.count('aria-current="page"')) == (label, 1)
        assert 'aria-current="page"' in entry
        record = str(client.get("/cdr/7/").content.decode())
        assert values(record, "nav-rerate", "href") == [PAGE]
        assert values(record, "nav-rerate", "aria-current") == []


WRONG: list[tuple[str, dict[str, str]]] = [  # the field that is told, the question
    ("period", {"period": "2026-13"}), ("period", {"period": ""}), ("prefix", {"prefix": "86x"}),
    ("account", {"account": "C99999999"}), ("account", {"account": "C1 " * 60}), ("account", {"account": "\x00"}),
    ("carrier", {"carrier": "<script>"}), ("deck", {"deck": "flat"}), ("what_if", {"what_if": "flat:9"}),
    ("closed", {"what_if": "flat:1", "closed": "adjust"}),
]  # fmt: skip


def test_wrong_questions_are_told_at_their_field(acme: Account) -> None:
    finance = person(Role.FINANCE)
    for field, question in WRONG:
        response = finance.post(PAGE, MARCH | question)
        hook = f"{field}-error"
        assert (response.status_code, values(response.content.decode(), hook, "id")) == (422, [hook]), question
    assert not JobRun.objects.filter(job="rerate").exists()


def test_the_question_narrows_and_stands_in_the_address(acme: Account) -> None:
    finance = person(Role.FINANCE)
    first = ServiceRecord.objects.earliest("id").pk

    address = asked(finance, prefix="8621, 852", use=str(first), reason="一个号码")

    assert address.startswith("/cdr/rerate/?period=2026-03&prefix=8621&prefix=852&use=")
    html = page_of(finance, address)
    assert values(html, "prefix", "value") == ["8621 852"]
    assert (values(html, "reason", "value"), values(html, "use", "value")) == (["一个号码"], [str(first)])
    assert [Decimal(one) for one in values(html, "total-difference")] == [Decimal("-0.02")]
    assert values(page_of(finance, f"{PAGE}?period=2026-02&prefix=13"), "prefix", "value") == ["13"]


def test_closed_periods_are_listed_and_left_alone_unless_adjusted(acme: Account, monkeypatch: Any) -> None:
    def ask(_accounts: object, *, begins: object, ends: object) -> list[Closed]:
        return [Closed(acme.id, NOON.replace(day=1), NOON.replace(day=20))]

    monkeypatch.setattr(closing, "resolve", lambda _names: [ask])
    finance = person(Role.FINANCE)

    skipped = page_of(finance, asked(finance))
    assert (values(skipped, "skipped-notice", "data-value"), values(skipped, "apply", "data-testid")) == (["2"], [])
    assert len(values(skipped, "call-row", "data-use")) == 2
    applied(finance, asked(finance, closed="adjust"))

    assert money(acme) == ("99.5", "0")


def test_a_what_if_is_told_and_never_applied(acme: Account) -> None:
    cast.price_by("flat", label="voice", organization="acme")
    version = draft("flat", k8621="0.20")
    rate_admin, finance = person(Role.RATE_ADMIN), person(Role.FINANCE)
    before = footprint()

    address = asked(rate_admin, what_if=f"flat:{version}")
    html = page_of(rate_admin, address)

    told = told_by_command("--organization", "acme", "--what-if", f"flat:{version}")
    assert (
        [Decimal(one) for one in values(html, "total-change")] == [Decimal(told["amounts"]["CNY"])] == [Decimal("0.16")]
    )
    shown = [Decimal(one) for one in values(html, "revenue-then")]
    assert shown == [Decimal(one["revenue_then"]) for one in told["items"] if one["by"] != "total"]
    assert (apply(finance, address).status_code, values(page_of(finance, address), "apply", "data-testid")) == (409, [])
    rows = finance.get(f"{address}&format=json").json()["items"]
    assert [row["by"] for row in rows] == ["total", "account", "destination", "destination", "carrier", "carrier"]
    assert footprint() == before


def test_a_dry_run_that_is_no_longer_kept_is_no_ground_to_apply(acme: Account) -> None:
    finance = person(Role.FINANCE)
    address = asked(finance)
    StoredAnswer.objects.filter(key=SUMMARY).delete()  # the sweeper has just begun with it
    assert [finance.get(f"{address}&format={kind}").status_code for kind in ("csv", "json")] == [404, 404]
    StoredAnswer.objects.all().delete()

    assert values(page_of(finance, address), "gone", "data-testid") == ["gone"]
    assert (apply(finance, address).status_code, finance.get(f"{address}&format=csv").status_code) == (409, 404)


def test_it_waits_is_watched_and_rung_for_again(acme: Account, monkeypatch: Any) -> None:
    finance = person(Role.FINANCE)
    address = str(finance.post(PAGE, MARCH).headers["Location"])

    html = page_of(finance, address)
    assert (values(html, "job", "data-state"), values(html, "job-cancel", "id")) == (["waiting"], ["job-cancel"])
    assert values(page_of(person(Role.AUDITOR), address), "job-cancel", "id") == []
    assert finance.get(f"{address}&format=progress").json()["state"] == "waiting"
    assert apply(finance, address).status_code == 409

    rung: list[tuple[object, ...]] = []
    monkeypatch.setattr(doorbell, "ring", lambda *told: rung.append(told))
    assert job_commands.ring_for_waiting() == 0
    JobRun.objects.update(started_at=NOON.replace(day=1))
    assert job_commands.ring_for_waiting() == 1
    assert rung == [(job_commands.TASK, run_of(address))]


def test_a_run_that_was_cut_off_goes_on_as_the_same_run(acme: Account, monkeypatch: Any) -> None:
    finance = person(Role.FINANCE)
    done = str(apply(finance, asked(finance)).headers["Location"])
    monkeypatch.setattr("counter.rerating.BATCH", 1)
    made: list[object] = []

    def stopped_after_the_first(*told: object, **_more: object) -> None:
        made.append(told)
        if len(made) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("counter.rerating._verify", stopped_after_the_first)
        with pytest.raises(KeyboardInterrupt):
            job_commands.run_command(run_of(done))
    assert (money(acme), values(page_of(finance, done), "job", "data-state")) == (("99.48", "0"), ["interrupted"])
    ops, resume = person(Role.OPS), f"/ops/jobs/{run_of(done)}/resume/"
    assert (ops.post(resume).status_code, values(page_of(ops, done), "job-resume", "id")) == (403, [])
    assert JobRun.objects.get(pk=run_of(done)).state == "interrupted"
    assert finance.post(resume).status_code == 302
    job_commands.run_command(run_of(done))

    html = page_of(finance, done)
    assert (values(html, "total-calls", "data-testid"), money(acme)) == (["total-calls"], ("99.5", "0"))
    assert [Decimal(one) for one in values(html, "total-difference")] == [Decimal("-0.04")]
    assert breaches() == []
