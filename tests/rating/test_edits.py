from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.models import AuditEntry
from rating import decks
from rating.copies import revert_deck
from rating.edits import RateChange, RateSelection, Step, edit_rates, preview_edit
from rating.errors import DeckUnknown, DraftOutdated, EditRefused, NothingChanges
from rating.formats import native
from rating.importing.imports import compare_versions
from rating.models import Deck, DeckVersion, Rate, RateEnd
from rating.versions import bands_of, export_head, exported_rates, rates_of
from tests.rating.deck_files import ADMIN, make_deck, publish

pytestmark = pytest.mark.django_db

FIVE_MORE = RateChange(step=Step.PERCENT, amount=Decimal(5))
EVERYTHING = RateSelection()
OTTO = Caller("person", "2", name="otto")


def edit(deck, selection, change, *, base=1, caller=ADMIN):
    return edit_rates(deck, selection, change, caller=caller, base=base)


def rates(version):
    return {rate.prefix: rate.rate for rate in rates_of(version).order_by("key", "id")}


def content():
    """Everything that an edit could touch."""
    tables = Rate, DeckVersion, RateEnd, AuditEntry
    return [list(table.objects.order_by("pk").values()) for table in tables]


def export(code, number):
    version = decks.load_version(code, number)
    return "".join(native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version)))


@pytest.fixture
def cn():
    return make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.25,60,60", "00852,1.20,60,60", "11,0,60,60")


def test_five_per_cent_on_a_prefix_is_shown_then_drawn_up(cn):
    before = content()

    shown = preview_edit(cn, RateSelection(prefix="86"), FIVE_MORE)

    assert (shown.base, shown.counts) == (1, {"matched": 4, "raised": 3, "lowered": 0, "other": 0, "same": 1})
    assert [(row.prefix, row.before["rate"], row.after["rate"], row.percent) for row in shown.rows] == [
        ("010", "0.6", "0.63", 5), ("021", "0.3", "0.315", 5), ("0571", "0.25", "0.2625", 5),
    ]  # fmt: skip
    assert content() == before

    draft = edit(cn, RateSelection(prefix="86"), FIVE_MORE)

    assert rates(draft) == {
        "11": 0, "00852": Decimal("1.2"), "010": Decimal("0.63"), "021": Decimal("0.315"), "0571": Decimal("0.2625"),
    }  # fmt: skip
    counts = compare_versions(decks.load_version("cn", 1), draft)
    assert (counts["raised"], counts["same"], counts["removed"], counts["created"]) == (3, 2, 0, 0)
    assert rates(decks.load_version("cn", 1))["010"] == Decimal("0.6")
    entry = AuditEntry.objects.get(act="deck.edit")
    assert (entry.actor, entry.object_id) == ("person:rita", str(draft.pk))
    assert (entry.after["change"]["amount"], entry.after["raised"]) == ("5", 3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (RateChange(step=Step.SET, amount=Decimal("0.4")), "0.4"),
        (RateChange(step=Step.ADD, amount=Decimal("-0.05")), "0.25"),
        (RateChange(step=Step.PERCENT, amount=Decimal("-50")), "0.15"),
        (RateChange(step=Step.PERCENT, amount=Decimal("1.5"), decimals=3), "0.305"),  # 0.3045
        (RateChange(step=Step.ADD, amount=Decimal("0.005"), decimals=2), "0.31"),  # half up
        (RateChange(step=Step.ADD, amount=Decimal("0.1"), decimals=0), "0"),
    ],
)
def test_what_becomes_of_a_rate(cn, change, expected):
    draft = edit(cn, RateSelection(prefix="021"), change)

    assert rates(draft)["021"] == Decimal(expected)
    assert rates(draft)["010"] == Decimal("0.6")


def test_prices_of_first_increments_and_tiers_move_along_but_fees_stay():
    columns = "prefix,rate,first_rate,tiers,connect_fee,min_charge,first_increment,next_increment"
    deck = make_deck("cn", "010,0.10,0.20,180:0.05;600:0.03/6,0.5,0.1,60,60", columns=columns)

    draft = edit(deck, EVERYTHING, RateChange(step=Step.PERCENT, amount=Decimal(10)))

    row = rates_of(draft).get()
    assert (row.rate, row.first_rate, row.tiers) == (Decimal("0.11"), Decimal("0.22"), "180:0.055;600:0.033/6")
    assert (row.connect_fee, row.min_charge) == (Decimal("0.5"), Decimal("0.1"))
    only_the_rate = preview_edit(deck, EVERYTHING, RateChange(step=Step.SET, amount=Decimal("0.08")))
    assert only_the_rate.rows[0].after == {
        "rate": "0.08", "first_rate": "0.2", "tiers": "180:0.05;600:0.03/6", "first_increment": "60",
        "next_increment": "60", "band": "",
    }  # fmt: skip


def test_increments_and_bands_are_other_changes():
    lines = "#!band night from=00:00 to=06:00", "010,0.60,60,60,", "021,0.30,60,60,night"
    deck = make_deck("cn", *lines, columns="prefix,rate,first_increment,next_increment,band")
    change = RateChange(first_increment=Decimal(1), next_increment=Decimal(1), band="night")

    draft = edit(deck, EVERYTHING, change)

    shown = {row.prefix: (row.first_increment, row.next_increment, row.band) for row in rates_of(draft)}
    assert shown == {"010": (1, 1, "night"), "021": (1, 1, "night")}
    assert preview_edit(deck, EVERYTHING, change).counts["other"] == 2
    assert preview_edit(deck, RateSelection(band=""), change).counts["matched"] == 1


def test_every_filter_narrows():
    deck = make_deck(
        "cn", "010,北京,0.60,voice", "021,上海 Shanghai,0.30,voice", "13,China % mobile,0.20,", "0086,x,0.1,sms",
        columns="prefix,destination,rate,kind", numbering="national",
    )  # fmt: skip

    def matched(**selection):
        return preview_edit(deck, RateSelection(**selection), FIVE_MORE).counts["matched"]

    assert matched(prefix="02") == matched(prefix="8621") == matched(destination="shang") == 1
    assert matched(destination="%") == 1
    assert matched(kind="voice") == 2
    assert matched(kind="") == 1
    assert matched(rate_min=Decimal("0.2"), rate_max=Decimal("0.3")) == 2
    assert matched(prefix="86", kind="voice", rate_max=Decimal("0.5")) == 1


@pytest.mark.parametrize(
    ("change", "code", "count"),
    [
        (RateChange(step=Step.ADD, amount=Decimal("-0.28")), "E_NEGATIVE", 2),
        (RateChange(step=Step.PERCENT, amount=Decimal("0.000001")), "E_DECIMALS", 4),
        (RateChange(step=Step.PERCENT, amount=Decimal(999999999), decimals=0), "", 0),
        (RateChange(step=Step.ADD, amount=Decimal("999999999.5")), "E_LIMIT", 2),
        (RateChange(step=Step.ADD, amount=Decimal("NaN")), "E_NUMBER", 0),
        (RateChange(step=Step.ADD, amount=Decimal("1e-900000")), "E_NUMBER", 0),
        (RateChange(step=Step.ADD, amount=Decimal("1e900000")), "E_NUMBER", 0),
        (RateChange(first_increment=Decimal(0)), "E_INCREMENT", 0),
        (RateChange(decimals=9), "E_ROUNDING", 0),
        (RateChange(band="peak'; DROP TABLE rating_rate; --%s"), "E_BAND", 0),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_moves(cn, change, code, count):
    before = content()
    if not code:
        assert preview_edit(cn, EVERYTHING, change).counts["raised"] == 4
        return

    for attempt in (lambda: preview_edit(cn, EVERYTHING, change), lambda: edit(cn, EVERYTHING, change)):
        with pytest.raises(EditRefused) as refused:
            attempt()

        assert [(fault.code, fault.count) for fault in refused.value.fields["faults"]] == [(code, count)]
    assert content() == before


def test_a_first_increment_may_not_swallow_a_tier_and_rows_may_not_become_twins():
    columns = "prefix,rate,tiers,band"
    deck = make_deck(
        "cn", "#!band night from=00:00 to=06:00", "010,0.1,180:0.05,", "021,0.1,,", "021,0.2,,night", columns=columns
    )

    with pytest.raises(EditRefused) as swallowed:
        preview_edit(deck, EVERYTHING, RateChange(first_increment=Decimal(200)))
    with pytest.raises(EditRefused) as twins:
        preview_edit(deck, RateSelection(band=""), RateChange(band="night"))

    assert [(one.code, one.count, one.key) for one in swallowed.value.fields["faults"]] == [("E_TIER", 1, "8610")]
    assert [(one.code, one.count, one.key) for one in twins.value.fields["faults"]] == [("E_DUPLICATE", 1, "8621")]


def test_an_edit_without_effect_makes_no_draft(cn):
    before = content()

    with pytest.raises(NothingChanges) as none_found:
        edit(cn, RateSelection(prefix="99"), FIVE_MORE)
    with pytest.raises(NothingChanges) as all_same:
        edit(cn, EVERYTHING, RateChange(decimals=2))
    with pytest.raises(DeckUnknown):
        preview_edit(Deck.objects.create(code="empty"), EVERYTHING, FIVE_MORE)

    assert (none_found.value.fields, all_same.value.fields) == ({"matched": 0}, {"matched": 5})
    assert content() == before


def test_withdrawing_or_reverting_leads_back_to_the_same_file(cn):
    first = export("cn", 1)
    draft = edit(cn, EVERYTHING, FIVE_MORE)
    begins = clock.now() + timedelta(hours=1)
    decks.publish_version(draft.pk, publication=decks.Publication(begins), caller=ADMIN)

    decks.withdraw_version(draft.pk, caller=ADMIN, reason="no")
    again = edit(cn, EVERYTHING, FIVE_MORE)
    decks.publish_version(again.pk, publication=decks.Publication(begins), caller=ADMIN)
    revert_deck("cn", to=1, publication=decks.Publication(begins), caller=ADMIN)

    second, third = (decks.load_version("cn", number) for number in (2, 3))
    assert second.content_hash == third.content_hash != decks.load_version("cn", 1).content_hash
    assert export("cn", 4) == first
    assert decks.load_version("cn", 4).content_hash == decks.load_version("cn", 1).content_hash


def test_of_two_people_on_one_deck_the_second_is_told_and_nothing_is_lost(cn):
    preview_edit(cn, EVERYTHING, FIVE_MORE)
    mine = edit(cn, RateSelection(prefix="010"), FIVE_MORE, caller=OTTO)
    publish("cn", "021,0.33,60,60")
    before = content()

    with pytest.raises(DraftOutdated) as shown_before:
        edit(cn, EVERYTHING, FIVE_MORE, base=1)
    with pytest.raises(DraftOutdated) as drawn_before:
        decks.publish_version(mine.pk, publication=decks.Publication(), caller=OTTO)

    assert (shown_before.value.fields["base"], shown_before.value.fields["latest"]) == (1, 3)
    assert drawn_before.value.fields["latest"] == 3
    assert content() == before
    assert rates(decks.latest_version(cn))["021"] == Decimal("0.33")


def test_an_edit_after_a_withdrawn_version_starts_from_what_is_published(cn):
    withdrawn = publish("cn", "010,9,60,60", effective_from=clock.now() + timedelta(hours=1)).version
    decks.withdraw_version(withdrawn.version_id, caller=ADMIN, reason="no")

    draft = edit(cn, RateSelection(prefix="010"), FIVE_MORE)

    assert rates(draft)["010"] == Decimal("0.63")
    assert RateEnd.objects.filter(draft=draft).count() == 1
