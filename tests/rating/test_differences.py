from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from billing_platform.errors import Malformed
from rating import decks
from rating.decks import Publication, open_draft, publish_version, withdraw_version
from rating.differences import difference_counts, difference_page, drawn_from
from rating.importing.imports import compare_versions
from rating.models import DeckVersion
from rating.versions import rates_of
from tests.rating.deck_files import ADMIN, make_deck, publish

pytestmark = pytest.mark.django_db
BEFORE = ("010,1,60,60", "021,1,60,60", "0311,1,60,60", "0312,1,60,60", "0313,0,60,60", "0571,1,60,60", "0755,1,60,60")
AFTER = (
    "010,1.5,60,60", "021,1.1,60,60", "0311,0.5,60,60", "0312,1,60,6", "0313,0.2,60,60", "0571,1,60,60", "13,0.3,60,60",
)  # fmt: skip
COUNTS = {"new": 1, "dearer": 3, "cheaper": 1, "other": 1, "same": 1, "removed": 1, "below_cost": 0}


def edited(deck, *changes):
    """A draft with rows taken over at another rate."""
    draft = open_draft(deck, caller=ADMIN)
    for key, fields in changes:
        rate = rates_of(draft).get(key=key)
        decks.end_rates(draft, [rate.pk])
        rate.pk, rate.valid_from_version, rate._state.adding = None, draft.number, True
        for name, value in fields.items():
            setattr(rate, name, value)
        rate.save()
    return draft


def shown(draft, tab):
    return [(row.prefix, row.old_rate, row.new_rate, row.change) for row in difference_page(draft, tab).items]


def published(*lines):
    make_deck("cn", *BEFORE)
    publish("cn", *lines, mode="replace")
    return decks.load_version("cn", 2)


def test_every_row_stands_in_its_tab_with_the_largest_changes_first():
    version = published(*AFTER)

    assert difference_counts(version) == COUNTS
    assert shown(version, "dearer") == [
        ("0313", Decimal(0), Decimal("0.2"), None), ("010", Decimal(1), Decimal("1.5"), Decimal(50)),
        ("021", Decimal(1), Decimal("1.1"), Decimal(10)),
    ]  # fmt: skip
    assert shown(version, "cheaper") == [("0311", Decimal(1), Decimal("0.5"), Decimal(-50))]
    assert shown(version, "other") == [("0312", Decimal(1), Decimal(1), Decimal(0))]
    assert shown(version, "new") == [("13", None, Decimal("0.3"), None)]
    assert shown(version, "removed") == [("0755", Decimal(1), None, None)]
    assert shown(version, "same") == [("0571", Decimal(1), Decimal(1), None)]


def test_a_draft_shows_the_same_as_the_version_that_it_becomes():
    deck = make_deck("cn", *BEFORE)
    draft = edited(deck, ("8610", {"rate": 2}), ("8621", {"rate": Decimal("0.9")}), ("86755", {"rate": 1}))

    counts = difference_counts(draft)
    pages = {tab: shown(draft, tab) for tab in counts}
    publish_version(draft.pk, publication=Publication(), caller=ADMIN, confirm=_token(draft))

    draft.refresh_from_db()
    assert counts == {"new": 0, "dearer": 1, "cheaper": 1, "other": 0, "same": 5, "removed": 0, "below_cost": 0}
    assert [row[0] for row in pages["same"]] == ["0311", "0312", "0313", "0571", "0755"]
    assert (difference_counts(draft), {tab: shown(draft, tab) for tab in counts}) == (counts, pages)


def _token(draft):
    return decks.rails_of(draft, Publication()).token


def test_the_counts_are_those_of_a_comparison():
    version = published(*AFTER)

    compared = compare_versions(decks.load_version("cn", 1), version)

    names = {"created": "new", "raised": "dearer", "lowered": "cheaper"}
    for name in ("created", "raised", "lowered", "other", "same", "removed"):
        assert compared[name] == COUNTS[names.get(name, name)]


def test_what_is_sold_below_its_cost_is_shown_once_it_is_new():
    deck = make_deck("cn", "010,1,2", "021,1,0.5", "0571,1,2", columns="prefix,rate,cost_rate")
    draft = edited(deck, ("8610", {"rate": Decimal("0.9")}), ("8621", {"rate": Decimal("0.4")}))

    rows = difference_page(draft, "below_cost").items

    assert [(row.prefix, row.new_rate, row.cost_rate) for row in rows] == [
        ("010", Decimal("0.9"), Decimal(2)), ("021", Decimal("0.4"), Decimal("0.5")),
    ]  # fmt: skip
    assert difference_counts(draft)["below_cost"] == 2


@pytest.mark.parametrize("tab", ["dearer", "same", "removed"])
def test_pages_follow_each_other_without_gap_or_repeat(tab):
    make_deck("cn", *(f"0{n},1,60,60" for n in range(310, 340)))
    lines = [f"0{n},{Decimal(1) + Decimal(n % 3) / 100 + 1},60,60" for n in range(310, 320)]
    publish("cn", *lines, *(f"0{n},1,60,60" for n in range(320, 330)), mode="replace")
    version = decks.load_version("cn", 2)

    seen, cursor = [], ""
    while cursor is not None:
        page = difference_page(version, tab, cursor, 3)
        seen += [row.prefix for row in page.items]
        cursor = page.next_cursor

    assert (len(seen), len(set(seen))) == (10, 10)
    if tab == "dearer":
        assert [int(prefix) % 3 for prefix in seen] == [2, 2, 2, 1, 1, 1, 1, 0, 0, 0]


def test_a_cursor_of_another_list_and_an_unknown_tab_are_refused():
    version = published(*AFTER)
    cursor = difference_page(version, "dearer", limit=1).next_cursor

    with pytest.raises(Malformed):
        difference_page(version, "same", cursor)
    with pytest.raises(ValueError, match="nowhere"):
        difference_page(version, "nowhere")


def test_after_a_withdrawn_version_the_one_before_is_compared():
    make_deck("cn", *BEFORE)
    scheduled = publish("cn", "010,9,60,60", effective_from=_next_year()).version
    withdraw_version(scheduled.version_id, caller=ADMIN, reason="no")

    draft = edited(DeckVersion.objects.get(number=1).deck, ("8621", {"rate": 2}))

    assert drawn_from(draft).number == 1
    assert difference_counts(draft) == {**dict.fromkeys(COUNTS, 0), "dearer": 1, "same": 6}
    assert len(shown(draft, "same")) == 6


def _next_year():
    return clock.now() + timedelta(days=366)
