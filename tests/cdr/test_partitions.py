"""Partitions: months of China, made ahead, with a default that takes in what has no month."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from billing_platform import clock
from cdr.partitions import Month, default_is_empty, detach_partitions, list_partitions, make_partitions
from cdr.records import CallRow, insert_records

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.mark.parametrize(
    ("instant", "name"),
    [
        (datetime(2026, 2, 28, 15, 59, 59, tzinfo=UTC), "call_records_202602"),
        (datetime(2026, 2, 28, 16, 0, tzinfo=UTC), "call_records_202603"),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), "call_records_202701"),
    ],
)
def test_month_begins_at_chinas_midnight(instant: datetime, name: str) -> None:
    assert Month.of(instant).name("call_records") == name


def store(number: int, start: datetime) -> str:
    """The partition in which a record with this start lies."""
    insert_records([CallRow(id=number, start_time=start, provider_id=1, provider_call_id=str(number), leg="call",
                            delivery_id=1, received_at=start)])  # fmt: skip
    return partition_of(number)


def partition_of(number: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM call_records WHERE id = %s", [number])
        return str(cursor.fetchone()[0])


def test_three_months_ahead_are_made_and_nothing_twice() -> None:
    clock.set_test_instant(datetime(2031, 5, 31, 16, 30, tzinfo=UTC))  # June in China

    made = make_partitions()

    assert [name for name in made if name.startswith("call_records")] == [
        f"call_records_2031{month:02d}" for month in (3, 4, 5, 6, 7, 8, 9)
    ]
    assert make_partitions() == []


def test_row_without_a_month_moves_when_its_month_is_made() -> None:
    clock.set_test_instant(datetime(2031, 6, 1, tzinfo=UTC))
    before = store(1, datetime(2031, 6, 15, tzinfo=UTC)), default_is_empty("call_records")

    make_partitions()

    assert before == ("call_records_default", False)
    assert (partition_of(1), default_is_empty("call_records")) == ("call_records_203106", True)


def test_record_lies_in_the_month_of_its_start() -> None:
    clock.set_test_instant(datetime(2031, 6, 1, tzinfo=UTC))
    make_partitions()

    assert store(1, datetime(2031, 6, 30, 15, 59, 59, tzinfo=UTC)) == "call_records_203106"
    assert store(2, datetime(2031, 6, 30, 16, 0, tzinfo=UTC)) == "call_records_203107"


def test_month_older_than_two_years_is_detached_and_kept() -> None:
    clock.set_test_instant(datetime(2031, 6, 1, tzinfo=UTC))
    make_partitions()
    store(1, datetime(2031, 6, 15, tzinfo=UTC))
    clock.set_test_instant(datetime(2033, 7, 15, tzinfo=UTC))

    detached = detach_partitions()

    assert "call_records_203106" in detached
    assert "call_records_203106" not in list_partitions("call_records")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM call_records_203106")
        assert cursor.fetchone() == (1,)


def test_question_with_a_time_reads_one_partition() -> None:
    make_partitions()
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN SELECT * FROM call_records WHERE called = 'x' AND start_time = %s", [now])
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert Month.of(now).name("call_records") in plan
    assert plan.count("call_records_2") == plan.count(Month.of(now).name("call_records"))
