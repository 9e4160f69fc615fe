"""The contract of commands: envelope, exit codes, runs that people can see, one at a time, stoppable."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import CommandParser
from django.db import OperationalError, connection
from django.test import Client

from billing_platform import auth, clock, slots
from billing_platform.errors import Conflict, NotFound, PlatformError, Unavailable, ValidationFailed
from billing_platform.jobs import (
    AlreadyRunning,
    Exit,
    GuardRail,
    PlatformCommand,
    Run,
    VerificationMismatch,
    close_stale_runs,
    job_run,
)
from billing_platform.models import JobRun
from billing_platform.progress import Progress
from billing_platform.runs import _Alive

pytestmark = pytest.mark.django_db


class Reprice(PlatformCommand):
    """A command as a room writes it; `ends` is how its work ends."""

    moves_money = True
    exclusive = True
    ends: BaseException | None = None

    @property
    def job(self) -> str:
        return "reprice"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", default="")

    def work(self, run: Run, options: dict[str, Any]) -> None:
        run.counts["priced"] += 2
        run.add_amount("CNY", Decimal("12.3000"))
        run.add_amount("CNY", Decimal("0.0400"))
        run.items.append({"accno": "A-1", "amount": Decimal("12.34")})
        if options["account"] == "bad":
            run.fail("no_rate", "no rate for 86", ref="c-1")
        if self.ends is not None:
            raise self.ends


def call(*arguments: str, ends: BaseException | None = None) -> tuple[int, str]:
    command, stdout = Reprice(), io.StringIO()
    command.ends = ends
    try:
        call_command(command, *arguments, stdout=stdout)
    except SystemExit as end:
        return int(str(end.code)), stdout.getvalue()
    return 0, stdout.getvalue()


def test_the_envelope_is_json_and_a_dry_run_is_the_default() -> None:
    code, printed = call("--format", "json")

    run = JobRun.objects.get()
    assert code == 0
    assert json.loads(printed) == {
        "command": "reprice", "run_id": run.pk, "dry_run": True, "counts": {"priced": 2},
        "amounts": {"CNY": "12.3400"}, "items": [{"accno": "A-1", "amount": "12.34"}], "errors": [],
    }  # fmt: skip
    assert (run.state, run.exit_code, run.counts) == ("done", 0, {"priced": 2})
    assert run.finished_at is not None


def test_apply_is_no_dry_run_and_arguments_are_kept_without_secrets() -> None:
    code, printed = call("--format", "json", "--apply", "--account", "token=abcdef")

    assert (code, json.loads(printed)["dry_run"]) == (0, False)
    assert JobRun.objects.get().arguments == ["--account=token=***", "--apply"]


def test_text_is_for_people() -> None:
    _code, printed = call()

    assert printed.splitlines() == [
        "priced: 2", "CNY: 12.3400", '{"accno": "A-1", "amount": "12.34"}', "dry run: nothing was changed; add --apply",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "code", "state"),
    [
        (ValidationFailed("which account?"), 2, "failed"),
        (NotFound(), 2, "failed"),
        (Conflict(), 3, "failed"),
        (GuardRail("raises 40 % of all rates", token="abc123"), 4, "failed"),
        (AlreadyRunning(), 5, "failed"),
        (VerificationMismatch(), 6, "failed"),
        (Unavailable(), 75, "failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_each_end_has_its_exit_code(ends: BaseException, code: int, state: str) -> None:
    got, printed = call("--format", "json", ends=ends)

    run, envelope = JobRun.objects.get(), json.loads(printed)
    assert (got, run.exit_code, run.state) == (code, code, state)
    assert [error["code"] for error in envelope["errors"]] == ([ends.code] if isinstance(ends, PlatformError) else [])


def test_a_guard_rail_says_the_token() -> None:
    _code, printed = call("--format", "json", ends=GuardRail("raises 40 % of all rates", token="abc123"))

    assert json.loads(printed)["errors"] == [
        {
            "code": "guard_rail",
            "message": "raises 40 % of all rates; repeat with --confirm abc123",
            "ref": "token=abc123",
        }
    ]


def test_failed_items_are_exit_code_3() -> None:
    code, printed = call("--format", "json", "--account", "bad")

    assert (code, JobRun.objects.get().state) == (3, "failed")
    assert json.loads(printed)["errors"] == [{"code": "no_rate", "message": "no rate for 86", "ref": "c-1"}]


def test_a_fault_is_a_fault_and_the_run_says_so() -> None:
    with pytest.raises(ZeroDivisionError):
        call(ends=ZeroDivisionError())

    assert (JobRun.objects.get().state, JobRun.objects.get().exit_code) == ("failed", 1)


def test_wrong_usage_runs_nothing() -> None:
    with pytest.raises(CommandError):
        call("--format", "xml")

    assert not JobRun.objects.exists()


def test_a_lost_database_is_try_again_later() -> None:
    code, printed = call("--format", "json", ends=OperationalError("server closed the connection"))

    assert (code, json.loads(printed)["errors"][0]["code"]) == (75, "unavailable")


def test_an_exclusive_run_refuses_a_second_one_and_leaves_no_row() -> None:
    with job_run("reprice", exclusive=True):
        code, printed = call("--format", "json")

    assert (code, json.loads(printed)["errors"][0]["code"]) == (5, "already_running")
    assert JobRun.objects.count() == 1
    assert call()[0] == 0


def test_runs_that_are_not_exclusive_go_side_by_side() -> None:
    with job_run("report"), job_run("report") as second:
        second.counts["rows"] = 3

    assert list(JobRun.objects.order_by("id").values_list("state", "counts")) == [("done", {}), ("done", {"rows": 3})]


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_from_elsewhere_while_the_work_is_uncommitted() -> None:
    with job_run("import") as run:
        connection.set_autocommit(False)
        run.progress(512, 1000)
        connection.rollback()
        connection.set_autocommit(True)
        seen = JobRun.objects.get()

    assert (seen.done, seen.total, seen.per_cent, seen.state) == (512, 1000, 51, "running")
    assert seen.log[0].endswith("51 % 512/1000")


def test_a_runs_log_is_masked_keeps_its_last_lines_and_never_asks_the_busy_connection(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    with job_run("import") as run:
        monkeypatch.setattr(clock, "RESYNC_SECONDS", -1)  # the clock would ask each time, in the middle of a COPY too
        with django_assert_num_queries(0):
            for number in range(60):
                run.fail("no_rate", f"no rate for 13800138000, token=abc{number}", ref=f"c-{number}")
            logging.getLogger("elsewhere").warning("slow %s", "\x00answer")
            elsewhere = Thread(target=logging.getLogger("elsewhere").warning, args=("another run",))
            elsewhere.start()
            elsewhere.join(30)

    lines = JobRun.objects.get().log
    assert (len(lines), lines[-1][9:]) == (50, "WARNING slow answer")
    assert lines[-2][9:] == "no_rate c-59 no rate for 138****8000, token=***"


@pytest.mark.django_db(transaction=True)
def test_steps_tell_their_own_rows_and_the_share_of_the_whole() -> None:
    with job_run("import") as run:
        progress = run.in_steps({"read": 60, "write": 40})
        told = []
        for step, done, total in (("read", 500, 1000), ("read", 1000, 1000), ("write", 3, 8)):
            progress(step, done, total)
            told.append(JobRun.objects.values_list("step", "done", "total", "per_cent").get())

    assert told == [("read", 500, 1000, 30), ("read", 1000, 1000, 60), ("write", 3, 8, 75)]
    assert JobRun.objects.get().per_cent == 100


def told(stream: io.StringIO, *, total: int) -> list[str]:
    progress = Progress(stream, job="import")
    for done in range(total + 1):
        progress.show("", done, total, done * 100 // total)
    progress.end()
    return stream.getvalue().splitlines()


def test_in_a_pipe_progress_is_one_line_per_ten_per_cent() -> None:
    lines = told(io.StringIO(), total=2000)

    assert len(lines) == 10
    assert lines[0].startswith("import: 10 % (200/2000, ")
    assert lines[-1].startswith("import: 100 % (2000/2000, ")


def test_on_a_terminal_progress_is_one_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    told(stream, total=2000)

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().rpartition("\r")[2].startswith("import " + "█" * 30 + " 100% 2000/2000")


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_process_is_gone_becomes_interrupted_and_a_busy_one_stays() -> None:
    gone = JobRun.objects.create(job="import", started_at=clock.now() - timedelta(minutes=5))
    young = JobRun.objects.create(job="import", started_at=clock.now() - timedelta(seconds=5))
    clock.set_test_instant(clock.now() - timedelta(minutes=5))
    with job_run("import") as busy:
        clock.set_test_instant(None)
        closed = close_stale_runs()

    states = dict(JobRun.objects.values_list("pk", "state"))
    assert closed == 1
    assert states == {gone.pk: "interrupted", young.pk: "running", busy.id: "done"}
    assert JobRun.objects.get(pk=gone.pk).exit_code == Exit.INTERRUPTED


SLOW_COMMAND = """
import sys, threading, django
django.setup()
from django.core.management import call_command
from billing_platform.jobs import PlatformCommand
class Slow(PlatformCommand):
    job = "slow"
    def work(self, run, options):
        run.counts["seen"] = 1
        print("working", flush=True)
        threading.Event().wait(300)
call_command(Slow(), "--format", "json")
"""


@pytest.fixture
def slow_command(fresh_database: object) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_COMMAND], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "billing_platform.settings"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_an_interrupted_run(slow_command: "subprocess.Popen[str]", stop: int) -> None:
    slow_command.send_signal(stop)
    printed, _ = slow_command.communicate(timeout=60)

    run = JobRun.objects.get()
    assert slow_command.returncode == 130
    assert (run.state, run.exit_code) == ("interrupted", 130)
    assert json.loads(printed)["counts"] == {"seen": 1}


def test_a_killed_run_is_found_within_a_minute(slow_command: "subprocess.Popen[str]") -> None:
    JobRun.objects.update(started_at=clock.now() - timedelta(seconds=11))
    while_alive = close_stale_runs()

    slow_command.kill()
    slow_command.wait()
    with connection.cursor() as cursor:  # the server notices the closed socket by itself
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [0x52554E, JobRun.objects.get().pk])
        cursor.execute("SELECT pg_advisory_unlock_all()")

    assert (while_alive, close_stale_runs(), JobRun.objects.get().state) == (0, 1, "interrupted")


def test_a_run_can_be_watched_by_api() -> None:
    with job_run("deck_import") as run:
        run.counts["rows"] = 7
    key = auth.issue_key(name="rates", organization="acme", scopes=["rate:read"])
    client = Client(headers={"apikey": key})

    answer, missing = client.get(f"/api/v1/jobs/{run.id}"), client.get("/api/v1/jobs/999999999999999999999")

    assert (answer.status_code, answer.json()["state"], answer.json()["counts"]) == (200, "done", {"rows": 7})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert Client().get(f"/api/v1/jobs/{run.id}").status_code == 401


def test_two_beats_run_each_slot_once() -> None:
    wins = [slots.claim_slot("sweep", slot=slot) for slot in (7, 7, 8, 7, 8, 9)]

    assert wins == [True, False, True, False, False, True]
    assert slots.claim_slot("other", slot=7)


def test_a_slot_whose_run_died_may_be_run_again_and_a_finished_one_not() -> None:
    at = clock.now()
    try:
        clock.set_test_instant(at)
        slots.claim_slot("seal", slot=20_000)
        clock.set_test_instant(at + timedelta(seconds=62))
        again = slots.claim_slot("seal", slot=20_000)
        slots.finish_slot("seal", slot=20_000)
        clock.set_test_instant(at + timedelta(seconds=200))
        finished = slots.claim_slot("seal", slot=20_000)
    finally:
        clock.set_test_instant(None)

    assert (again, finished) == (True, False)


def test_a_run_whose_connection_was_cut_ends_all_the_same() -> None:
    alive = _Alive()
    assert alive.lock(1, 2)
    alive._connection.connection.close()  # as a server that went away leaves it

    alive.close()

    again = _Alive()
    assert again.lock(1, 2)
    again.close()
