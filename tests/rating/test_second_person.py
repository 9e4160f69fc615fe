from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import Forbidden
from billing_platform.models import AuditEntry
from rating import decks, tariffs
from rating.copies import revert_deck
from rating.decks import Publication, discard_draft, open_draft, publish_version
from rating.engine import price_call
from rating.errors import DraftOutdated, NotADraft, NotProposed, OwnProposal, TooSoon
from rating.importing.imports import ImportOrder, apply_import
from rating.models import DeckImport, DeckVersion, Rate, RateEnd, TimeBand
from rating.proposals import approve_version, decline_version
from rating.question import CallFacts, read_call
from rating.versions import rates_of
from tests.rating.deck_files import ADMIN, FINANCE, csv_of, make_deck, token_of

pytestmark = pytest.mark.django_db
COLLEAGUE = Caller("person", "3", name="rolf", roles=frozenset({"rate_admin"}))
AUDITOR = Caller("person", "4", name="ada", roles=frozenset({"auditor"}))


@pytest.fixture(autouse=True)
def _three_rows(settings):
    settings.RATING_SECOND_PERSON_ROWS = 2


def submit(code, *lines, publication=None, caller=ADMIN):
    order = ImportOrder(code, csv_of(*lines), publication=publication or Publication())
    return apply_import(order, caller=caller, confirm=token_of(order)).version


def large(**publication):
    """A deck, and a proposal of three changed rows."""
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60", "0755,0.30,60,60")
    lines = ("010,0.61,60,60", "021,0.31,60,60", "0571,0.31,60,60")
    return submit("cn", *lines, publication=Publication(**publication))


def past():
    return clock.now() - timedelta(hours=1)


def correction():
    make_deck("cn", "010,0.60,60,60")
    return submit("cn", "010,0.61,60,60", publication=Publication(past(), "wrong", correction=True))


def price(code, number, at):
    asked = read_call(CallFacts(number, at=at, duration=60))
    tariffs.refresh()
    return price_call(asked.call, tariffs.deck_tariff(code, at=at)).amount


def content():
    return [list(model.objects.order_by("pk").values()) for model in (Rate, RateEnd, DeckVersion, TimeBand)]


def test_a_large_change_waits_and_prices_nothing_until_somebody_else_agrees():
    proposal = large(reason="spring")
    at = clock.now() + timedelta(minutes=1)
    assert (proposal.state, proposal.approvers) == ("proposed", ("finance", "rate_admin"))
    assert price("cn", "01060001234", at) == Decimal("0.6000")

    receipt = approve_version(proposal.version_id, caller=COLLEAGUE)

    assert (receipt.state, receipt.number, receipt.rows) == ("published", 2, 4)
    assert price("cn", "01060001234", at) == Decimal("0.6100")
    version = DeckVersion.objects.get(pk=receipt.version_id)
    assert (version.proposed_by, version.published_by, version.reason) == ("person:rita", "person:rolf", "spring")
    assert list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))[-2:] == [
        "deck.propose", "deck.publish",
    ]  # fmt: skip
    assert DeckImport.objects.get(version=version).state == "applied"


def test_a_small_change_and_a_first_version_need_nobody_else():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60")

    assert submit("cn", "010,0.61,60,60", "021,0.31,60,60").state == "published"


def test_a_correction_is_for_finance():
    proposal = correction()
    before = content()

    with pytest.raises(Forbidden):
        approve_version(proposal.version_id, caller=COLLEAGUE)
    assert content() == before
    receipt = approve_version(proposal.version_id, caller=FINANCE)

    assert (receipt.state, proposal.approvers) == ("published", ("finance",))
    assert price("cn", "01060001234", clock.now() - timedelta(minutes=30)) == Decimal("0.6100")


@pytest.mark.parametrize(
    ("caller", "refusal"),
    [(ADMIN, OwnProposal), (AUDITOR, Forbidden), (Caller("key", "k1", scopes=frozenset({"rate:write"})), Forbidden)],
)
def test_the_first_person_and_those_without_the_role_are_refused(caller, refusal):
    proposal = large()
    before = content()

    with pytest.raises(refusal):
        approve_version(proposal.version_id, caller=caller)

    assert content() == before


def test_a_proposal_whose_time_has_passed_is_refused(fresh_database):
    proposal = large(effective_from=clock.now() + timedelta(hours=1))

    with connection.cursor() as cursor:  # as if an hour had gone by
        cursor.execute("ALTER TABLE rating_deckversion DISABLE TRIGGER rating_deckversion_guard")
        cursor.execute("UPDATE rating_deckversion SET effective_from = %s WHERE state = 'proposed'", [clock.now()])
        cursor.execute("ALTER TABLE rating_deckversion ENABLE TRIGGER rating_deckversion_guard")
    with pytest.raises(TooSoon):
        approve_version(proposal.version_id, caller=FINANCE)

    assert decks.load_version("cn", proposal.number).state == "proposed"


def test_a_proposal_that_was_overtaken_is_refused():
    proposal = large()
    overtaking = submit("cn", "0755,0.31,60,60")

    with pytest.raises(DraftOutdated):
        approve_version(proposal.version_id, caller=FINANCE)

    assert (overtaking.state, decks.load_version("cn", 2).state) == ("published", "proposed")


def test_a_declined_proposal_is_a_draft_again():
    proposal = correction()

    declined = decline_version(proposal.version_id, caller=FINANCE, reason="not agreed")

    assert (declined.state, declined.effective_from) == ("draft", None)
    draft = DeckVersion.objects.get(pk=proposal.version_id)
    assert (draft.correction, draft.proposed_by, draft.proposed_at) == (False, "", None)
    with pytest.raises(NotProposed):
        approve_version(proposal.version_id, caller=FINANCE)
    with pytest.raises(NotProposed):
        decline_version(proposal.version_id, caller=FINANCE, reason="again")
    discard_draft(proposal.version_id, caller=ADMIN)
    assert [rate.prefix for rate in Rate.objects.all()] == ["010"]


def test_the_proposer_may_take_it_back_and_others_need_the_role():
    proposal = large()

    with pytest.raises(Forbidden):
        decline_version(proposal.version_id, caller=AUDITOR, reason="no")
    assert decline_version(proposal.version_id, caller=ADMIN, reason="oh").state == "draft"


def test_a_proposal_is_published_once():
    proposal = large()
    approve_version(proposal.version_id, caller=FINANCE)

    with pytest.raises(NotProposed):
        approve_version(proposal.version_id, caller=COLLEAGUE)
    with pytest.raises(NotADraft):
        publish_version(proposal.version_id, publication=Publication(), caller=ADMIN)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rating_rate SET rate = 0 WHERE valid_from_version = 2",
        "UPDATE rating_rate SET valid_to_version = 3, rate = 0 WHERE valid_from_version = 2",
        "DELETE FROM rating_rate WHERE valid_from_version = 2",
        "INSERT INTO rating_rateend (draft_id, rate_id) SELECT d.draft_id, r.id FROM rating_rateend d, rating_rate r"
        " WHERE r.key = '86755' LIMIT 1",
        "DELETE FROM rating_rateend",
        "UPDATE rating_rateend SET rate_id = (SELECT id FROM rating_rate WHERE key = '86755') WHERE id ="
        " (SELECT min(id) FROM rating_rateend)",
        "UPDATE rating_deckversion SET effective_from = now() WHERE state = 'proposed'",
        "UPDATE rating_deckversion SET proposed_by = 'person:eve' WHERE state = 'proposed'",
        "UPDATE rating_deckversion SET state = 'published', published_at = now(), effective_from = now(),"
        " reason = 'other' WHERE state = 'proposed'",
        "UPDATE rating_deckversion SET state = 'discarded' WHERE state = 'proposed'",
    ],
)
def test_nobody_edits_a_proposal(statement):
    large(effective_from=clock.now() + timedelta(hours=1))
    before = content()

    with (
        pytest.raises(DatabaseError, match="published deck version"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert content() == before


def test_a_proposal_is_neither_thrown_away_nor_submitted_again():
    proposal = large()
    before = content()

    with pytest.raises(NotADraft):
        discard_draft(proposal.version_id, caller=ADMIN)
    with pytest.raises(NotADraft):
        publish_version(proposal.version_id, publication=Publication(), caller=ADMIN)

    assert content() == before


def test_its_content_can_be_asked_before_anybody_agrees():
    proposal = large()

    assert {rate.prefix: rate.rate for rate in rates_of(decks.load_version("cn", 2))}["010"] == Decimal("0.61")
    tariff = tariffs.deck_tariff("cn", at=clock.now(), version=proposal.number)
    asked = read_call(CallFacts("01060001234", at=clock.now(), duration=60))
    assert price_call(asked.call, tariff).amount == Decimal("0.6100")


def test_a_large_revert_waits_too():
    proposal = large()
    approve_version(proposal.version_id, caller=FINANCE)

    revert = revert_deck("cn", to=1, publication=Publication(reason="mistake"), caller=ADMIN)

    assert revert.state == "proposed"
    first = decks.load_version("cn", 1)
    assert approve_version(revert.version_id, caller=FINANCE).content_hash == first.content_hash


def test_what_a_person_edited_waits_as_a_file_does():
    deck = make_deck("cn", *(f"0{area},0.30,60,60" for area in (311, 312, 313, 314)))
    draft = open_draft(deck, caller=ADMIN)
    for rate in list(rates_of(draft))[:3]:
        decks.end_rates(draft, [rate.pk])
        rate.pk, rate.rate, rate.valid_from_version, rate._state.adding = None, Decimal("0.31"), draft.number, True
        rate.save()

    receipt = publish_version(draft.pk, publication=Publication(), caller=ADMIN)

    assert receipt.state == "proposed"
