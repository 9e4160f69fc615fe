from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from billing_platform import clock
from billing_platform.models import AuditEntry, Membership, Role
from rating import decks, tariffs
from rating.models import Deck, DeckVersion, Rate
from rating.versions import rates_of
from tests.rating.deck_files import make_deck, publish

pytestmark = pytest.mark.django_db

ROW = {
    "prefix": "021", "destination": "上海", "enabled": "on", "rate": "0.25", "rate_unit": "60", "first_increment": "60",
    "next_increment": "6", "connect_fee": "0", "free_seconds": "0", "min_charge": "0",
}  # fmt: skip


def log_in(client, role):
    person = get_user_model().objects.create(username=f"the-{role}", is_staff=True)
    Membership.objects.create(user=person, organization="demo", role=role)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")


@pytest.fixture
def rita(client):
    """A rate administrator in the admin."""
    log_in(client, Role.RATE_ADMIN)
    return client


def draft_of(rita, code):
    deck = Deck.objects.get(code=code)
    response = rita.post(f"/admin/rating/deck/{deck.pk}/edit-rates/", {"reason": "spring"})
    draft = DeckVersion.objects.get(deck=deck, state="draft")
    assert response.headers["Location"] == f"/admin/rating/rate/?version={draft.pk}"
    return draft


def rate_page(rate, draft):
    return f"/admin/rating/rate/{rate.pk}/change/?_changelist_filters=version%3D{draft.pk}"


def content(version):
    return sorted(rates_of(version).values_list("prefix", "rate", "next_increment"))


def test_rates_are_edited_in_a_draft_and_published(rita):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60")
    draft = draft_of(rita, "cn")
    shanghai, hangzhou = (rates_of(draft).get(prefix=prefix) for prefix in ("021", "0571"))

    changed = rita.post(rate_page(shanghai, draft), ROW)
    added = rita.post(f"/admin/rating/rate/add/?_changelist_filters=version%3D{draft.pk}", {**ROW, "prefix": "13"})
    deleted = rita.post(
        f"/admin/rating/rate/{hangzhou.pk}/delete/?_changelist_filters=version%3D{draft.pk}", {"post": "yes"}
    )

    assert [response.status_code for response in (changed, added, deleted)] == [302, 302, 302]
    assert content(draft) == [
        ("010", Decimal("0.6"), 60), ("021", Decimal("0.25"), 6), ("13", Decimal("0.25"), 6),
    ]  # fmt: skip
    assert content(decks.load_version("cn", 1))[2] == ("0571", Decimal("0.3"), 60)
    assert Rate.objects.get(pk=shanghai.pk).rate == Decimal("0.3")

    page = rita.get(f"/admin/rating/deckversion/{draft.pk}/publish/")
    assert [count for _, count in page.context["counts"]] == [1, 0, 1, 0, 1, 1]  # new dearer cheaper other removed same
    rita.post(f"/admin/rating/deckversion/{draft.pk}/publish/", {"reason": "spring"})

    draft.refresh_from_db()
    assert (draft.state, draft.row_count, draft.published_by) == ("published", 3, "person:the-rate_admin")
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"deck.draft", "rate.change", "rate.add", "rate.delete", "deck.publish"} <= acts


def test_published_rates_are_only_seen(rita):
    make_deck("cn", "010,0.60,60,60")
    version = decks.load_version("cn", 1)
    rate = Rate.objects.get()

    seen = rita.get(rate_page(rate, version))
    posted = rita.post(rate_page(rate, version), ROW)
    deleted = rita.post(f"/admin/rating/rate/{rate.pk}/delete/", {"post": "yes"})

    assert (seen.status_code, posted.status_code, deleted.status_code) == (200, 403, 403)
    assert Rate.objects.get().rate == Decimal("0.6")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"prefix": "8"}, "prefix", "E_PREFIX_AMBIGUOUS"),
        ({"prefix": "010"}, "prefix", "E_DUPLICATE"),
        ({"tiers": "30:0.1"}, "tiers", "E_TIER"),
        ({"cap": "1"}, "cap_kind", "E_CAP"),
        ({"rate": "-1"}, "rate", "E_NEGATIVE"),
        ({"first_increment": "0"}, "first_increment", "E_INCREMENT"),
    ],
)
def test_a_faulty_rate_is_refused_by_the_rules_of_files(rita, change, field, code):
    make_deck("cn", "010,0.60,60,60")
    draft = draft_of(rita, "cn")

    response = rita.post(f"/admin/rating/rate/add/?_changelist_filters=version%3D{draft.pk}", {**ROW, **change})

    errors = response.context["adminform"].form.errors
    assert list(errors) == [field]
    assert code in errors[field][0]
    assert Rate.objects.count() == 1


def test_a_head_is_fixed_by_the_first_publish(rita):
    deck = make_deck("cn", "010,0.60,60,60")

    rita.post(f"/admin/rating/deck/{deck.pk}/change/", {
        "code": "other", "name_zh": "新", "purpose": "sell", "family": "cn", "currency": "USD", "notice_days": "0",
    })  # fmt: skip

    deck.refresh_from_db()
    assert (deck.code, deck.name_zh, deck.currency) == ("cn", "新", "CNY")


def test_a_refusal_is_shown_and_nothing_was_done(rita):
    make_deck("cn", "010,0.60,60,60")
    mine = draft_of(rita, "cn")
    publish("cn", "010,0.61,60,60")

    response = rita.post(f"/admin/rating/deckversion/{mine.pk}/publish/", {"reason": "late"})

    assert response.status_code == 200
    assert response.context["form"].non_field_errors()
    mine.refresh_from_db()
    assert mine.state == "draft"


def test_withdraw_revert_and_discard_are_acts_of_the_version_page(rita):
    make_deck("cn", "010,0.60,60,60")
    scheduled = publish("cn", "010,0.61,60,60", effective_from=clock.now() + timedelta(hours=1)).version
    first = decks.load_version("cn", 1)
    draft = draft_of(rita, "cn")

    rita.post(f"/admin/rating/deckversion/{draft.pk}/discard/", {"reason": "no"})
    rita.post(f"/admin/rating/deckversion/{scheduled.version_id}/withdraw/", {"reason": "no"})
    rita.post(f"/admin/rating/deckversion/{first.pk}/revert/", {"reason": "back"})

    states = list(DeckVersion.objects.order_by("number").values_list("state", "content_hash"))
    assert states == [
        ("published", first.content_hash), ("withdrawn", scheduled.content_hash), ("discarded", ""),
        ("published", first.content_hash),
    ]  # fmt: skip


@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.FINANCE, 200), (Role.AGENT, 403)])
def test_who_may_look(client, role, status):
    log_in(client, role)
    make_deck("cn", "010,0.60,60,60")

    names = (
        "deck", "deckversion", "rate", "timeband", "deckimport", "calendarday", "carrier", "numbersegment",
        "tariffprofile",
    )  # fmt: skip
    pages = {name: client.get(reverse(f"admin:rating_{name}_changelist")).status_code for name in names}

    assert set(pages.values()) == {status}
    deck = Deck.objects.get()
    assert client.post(f"/admin/rating/deck/{deck.pk}/edit-rates/", {"reason": "x"}).status_code == 403
    assert not DeckVersion.objects.filter(state="draft").exists()


def test_the_list_of_rates_asks_few_queries_and_never_counts_all(rita, django_assert_max_num_queries):
    make_deck("cn", *[f"0{area},0.10,60,60" for area in range(310, 380)])
    version = decks.load_version("cn", 1)
    rita.get(f"/admin/rating/rate/?version={version.pk}")

    with django_assert_max_num_queries(14):
        page = rita.get(f"/admin/rating/rate/?version={version.pk}&q=031")

    assert page.context["cl"].result_count == 10
    tariffs.refresh()
