"""The same record from many sides at once: one charge, and no error for anybody."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client

from billing_platform.gathering import Gatherer
from cdr import intake, records
from cdr.models import ReviewItem
from tests.cdr.desk import Desk, Sender, an_hour_ago, call, make_sender, text


def at_once(sender: Sender, bodies: list[Any], *, threads: int) -> list[Any]:
    """All of them behind a barrier; answers in the order of the bodies."""
    barrier = threading.Barrier(threads)

    def post(body: Any) -> Any:
        barrier.wait(30)
        try:
            own = Sender(sender.organization, sender.account, sender.key, Client())
            return own.post(body)
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(post, bodies))


def test_f39_hundred_at_once_make_one_charge(desk: Desk) -> None:
    sender = make_sender()
    record = call(seconds=95)

    answers = at_once(sender, [record] * 100, threads=100)

    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert Counter(answer.json()["result"] for answer in answers) == {"accepted": 1, "duplicate": 99}
    assert (len(sender.records), len(sender.uses), sender.balance) == (1, 1, "99.76")


def test_f40_two_contents_at_once_make_one_charge_and_one_question(desk: Desk) -> None:
    sender = make_sender()
    start = an_hour_ago()
    short = call(seconds=60, start=start)
    long = short | {"end_time": text(start + timedelta(seconds=500))}

    answers = at_once(sender, [short, long] * 10, threads=20)

    results = Counter(answer.json()["result"] for answer in answers)
    assert results["accepted"] == 1
    assert results["duplicate"] + results["conflict_queued"] == 19
    (record,) = sender.records
    assert (len(sender.uses), record.state) == (1, "charged")
    assert ReviewItem.objects.filter(record_id=record.id, kind="conflict").count() == 1


def test_key_that_another_process_writes_meanwhile_makes_a_duplicate(desk: Desk, monkeypatch: Any) -> None:
    """Between our look and our write another process stores the same record: ours is read again and is a repeat."""
    sender = make_sender()
    record = call(seconds=95)
    look = records.find_by_keys
    others: list[Any] = []

    def look_and_be_overtaken(keys: Any) -> Any:
        found = look(keys)
        if not others:
            others.append(None)
            other_process = Gatherer("other", intake.accept_deliveries, weight_max=1000, threads=1)
            monkeypatch.setattr(intake, "_gatherer", other_process)
            others[0] = sender.post(record).json()["result"]
            assert other_process.stop(timeout=10)
        return found

    monkeypatch.setattr(intake, "find_by_keys", look_and_be_overtaken)
    told = sender.post(record).json()

    assert (others, told["result"]) == (["accepted"], "duplicate")
    assert (len(sender.records), len(sender.uses), sender.balance) == (1, 1, "99.76")
