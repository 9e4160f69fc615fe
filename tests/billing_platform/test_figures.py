"""Amounts and durations as people read them, and cells that no spreadsheet takes for a formula."""

from decimal import Decimal

import pytest
from django.utils import translation

from billing_platform.sheets import Figure, csv_row
from billing_platform.templatetags.figures import amount, duration, minutes_clock, money, per_minute, plain


@pytest.mark.parametrize(
    ("value", "shown", "for_programs"),
    [
        ("0", "¥0.00", "0.00"), ("0.6", "¥0.60", "0.60"), ("0.125000", "¥0.125", "0.125"),
        ("1234567.5", "¥1,234,567.50", "1234567.50"), ("-3.2", "¥3.20", "-3.20"), ("1E+2", "¥100.00", "100.00"),
    ],
)  # fmt: skip
def test_amounts_for_people_and_for_programs(value: str, shown: str, for_programs: str):
    assert (amount(Decimal(value)), plain(Decimal(value))) == (shown, for_programs)


def test_a_movement_carries_its_sign_and_hostile_text_is_escaped():
    assert "−¥3.20" in money(Decimal("-3.20"), signed="yes")
    assert 'data-amount="-3.20" data-currency="CNY"' in money(Decimal("-3.20"))
    assert "<b>" not in money(Decimal(1), "<b>")


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "0 s", "0 秒"), (59, "59 s", "59 秒"), (185, "3 min 5 s", "3 分 5 秒"), (7200, "2 h", "2 小时"),
        (44_160, "12 h 16 min", "12 小时 16 分"), (3605, "1 h", "1 小时"), (90_000, "1 d 1 h", "1 天 1 小时"),
    ],
)  # fmt: skip
def test_durations_have_at_most_two_units(seconds: int, english: str, chinese: str):
    with translation.override("en"):
        assert duration(seconds) == english
    with translation.override("zh-hans"):
        assert duration(seconds) == chinese


def test_clock_faces_and_prices_a_minute():
    assert [minutes_clock(seconds) for seconds in (7, 760, 3723)] == ["0:07", "12:40", "1:02:03"]
    assert per_minute(Decimal("0.012"), 6) == Decimal("0.12")
    assert per_minute(Decimal("0.01"), 7) == Decimal("0.085714")


def test_text_that_begins_like_a_formula_is_escaped_and_numbers_are_not():
    assert csv_row(["=1+1", "@x", "a,b", "021", Figure("-2.50")]) == "'=1+1,'@x,\"a,b\",021,-2.50\r\n"
