"""Named places for faults: exact hits, known names only, nothing outside test mode."""

import os
import subprocess
import sys
import time

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection

from billing_platform import failpoints
from billing_platform.failpoints import FailpointHit, failpoint, parse_failpoints

ROOT = django_settings.BASE_DIR


def arm(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(failpoints, "_armed", parse_failpoints(text))


def test_an_unarmed_place_does_nothing() -> None:
    assert failpoint("outbox.after_claim") is None


def test_the_named_hit_acts_and_the_others_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    arm(monkeypatch, "outbox.after_claim:raise@3")
    acted = []

    for hit in range(1, 6):
        try:
            failpoint("outbox.after_claim")
        except FailpointHit:
            acted.append(hit)
    failpoint("outbox.after_send")

    assert acted == [3]


def test_without_a_number_every_hit_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    arm(monkeypatch, "outbox.after_claim:raise,outbox.after_send:sleep=0")

    for _ in range(2):
        with pytest.raises(FailpointHit):
            failpoint("outbox.after_claim")
    failpoint("outbox.after_send")


def test_sleep_takes_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    arm(monkeypatch, "outbox.after_send:sleep=0.05")
    started = time.monotonic()

    failpoint("outbox.after_send")

    assert time.monotonic() - started >= 0.05


@pytest.mark.django_db(transaction=True)
def test_drop_cuts_the_connection_under_the_work_and_the_next_one_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    arm(monkeypatch, "outbox.after_claim:drop@1")

    failpoint("outbox.after_claim")
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize("text", ["nowhere.at_all:raise", "outbox:raise", ":raise"])
def test_unknown_places_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unknown failpoint"):
        parse_failpoints(text)


def test_unknown_actions_are_refused() -> None:
    with pytest.raises(KeyError):
        parse_failpoints("outbox.after_claim:explode")


IN_A_PROCESS = "import django; django.setup(); from billing_platform.failpoints import failpoint; failpoint('outbox.after_claim'); print('alive')"  # noqa: E501


@pytest.mark.parametrize(
    ("armed", "test_mode", "code", "printed"),
    [
        ("outbox.after_claim:kill9", "1", -9, ""),
        ("outbox.after_claim:exit", "1", 1, ""),
        ("outbox.after_claim:kill9", "0", 0, "alive\n"),
    ],
)
def test_processes_die_in_test_mode_only(armed: str, test_mode: str, code: int, printed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "billing_platform.settings", "FAILPOINTS": armed,
             "TEST_MODE": test_mode},
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (code, printed)
