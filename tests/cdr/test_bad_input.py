"""Bad input at the API's door: each row is refused as it should be, and nothing is stored or moved."""

import json
from typing import Any

import pytest

from cdr.models import Delivery, ReviewItem
from tests.cdr.desk import MARCH, NDJSON, Desk, Sender, call, make_sender
from tests.ledger_facts import ledger_fingerprint


def changed(**fields: object) -> bytes:
    return json.dumps(call(start=MARCH) | fields).encode()


def raw(name: str, literal: str) -> bytes:
    """A record with one value written literally, as no serializer would write it."""
    return changed(**{name: "@@"}).replace(b'"@@"', literal.encode("utf-8", "surrogatepass"))


RECORD = json.dumps(call(start=MARCH)).encode()
ROWS: list[tuple[str, bytes, int]] = [
    ("B01 truncated", RECORD[:-20], 400),
    ("B01 trailing comma", RECORD[:-1] + b",}", 400),
    ("B01 blank", b" ", 400),
    ("B01 not JSON", b"provider=x", 400),
    ("B01 no object", b'"text"', 422),
    ("B02 BOM", b"\xef\xbb\xbf" + RECORD, 400),
    ("B02 UTF-16", RECORD.decode().encode("utf-16"), 400),
    ("B05 brackets", b"[" * 100_000, 400),
    ("B05 brackets inside a field", raw("user_data", "[" * 100_000), 400),
    ("B05 nine levels", raw("user_data", "[" * 9 + "]" * 9), 400),
    ("B06 NaN", raw("duration", "NaN"), 400),
    ("B06 Infinity", raw("duration", "-Infinity"), 400),
    ("B07 1e999", raw("duration", "1e999"), 400),
    ("B07 1e2", raw("duration", "1e2"), 400),
    ("B09 5,000 digits", raw("duration", "9" * 5000), 400),
    ("B10 10^30", raw("duration", "1" + "0" * 30), 422),
    ("B11 -1", changed(duration=-1), 422),
    ("B11 10^18", changed(duration=10**18), 422),
    ("B11 86401", changed(duration=86_401), 422),
    ("B11 1.5", changed(duration=1.5), 422),
    ("B11 true", changed(duration=True), 422),
    ("B11 text", changed(duration="60"), 422),
    ("B14 naive", changed(start_time="2026-03-02T10:00:00"), 422),
    ("B15 +23:59", changed(start_time="2026-03-02T10:00:00+23:59"), 422),
    ("B15 +14:01", changed(start_time="2026-03-02T10:00:00+14:01"), 422),
    ("B15 24:00:00", changed(start_time="2026-03-02T24:00:00+08:00"), 422),
    ("B15 :60", changed(start_time="2026-03-02T10:00:60+08:00"), 422),
    ("B15 week date", changed(start_time="2026-W10-1T10:00:00+08:00"), 422),
    ("B15 compact", changed(start_time="20260302T100000+0800"), 422),
    ("B15 blank for T", changed(start_time="2026-03-02 10:00:00+08:00"), 422),
    ("B15 epoch", changed(start_time=1772416800), 422),
    ("B15 no such day", changed(start_time="2026-02-30T10:00:00+08:00"), 422),
    ("B16 year 0001", changed(start_time="0001-01-01T00:00:00+14:00"), 422),
    ("B16 year 9999", changed(end_time="9999-12-31T23:59:59-14:00"), 422),
    ("B16 year 1999", changed(start_time="1999-12-31T23:59:59Z"), 422),
    ("B18 Arabic digits", changed(called="٣٣٣٣٣"), 422),
    ("B18 wide digits", changed(called="１２３"), 422),
    ("B18 underscore", changed(called="1_000"), 422),
    ("B18 blanks", changed(called=" 5\n"), 422),
    ("B18 superscript", changed(called="123²"), 422),
    ("B19 newline", changed(called="13800000002\n"), 422),
    ("B19 newline in an id", changed(provider_call_id="mp-1\n"), 422),
    ("B20 raw NUL", RECORD.replace(b"mockpbx", b"mock\0pbx"), 400),
    ("B20 escaped NUL", changed(user_data="a\0b"), 400),
    ("B20 NUL in a number", changed(called="138\x0000000002"), 400),
    ("B21 lone surrogate", raw("user_data", '"\\ud800"'), 400),
    ("B21 raw surrogate", raw("user_data", '"\ud800"'), 400),
    ("B22 control character", changed(user_data="a\x1b[31m"), 422),
    ("B22 bidi", changed(user_data="abc\u202edef"), 422),
    ("B23 name twice", RECORD[:-1] + b',"caller":"13800000009"}', 400),
    ("B23 name twice, spelt otherwise", RECORD[:-1] + b',"\\u0063aller":"13800000009"}', 400),
    ("B24 unknown field", changed(price="0"), 422),
    ("B24 unknown deep field", raw("x", "[[[]]]"), 422),
    ("B25 missing id", RECORD.replace(b'"provider_call_id"', b'"call_id"'), 422),
    ("B25 empty id", changed(provider_call_id=""), 422),
    ("B25 long id", changed(provider_call_id="x" * 65), 422),
    ("B25 slash", changed(provider_call_id="a/b"), 422),
    ("B25 blank", changed(provider_call_id="a b"), 422),
    ("B25 quotes", changed(provider_call_id="a'b"), 422),
    ("B25 not ASCII", changed(provider_call_id="ａ"), 422),
    ("B28 SQL", changed(provider="1' OR 1=1--"), 422),
    ("text too long", changed(user_data="x" * 256), 422),
    ("unknown cause", changed(hangup_cause="went_home"), 422),
    ("unknown leg", changed(leg="c"), 422),
    ("one too large", changed(user_data="x" * 300_000), 413),
    ("too many records", b"[" + b",".join([RECORD] * 1001) + b"]", 413),
]  # fmt: skip


@pytest.fixture(scope="module")
def sender(desk: Desk) -> Sender:
    return make_sender()


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_bad_record_is_refused_and_nothing_moves(sender: Sender, body: bytes, status: int) -> None:
    before, deliveries = ledger_fingerprint(), Delivery.objects.count()

    answer = sender.post(body)

    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"]
    assert (ledger_fingerprint(), Delivery.objects.count(), sender.records) == (before, deliveries, [])


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "application/json; charset=gbk"])
def test_b02_other_content_type_is_refused(sender: Sender, content_type: str) -> None:
    assert sender.post(RECORD, content_type=content_type).status_code == 415


def test_b02_utf8_by_any_spelling_is_accepted(desk: Desk) -> None:
    record = json.dumps(call()).encode()

    assert make_sender().post(record, content_type='application/json; charset="UTF-8"').status_code == 200


@pytest.mark.parametrize("content_type", ["application/json", NDJSON])
def test_batch_row_is_refused_alone(desk: Desk, content_type: str) -> None:
    sender = make_sender()
    good = [json.dumps(call(seconds=30)).encode() for _ in range(2)]
    bad = [body for name, body, status in ROWS if status == 422 and body.startswith(b"{")]
    bad += [changed(user_data="a\0b"), RECORD[:-1] + b',"caller":"13800000009"}']
    records = [good[0], *bad, good[1]]
    body = b"\n".join(records) if content_type == NDJSON else b"[" + b",".join(records) + b"]"

    answer = sender.post(body, content_type=content_type)

    items = (
        answer.json()["items"] if content_type != NDJSON else [json.loads(one) for one in answer.content.splitlines()]
    )
    assert [item["result"] for item in items] == ["accepted", *["rejected"] * len(bad), "accepted"]
    assert sender.balance == "99.76"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"end_time": "2026-03-02T09:59:59+08:00"}, "end_before_start"),
        ({"answer_time": "2026-03-02T09:59:00+08:00"}, "answer_before_start"),
        ({"answer_time": "2026-03-02T10:02:00+08:00"}, "end_before_answer"),
        ({"agent_answer_time": "2026-03-02T09:59:00+08:00"}, "agent_answer_before_start"),
        ({"duration": 97}, "duration_mismatch"),
        ({"duration": 93}, "duration_mismatch"),
    ],
)
def test_b12_contradiction_is_refused_and_shown_for_review(desk: Desk, fields: dict[str, Any], why: str) -> None:
    sender = make_sender()
    times = {
        "start_time": "2026-03-02T10:00:00+08:00", "agent_answer_time": "2026-03-02T10:00:05+08:00",
        "answer_time": "2026-03-02T10:00:12+08:00", "end_time": "2026-03-02T10:01:47+08:00",
    }  # fmt: skip

    answer = sender.post(call() | times | fields)

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "contradiction", why)
    item = ReviewItem.objects.get(organization=sender.organization)
    assert (item.kind, item.detail) == ("contradiction", why)
    assert (sender.records, sender.balance) == ([], "100.00")


@pytest.mark.parametrize("duration", [94, 95, 96])
def test_b12_one_second_of_difference_is_tolerated(desk: Desk, duration: int) -> None:
    assert make_sender().post(call(seconds=95, duration=duration)).json()["cost"] == "0.24"
