"""Runs that people watch: whose they are, how far they are, dead ones seen at once, stopped and resumed."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing_platform import clock, job_commands
from billing_platform.auth import Caller, caller_of_user
from billing_platform.jobs import close_stale_runs
from billing_platform.models import (
    AuditEntry,
    JobRun,
    Membership,
    Notice,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing_platform.runs import RunCancelled, RunOver, alive_among, job_run, open_run, taken_up
from billing_platform.watching import NotResumable, cancel_run, resume_run

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=5)


def person(name: str, role: str) -> User:
    user = User.objects.create_user(name)
    Membership.objects.create(user=user, organization="demo", role=role)
    return user


def browser(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def rita() -> Caller:
    return caller_of_user(person("rita", "rate_admin"))


@pytest.fixture
def otto() -> Client:
    return browser(person("otto", "ops"))


@pytest.fixture
def stopped_clock() -> Iterator[None]:
    clock.set_test_instant(clock.now())
    yield
    clock.set_test_instant(None)


def test_operations_see_how_each_webhook_of_their_organisation_does(rita: Caller, otto: Client) -> None:
    def listen(host: str, organization: str = "demo", **more: object) -> WebhookEndpoint:
        return WebhookEndpoint.objects.create(
            organization=organization, url=f"https://{host}/?token=secret", topics=["*"], secret=b"x", **more
        )

    listen("well.example")
    off, failing = listen("off.example", enabled=False), listen("failing.example", failing_since=clock.now())
    listen("other.example", organization="echo")
    for subject, endpoint, state in (
        ("1", failing, "pending"), ("2", failing, "pending"), ("3", failing, "dead"), ("4", failing, "delivered"),
        ("5", off, "dropped"),
    ):  # fmt: skip
        event = OutboxEvent.objects.create(topic="call.ended", organization="demo", subject=subject, payload={})
        WebhookDelivery.objects.create(event=event, endpoint=endpoint, state=state, next_attempt_at=clock.now())

    page = otto.get("/ops/jobs/")
    theirs = browser(User.objects.get(username="rita")).get("/ops/jobs/").content.decode()

    assert [(one.host, one.state, one.waiting, one.dead) for one in page.context["webhooks"]] == [
        ("failing.example", "failing", 2, 1), ("well.example", "well", 0, 0), ("off.example", "off", 0, 0),
    ]  # fmt: skip
    shown = page.content.decode()
    assert re.findall(r'data-testid="webhook" data-state="(\w+)"', shown) == ["failing", "well", "off"]
    assert "secret" not in shown
    assert "webhooks" not in theirs


def test_operations_see_all_runs_and_others_their_own(rita: Caller, otto: Client) -> None:
    mine, theirs = open_run("deck_import", started_by=rita.actor), open_run("verify_ledger")
    clients = {"otto": otto, "rita": browser(User.objects.get(username="rita"))}
    clients |= {role: browser(person(role, role)) for role in ("finance", "auditor", "agent")}

    def statuses(client: Client) -> list[int]:
        return [client.get(f"/ops/jobs/{run}/").status_code for run in (mine, theirs)]

    seen = {name: statuses(client) for name, client in clients.items()}
    listed = {name: client.get("/ops/jobs/").content.decode().count("job-row") for name, client in clients.items()}
    asked = {name: client.get(f"/api/v1/jobs/{mine}").status_code for name, client in clients.items()}

    assert seen == {
        "otto": [200, 200], "rita": [200, 404], "finance": [404, 404], "auditor": [200, 200], "agent": [403, 403],
    }  # fmt: skip
    assert listed == {"otto": 2, "rita": 1, "finance": 0, "auditor": 2, "agent": 0}
    assert asked == {"otto": 200, "rita": 200, "finance": 404, "auditor": 200, "agent": 403}


def test_only_who_may_act_stops_a_run_and_a_refusal_changes_nothing(rita: Caller) -> None:
    run = open_run("verify_ledger")
    clients = [browser(person(role, role)) for role in ("auditor", "platform_admin", "finance")]

    answers = [client.post(f"/ops/jobs/{run}/{act}/").status_code for client in clients for act in ("cancel", "resume")]

    assert answers == [403, 403, 403, 403, 404, 404]
    assert (JobRun.objects.get().state, AuditEntry.objects.count()) == ("waiting", 0)


@pytest.mark.usefixtures("stopped_clock")
def test_a_page_says_how_far_a_run_is_and_what_does_the_same(otto: Client) -> None:
    run = JobRun.objects.create(
        job="deck_import", arguments=["--deck=cn retail", "<b>.csv"], step="read", done=51_000, total=170_000,
        rate=17_000, per_cent=25, counts={"created": 7}, log=["10:00:00 <i>hello"],
        started_at=clock.now() - timedelta(seconds=5),
    )  # fmt: skip

    page = otto.get(f"/ops/jobs/{run.pk}/").content.decode()
    told = otto.get(f"/api/v1/jobs/{run.pk}")
    again = otto.get(f"/api/v1/jobs/{run.pk}", headers={"If-None-Match": told.headers["ETag"]})

    assert {name: told.json()[name] for name in ("state", "step", "done", "total", "per_cent", "seconds_left")} == {
        "state": "running", "step": "read", "done": 51_000, "total": 170_000, "per_cent": 25, "seconds_left": 15,
    }  # fmt: skip
    assert again.status_code == 304
    for text in (
        "51,000 of 170,000", "17,000 rows/s", "≈ 15 s", "reading", 'data-name="created" data-value="7"', "&lt;i&gt;hel",
        "manage.py deck_import &#x27;--deck=cn retail&#x27; &#x27;&lt;b&gt;.csv&#x27;",
    ):  # fmt: skip
        assert text in page


def test_the_list_is_filtered_page_by_page(otto: Client) -> None:
    for number in range(5):
        JobRun.objects.create(job="seal_ledger" if number % 2 else "rerate", state="failed" if number == 4 else "done")
    JobRun.objects.create(job="rerate", started_by="person:otto", state="done")

    def listed(query: str) -> tuple[int, bool]:
        page = otto.get(f"/ops/jobs/?{query}").content.decode()
        return page.count("job-row"), "next-page" in page

    asked = ("limit=4", "job=rerate", "state=failed", "mine=1", "state=done&job=seal_ledger")
    assert [listed(query) for query in asked] == [(4, True), (4, False), (1, False), (1, False), (2, False)]
    first = otto.get("/ops/jobs/?job=rerate&limit=3")
    cursor = first.context["page"].next_cursor
    second = otto.get("/ops/jobs/", {"job": "rerate", "limit": 3, "cursor": cursor})
    assert [run.row.pk for run in (*first.context["page"].items, *second.context["page"].items)] == list(
        JobRun.objects.filter(job="rerate").order_by("-pk").values_list("pk", flat=True)
    )
    assert "jobs-empty" in otto.get("/ops/jobs/?state=waiting").content.decode()
    assert otto.get("/ops/jobs/?state=lost").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_a_dead_run_is_seen_at_once_and_who_started_it_is_told_within_the_minute(rita: Caller, otto: Client) -> None:
    run = open_run("deck_import", started_by=rita.actor)
    with taken_up(run):
        assert alive_among([run, run + 1]) == {run}
    JobRun.objects.update(state="running", exit_code=None, finished_at=None, started_at=clock.now() - LONG_AGO)
    Notice.objects.all().delete()

    page = otto.get(f"/ops/jobs/{run}/").content.decode()
    assert ('data-state="interrupted"' in page, JobRun.objects.get().state) == (True, "running")
    assert (close_stale_runs(), close_stale_runs(), JobRun.objects.get().state) == (1, 0, "interrupted")
    assert list(Notice.objects.values_list("user__username", "kind", "path")) == [
        ("rita", "job.interrupted", f"/ops/jobs/{run}/")
    ]


@pytest.mark.parametrize("failing", [False, True])
def test_who_started_a_run_is_told_how_it_ended(rita: Caller, *, failing: bool) -> None:
    with taken_up(open_run("deck_import", arguments=["spring.csv"], started_by=rita.actor)) as run:
        run.counts["rows"] = 3
        if failing:
            run.fail("no_rate", "no rate for 86", ref="c-1")
    with job_run("verify_ledger"):
        pass

    notice = Notice.objects.get()
    assert (notice.kind, notice.facts["arguments"]) == ("job.failed" if failing else "job.done", "spring.csv")
    assert any("no_rate c-1" in line for line in JobRun.objects.get(pk=run.id).log) == failing


def numbered(run_id: int, *, rows: int, stop_at: int | None = None, by: Caller | None = None) -> int:
    """A worker takes the run up and tells each row; at one of them somebody cancels. How many it told."""
    told = 0
    with taken_up(run_id) as run:
        for told in range(rows):
            if told == stop_at:
                assert by is not None
                cancel_run(run_id, caller=by, address="10.0.0.9")
            run.progress(told, rows)
        run.counts["rows"] = rows
    return told


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_stops_at_its_next_safe_point_and_a_resumed_one_ends_as_if_undisturbed(rita: Caller) -> None:
    run_id = job_commands.start_command("seal_ledger", [], caller=rita)

    with pytest.raises(RunCancelled):
        numbered(run_id, rows=10, stop_at=4, by=rita)
    row = JobRun.objects.get()
    assert (row.state, row.exit_code, row.done, row.per_cent) == ("interrupted", 130, 4, 40)
    assert Notice.objects.get().kind == "job.interrupted"

    resume_run(run_id, caller=rita)
    assert JobRun.objects.values_list("state", "exit_code", "finished_at").get() == ("waiting", None, None)
    numbered(run_id, rows=10)
    row = JobRun.objects.get()
    assert (row.state, row.exit_code, row.per_cent, row.counts) == ("done", 0, 100, {"rows": 10})
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "act", "object_id", "address")) == [
        ("person:rita", "job.cancel", str(run_id), "10.0.0.9"), ("person:rita", "job.resume", str(run_id), ""),
    ]  # fmt: skip


def test_a_run_that_nobody_took_up_is_cancelled_at_once_and_no_late_doorbell_starts_it(rita: Caller) -> None:
    run_id = open_run("seal_ledger", started_by=rita.actor)

    cancel_run(run_id, caller=rita)

    row = JobRun.objects.get()
    assert (row.state, row.exit_code, Notice.objects.get().kind) == ("interrupted", 130, "job.interrupted")
    with pytest.raises(RunOver), taken_up(run_id):
        pytest.fail("it was started")
    resume_run(run_id, caller=rita)
    with taken_up(run_id):
        pass
    assert JobRun.objects.get().state == "done"
    for refused in (cancel_run, resume_run):
        with pytest.raises(RunOver):
            refused(run_id, caller=rita)


def test_a_command_of_the_command_line_is_repeated_there(rita: Caller) -> None:
    row = JobRun.objects.create(job="wallet", state="interrupted", started_by=rita.actor)

    with pytest.raises(NotResumable):
        resume_run(row.pk, caller=rita)

    assert JobRun.objects.get().state == "interrupted"


def test_a_run_that_failed_is_not_repeated_by_a_doorbell_heard_again(rita: Caller) -> None:
    run_id = job_commands.start_command("seal_ledger", [], caller=rita)
    JobRun.objects.filter(pk=run_id).update(arguments=["--no-such-option"])  # fails at once

    for _doorbell in range(3):
        job_commands.run_command(run_id)

    assert (JobRun.objects.get().state, Notice.objects.count()) == ("failed", 1)


def test_who_was_taken_for_dead_does_not_end_the_run_of_who_took_it_up(rita: Caller) -> None:
    run_id = open_run("deck_import", started_by=rita.actor)

    with taken_up(run_id):
        JobRun.objects.update(started_at=clock.now() + timedelta(seconds=20))  # another worker began anew
    row = JobRun.objects.get()

    assert (row.state, row.finished_at, Notice.objects.count()) == ("running", None, 0)


def test_a_long_name_sees_and_stops_its_own_run() -> None:
    lisa = caller_of_user(person("lisa" * 30, "rate_admin"))
    run_id = open_run("deck_import", started_by=lisa.actor)

    cancel_run(run_id, caller=lisa)

    assert JobRun.objects.get().state == "interrupted"
