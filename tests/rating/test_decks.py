from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from billing_platform import clock
from billing_platform.models import AuditEntry, OutboxEvent
from billing_platform.runs import GuardRail
from rating import decks, publishing, tariffs
from rating.copies import revert_deck
from rating.decks import Publication, discard_draft, open_draft, publish_version, withdraw_version
from rating.engine import price_call
from rating.errors import DraftOutdated, ImportRefused, NotADraft, NotWithdrawable, TooSoon
from rating.formats import native
from rating.importing.imports import ImportOrder, apply_import, preview_import
from rating.models import Deck, DeckImport, DeckVersion, Generation, Rate, RateEnd
from rating.question import CallFacts, read_call
from rating.versions import bands_of, export_head, exported_rates, rates_of
from tests.rating.deck_files import ADMIN, LONG_AGO, PAYLOADS, csv_of, make_deck, publish, token_of

pytestmark = pytest.mark.django_db


def price(code, number, at, seconds=60):
    asked = read_call(CallFacts(number, at=at, duration=seconds))
    return price_call(asked.call, tariffs.deck_tariff(code, at=at)).amount


def file_of(version):
    lines = native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version))
    return "".join(lines)


def content():
    return list(Rate.objects.order_by("id").values()), list(DeckVersion.objects.order_by("id").values())


def test_a_new_price_counts_from_its_instant_on():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    begins = clock.now() + timedelta(hours=1)

    receipt = publish("cn", "010,0.66,60,60", effective_from=begins)

    assert receipt.version.number == 2
    assert price("cn", "01060001234", begins - timedelta(seconds=61)) == Decimal("0.6000")
    assert price("cn", "01060001234", begins) == Decimal("0.6600")
    assert price("cn", "02160001234", begins) == Decimal("0.3000")


def test_counts_add_up_and_say_what_changes():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60", "0755,0.30,60,60")
    before = content()
    order = ImportOrder(
        "cn",
        csv_of(
            "# spring",
            "010,0.66,60,60",
            "021,0.25,60,60",
            "0571,0.30,60,6",
            "0755,0.300,60,60",
            "13,0.1,60,60",
            "8,1,60,60",
        ),
    )

    receipt = preview_import(order, caller=ADMIN)

    assert receipt.counts == {
        "read": 7, "created": 1, "changed": 3, "raised": 1, "lowered": 1, "other": 1, "same": 1, "skipped": 1,
        "error": 1, "removed": 0, "bands": 0,
    }  # fmt: skip
    assert [error.code for error in receipt.errors] == ["E_PREFIX_AMBIGUOUS"]
    assert content() == before


def test_replace_ends_what_is_not_listed():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    begins = clock.now() + timedelta(hours=1)

    receipt = publish("cn", "010,0.60,60,60", mode="replace", effective_from=begins)

    assert (receipt.counts["same"], receipt.counts["removed"]) == (1, 1)
    assert [rate.prefix for rate in rates_of(decks.load_version("cn", 2))] == ["010"]
    assert {rate.prefix for rate in rates_of(decks.load_version("cn", 1))} == {"010", "021"}


def test_error_rows_stop_the_import_and_nothing_moves():
    make_deck("cn", "010,0.60,60,60")
    before = content()

    with pytest.raises(ImportRefused) as refused:
        apply_import(ImportOrder("cn", csv_of("010,0.66,60,60", "021,,60,60")), caller=ADMIN)

    assert refused.value.fields["error_count"] == 1
    assert refused.value.fields["errors"][0]["code"] == "E_BLANK_RATE"
    assert content() == before


def test_error_rows_may_be_left_out_on_purpose():
    make_deck("cn", "010,0.60,60,60")
    order = ImportOrder("cn", csv_of("010,0.66,60,60", "021,,60,60"), skip_errors=True)

    receipt = apply_import(order, caller=ADMIN, confirm=token_of(order))

    assert (receipt.version.number, receipt.counts["error"]) == (2, 1)
    assert DeckImport.objects.get(version_id=receipt.version.version_id).errors[0]["code"] == "E_BLANK_RATE"


def test_the_same_prefix_twice_is_an_error_naming_both_rows():
    Deck.objects.create(code="cn")

    receipt = preview_import(ImportOrder("cn", csv_of("13,0.1,60,60", "013,0.2,60,60")), caller=ADMIN)

    assert [(error.row, error.value, error.code) for error in receipt.errors] == [(3, "013 (row 2)", "E_DUPLICATE")]


def test_a_file_in_another_currency_is_refused():
    Deck.objects.create(code="cn")

    receipt = preview_import(ImportOrder("cn", csv_of("#!deck currency=USD", "13,0.1,60,60")), caller=ADMIN)

    assert [(error.column, error.code) for error in receipt.errors] == [("currency", "E_CURRENCY")]
    assert receipt.counts["read"] == receipt.counts["skipped"] == 1


def test_the_same_file_again_changes_nothing():
    deck = Deck.objects.create(code="cn")
    order = ImportOrder("cn", (PAYLOADS / "native_basic.csv").read_bytes())
    apply_import(order, caller=ADMIN)

    again = apply_import(order, caller=ADMIN)

    assert (again.version, again.counts["same"], again.counts["bands"]) == (None, 9, 0)
    assert DeckVersion.objects.filter(deck=deck).count() == 1
    assert file_of(decks.load_version("cn", 1)).encode() == order.content


def test_a_jump_needs_the_token_of_exactly_this_difference():
    make_deck("cn", "010,0.60,60,60")
    order = ImportOrder("cn", csv_of("010,6.00,60,60"))
    before = content()

    with pytest.raises(GuardRail) as rail:
        apply_import(order, caller=ADMIN)
    assert rail.value.fields["rails"] == ["average_rise", "rate_jump"]
    assert content() == before
    with pytest.raises(GuardRail):
        apply_import(ImportOrder("cn", csv_of("010,7.00,60,60")), caller=ADMIN, confirm=rail.value.fields["token"])

    assert apply_import(order, caller=ADMIN, confirm=rail.value.fields["token"]).version.number == 2


def test_prices_change_ahead_of_time_unless_it_is_a_correction():
    make_deck("cn", "010,0.60,60,60")
    past = clock.now() - timedelta(hours=1)

    with pytest.raises(TooSoon):
        publish("cn", "010,0.66,60,60", effective_from=past)
    publish("cn", "010,0.66,60,60", effective_from=past, correction=True)

    assert price("cn", "01060001234", past) == Decimal("0.6600")


def test_the_time_that_a_large_deck_takes_is_none_of_the_notice(monkeypatch):
    make_deck("cn", "010,0.60,60,60")
    begun, hashed = clock.now(), publishing.hashed_content

    def hashed_slowly(draft):
        clock.set_test_instant(begun + timedelta(seconds=20))
        return hashed(draft)

    monkeypatch.setattr(publishing, "hashed_content", hashed_slowly)
    try:
        published = publish("cn", "010,0.66,60,60").version
        clock.set_test_instant(begun)
        with pytest.raises(TooSoon):
            publish("cn", "010,0.70,60,60", effective_from=begun + timedelta(seconds=24))
    finally:
        clock.set_test_instant(None)

    assert published.effective_from == begun + timedelta(seconds=25)
    assert DeckVersion.objects.count() == 2


def test_revert_publishes_the_old_content_with_its_hash():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    first = decks.load_version("cn", 1)
    publish("cn", "010,0.66,60,60", "13,0.1,60,60", mode="replace")

    receipt = revert_deck("cn", to=1, publication=Publication(reason="mistake"), caller=ADMIN)

    assert (receipt.number, receipt.content_hash, receipt.rows) == (3, first.content_hash, 2)
    assert file_of(decks.load_version("cn", 3)) == file_of(first)
    assert {rate.prefix for rate in rates_of(decks.load_version("cn", 2))} == {"010", "13"}


def test_a_version_can_be_withdrawn_until_it_takes_effect():
    make_deck("cn", "010,0.60,60,60")
    begins = clock.now() + timedelta(hours=1)
    scheduled = publish("cn", "010,0.66,60,60", effective_from=begins).version

    withdraw_version(scheduled.version_id, caller=ADMIN, reason="not agreed")
    tariffs.refresh()

    assert price("cn", "01060001234", begins) == Decimal("0.6000")
    with pytest.raises(NotWithdrawable):
        withdraw_version(decks.load_version("cn", 1).pk, caller=ADMIN, reason="too late")
    after = publish("cn", "021,0.30,60,60", effective_from=begins).version
    assert sorted(rates_of(decks.load_version("cn", after.number)).values_list("prefix", "rate")) == [
        ("010", Decimal("0.6")),
        ("021", Decimal("0.3")),
    ]


def test_the_second_of_two_drafts_gets_a_conflict():
    deck = make_deck("cn", "010,0.60,60,60")
    mine, theirs = open_draft(deck, caller=ADMIN), open_draft(deck, caller=ADMIN)
    publish_version(theirs.pk, publication=Publication(), caller=ADMIN)

    with pytest.raises(DraftOutdated) as refused:
        publish_version(mine.pk, publication=Publication(), caller=ADMIN)

    assert (refused.value.fields["base"], refused.value.fields["latest"]) == (1, 3)
    with pytest.raises(NotADraft):
        publish_version(theirs.pk, publication=Publication(), caller=ADMIN)


def test_a_draft_is_nobodys_price_and_can_be_thrown_away():
    deck = make_deck("cn", "010,0.60,60,60")
    draft = open_draft(deck, caller=ADMIN)
    Rate.objects.create(deck=deck, valid_from_version=draft.number, prefix="021", key="8621", rate=1)
    decks.end_rates(draft, list(rates_of(draft).filter(prefix="010").values_list("pk", flat=True)))

    assert [rate.prefix for rate in rates_of(draft)] == ["021"]
    assert price("cn", "01060001234", LONG_AGO) == Decimal("0.6000")
    discard_draft(draft.pk, caller=ADMIN)

    assert [rate.prefix for rate in Rate.objects.all()] == ["010"]
    assert not RateEnd.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rating_rate SET rate = 0",
        "UPDATE rating_rate SET valid_to_version = NULL",
        "DELETE FROM rating_rate",
        "UPDATE rating_deckversion SET effective_from = now()",
        "UPDATE rating_deckversion SET state = 'draft'",
        "DELETE FROM rating_deckversion",
        "UPDATE rating_timeband SET priority = 99",
        "DELETE FROM rating_timeband",
        "UPDATE rating_deck SET currency = 'USD'",
        "TRUNCATE rating_rate CASCADE",
    ],
)
def test_published_content_cannot_be_changed(statement):
    make_deck("cn", "#!band peak from=09:00 to=18:00", "010,0.60,60,60")
    before = content()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert content() == before


def test_rows_cannot_be_smuggled_into_a_published_version():
    deck = make_deck("cn", "010,0.60,60,60")

    with pytest.raises(DatabaseError, match="published"), transaction.atomic():
        Rate.objects.create(deck=deck, valid_from_version=1, prefix="021", key="8621", rate=1)

    assert Rate.objects.count() == 1


def test_many_versions_of_a_large_deck_store_only_what_changed():
    lines = [f"0{area:03d}{n},0.10,60,60" for area in range(310, 360) for n in range(10)]
    make_deck("cn", *lines)

    for n in range(5):
        publish("cn", f"0310{n},0.11,60,60")

    assert Rate.objects.count() == 505
    assert [rates_of(decks.load_version("cn", number)).count() for number in (1, 3, 6)] == [500, 500, 500]


def test_publishing_is_told_to_the_audit_the_outbox_and_the_generation():
    def number():
        return Generation.objects.get(topic="tariffs").number

    before = number()

    make_deck("cn", "010,0.60,60,60")

    assert AuditEntry.objects.filter(act="deck.publish", actor="person:rita").get().after["rows"] == 1
    assert OutboxEvent.objects.get(topic="deck.publish").subject == "cn/1"
    assert number() > before


def test_standing_follows_from_the_instants():
    make_deck("cn", "010,0.60,60,60", effective_from=datetime(2026, 1, 1, tzinfo=UTC))
    begins = clock.now() + timedelta(hours=1)
    publish("cn", "010,0.66,60,60", effective_from=begins)
    first, second = decks.load_version("cn", 1), decks.load_version("cn", 2)

    def standings(at):
        current = decks.version_in_force(first.deck, at)
        return [decks.standing(version, at, in_force_id=current.pk) for version in (first, second)]

    assert standings(clock.now()) == ["live", "scheduled"]
    assert standings(begins) == ["superseded", "live"]
