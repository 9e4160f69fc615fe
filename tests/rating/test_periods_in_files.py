"""Rows with a period of their own take over from the rows that stand there: no two prices for one call."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rating.comparisons import compare as compare_any
from rating.decks import load_version
from rating.differences import difference_counts, difference_page
from rating.importing.imports import compare_versions, preview_import
from rating.models import DeckVersion
from rating.versions import rates_of
from tests.rating.deck_files import ADMIN, make_deck, publish
from tests.rating.test_imports import order

pytestmark = pytest.mark.django_db

DATED = "prefix,rate,effective_from,effective_to"
DECEMBER, JANUARY = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def rows(deck, number):
    found = rates_of(load_version(deck, number)).order_by("prefix", "effective_from")
    return [(rate.prefix, str(rate.rate.normalize()), rate.effective_from, rate.effective_to) for rate in found]


def counts(receipt, *names):
    return tuple(receipt.counts[name] for name in names)


def test_a_dated_rise_ends_the_old_price_where_it_begins():
    make_deck("cn", "010,0.1,,", "021,0.1,,", columns=DATED)

    receipt = publish("cn", "010,0.12,2026-12-01T00:00:00+00:00,", columns=DATED)

    assert counts(receipt, "read", "created", "raised", "changed", "removed") == (1, 0, 1, 1, 0)
    assert sorted(rows("cn", 2), key=lambda row: (row[0], row[1])) == [
        ("010", "0.1", None, DECEMBER), ("010", "0.12", DECEMBER, None), ("021", "0.1", None, None),
    ]  # fmt: skip
    tabs = difference_counts(load_version("cn", 2))
    assert (tabs["dearer"], tabs["other"], tabs["new"], tabs["removed"]) == (1, 1, 0, 0)  # and the one that is cut
    dearer = difference_page(load_version("cn", 2), "dearer").items[0]
    assert (dearer.old_rate, dearer.new_rate, dearer.change) == (Decimal("0.1"), Decimal("0.12"), 20)


def test_a_price_for_december_leaves_what_follows_as_it_was():
    make_deck("cn", "010,0.1,,", columns=DATED)

    publish("cn", "010,0.08,2026-12-01T00:00:00+00:00,2027-01-01T00:00:00+00:00", columns=DATED)

    assert sorted(rows("cn", 2), key=lambda row: str(row[2])) == [
        ("010", "0.08", DECEMBER, JANUARY), ("010", "0.1", JANUARY, None), ("010", "0.1", None, DECEMBER),
    ]  # fmt: skip


def test_in_a_whole_price_list_nothing_follows_what_it_does_not_name():
    make_deck("cn", "010,0.1,,", "021,0.1,,", columns=DATED)

    receipt = publish(
        "cn", "010,0.08,2026-12-01T00:00:00+00:00,2027-01-01T00:00:00+00:00", columns=DATED, mode="replace"
    )

    assert counts(receipt, "lowered", "removed") == (1, 1)
    assert sorted(rows("cn", 2), key=lambda row: str(row[2])) == [
        ("010", "0.08", DECEMBER, JANUARY), ("010", "0.1", None, DECEMBER),
    ]  # fmt: skip


def test_a_price_without_a_date_replaces_every_period():
    make_deck("cn", "010,0.1,,2026-12-01T00:00:00+00:00", "010,0.12,2026-12-01T00:00:00+00:00,", columns=DATED)

    receipt = publish("cn", "010,0.15,,", columns=DATED)

    assert counts(receipt, "raised", "created", "removed") == (1, 0, 1)
    assert rows("cn", 2) == [("010", "0.15", None, None)]


def test_what_was_cut_is_read_back_without_a_change():
    make_deck("cn", "010,0.1,,", columns=DATED)
    line = "010,0.12,2026-12-01T00:00:00+00:00,"
    publish("cn", line, columns=DATED)

    again = preview_import(order(line, columns=DATED), caller=ADMIN)
    whole = preview_import(
        order("010,0.1,,2026-12-01T00:00:00+00:00", line, columns=DATED, mode="replace"), caller=ADMIN
    )

    assert counts(again, "same", "changed", "created", "removed") == (1, 0, 0, 0)
    assert counts(whole, "same", "changed", "created", "removed") == (2, 0, 0, 0)
    told = compare_versions(load_version("cn", 1), load_version("cn", 2))
    assert (told["raised"], told["other"], told["created"], told["removed"]) == (1, 1, 0, 0)
    assert DeckVersion.objects.filter(deck__code="cn").count() == 2
    shown = compare_any(load_version("cn", 1), load_version("cn", 2))
    assert (shown.counts["raised"], shown.counts["other"]) == (1, 1)
