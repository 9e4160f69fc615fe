from datetime import timedelta
from decimal import Decimal

import pytest

from billing_platform import clock
from billing_platform.runs import GuardRail
from rating import decks
from rating.copies import clone_deck
from rating.decks import Publication, open_draft, publish_version
from rating.errors import DeckExists, DeckUnknown, ImportRefused
from rating.formats import native
from rating.formats.deck_file import DeckFile
from rating.formats.fields import ParsedRow
from rating.formats.template import FileTemplate
from rating.importing.file_rows import refuse_unstorable
from rating.importing.imports import ImportOrder, apply_import, preview_import
from rating.models import Deck, DeckVersion, Rate
from rating.rails import rails_of
from rating.terms import RateTerms
from rating.versions import bands_of, export_head, exported_rates, rates_of
from tests.rating.deck_files import ADMIN, csv_of, make_deck, publish, token_of

pytestmark = pytest.mark.django_db
COST = "prefix,rate,cost_rate"


def order(*lines, columns="prefix,rate,first_increment,next_increment", **fields):
    return ImportOrder("cn", csv_of(*lines, columns=columns), **fields)


def prefixes(number):
    return {rate.prefix for rate in rates_of(decks.load_version("cn", number))}


def rails(*lines, **fields):
    return preview_import(order(*lines, **fields), caller=ADMIN).rails


def row_of(row, key, destination):
    return ParsedRow(row, key, RateTerms(rate_id=row, prefix=key, rate=Decimal(1), destination=destination))


def content():
    return list(Rate.objects.order_by("id").values()), list(DeckVersion.objects.order_by("id").values())


def test_country_ends_only_what_belongs_to_the_countries_of_the_file():
    make_deck("cn", ",1,60,60", "010,0.6,60,60", "95,0.6,60,60", "0044,2,60,60", "00447,3,60,60", "001,1,60,60")

    receipt = publish("cn", "0044,2,60,60", "001907,1,60,60", mode="country")

    assert (receipt.counts["removed"], receipt.counts["same"], receipt.counts["created"]) == (2, 1, 1)
    assert prefixes(2) == {"", "010", "95", "0044", "001907"}


def test_short_numbers_belong_to_china():
    make_deck("cn", "010,0.6,60,60", "95,0.6,60,60", "400,0.6,60,60", "0044,2,60,60", "0049,2,60,60")

    publish("cn", "010,0.6,60,60", mode="country")

    assert prefixes(2) == {"010", "0044", "0049"}


def test_country_in_a_raw_deck_knows_plus_and_two_zeros_and_leaves_words_alone():
    make_deck("cn", "+44,2,60,60", "0044207,2,60,60", "+49,2,60,60", "office,1,60,60", numbering="raw")

    publish("cn", "+441,2,60,60", mode="country")

    assert prefixes(2) == {"+441", "+49", "office"}


def test_a_file_without_any_country_ends_nothing():
    make_deck("cn", ",1,60,60", "010,0.6,60,60")

    publish("cn", ",1.1,60,60", mode="country")

    assert prefixes(2) == {"", "010"}


@pytest.mark.parametrize("mode", ["replace", "country"])
def test_rows_left_out_for_an_error_do_not_end_what_stands_on_their_prefix(mode):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60", "0755,0.30,60,60")
    asked = order("010,0.60,60,60", "021,,60,60", "0571,x1,60,60", "8,1,60,60", mode=mode, skip_errors=True)

    receipt = apply_import(asked, caller=ADMIN, confirm=token_of(asked))

    assert receipt.counts["error"] == 3
    assert (receipt.counts["removed"], prefixes(2)) == (1, {"010", "021", "0571"})


@pytest.mark.parametrize(
    ("before", "lines", "fields", "touched"),
    [
        (["010,1,60,60", "021,1,60,60"], ["010,1,60,60"], {"mode": "replace"}, ("removed_rows", "row_count")),
        (["010,1,60,60"], ["010,1.21,60,60"], {}, ("average_rise",)),
        (["010,1,60,60"], ["010,1.20,60,60"], {}, ()),
        (["010,1,60,60"], ["010,6,60,60"], {}, ("average_rise", "rate_jump")),
        (["010,1,60,60"], ["010,0,60,60"], {}, ("rate_jump",)),
        (["010,1,60,60"], ["010,blocked,60,60"], {}, ()),
        (["010,1,60,60", "021,1,60,60"], ["0571,1,60,60"], {}, ("row_count",)),
        ([f"031{n},1,60,60" for n in range(10)], ["010,1,60,60", "021,1,60,60", "0571,1,60,60"], {}, ()),
        (["010,1,60,60"], ["010,1.1,60,60", "8,1,60,60"], {}, ("error_rows",)),
    ],
)
def test_what_looks_like_a_mistake_touches_a_guard_rail(before, lines, fields, touched):
    make_deck("cn", *before)

    assert rails(*lines, **fields) == touched


def test_selling_below_cost_touches_a_rail_even_in_a_first_version():
    for code, purpose in (("sell", "sell"), ("cost", "cost")):
        Deck.objects.create(code=code, purpose=purpose)

    def touched(code):
        return preview_import(ImportOrder(code, csv_of("010,0.5,0.6", columns=COST)), caller=ADMIN).rails

    assert (touched("sell"), touched("cost")) == (("below_cost",), ())


def test_a_rise_needs_the_notice_that_the_deck_promises():
    make_deck("cn", "010,1,60,60", notice_days=7)
    soon, late = (Publication(clock.now() + timedelta(days=days)) for days in (6, 8))

    assert rails("010,1.1,60,60", publication=soon) == ("short_notice",)
    assert rails("010,1.1,60,60", publication=late) == ()
    assert rails("010,0.9,60,60", publication=soon) == ()


def test_the_same_price_by_the_second_is_no_jump():
    make_deck("cn", "010,0.6,60", columns="prefix,rate,rate_unit")

    receipt = preview_import(order("010,0.01,1", columns="prefix,rate,rate_unit"), caller=ADMIN)

    assert (receipt.counts["other"], receipt.rails) == (1, ())


def test_a_draft_is_judged_against_what_it_takes_over_from():
    make_deck("cn", "010,1,60,60")
    december = clock.now() + timedelta(days=30)
    publish("cn", "010,1.2,60,60", effective_from=december)

    at_once = rails("010,1.25,60,60")

    assert at_once == ("average_rise",)  # 1.25 against 1, not against the 1.2 of December
    assert rails("010,1.25,60,60", publication=Publication(december + timedelta(days=1))) == ()


def draft_of(deck, **rates):
    draft = open_draft(deck, caller=ADMIN)
    for key, rate in rates.items():
        old = rates_of(draft).get(key=key.removeprefix("k"))
        decks.end_rates(draft, [old.pk])
        old.pk, old.rate, old.valid_from_version, old._state.adding = None, Decimal(rate), draft.number, True
        old.save()
    return draft


def test_an_edited_draft_needs_the_token_too():
    deck = make_deck("cn", "010,1,60,60")
    draft = draft_of(deck, k8610="9")
    before = content()

    with pytest.raises(GuardRail) as rail:
        publish_version(draft.pk, publication=Publication(), caller=ADMIN)
    assert (rail.value.fields["rails"], content()) == (["average_rise", "rate_jump"], before)
    assert rail.value.fields["token"] == rails_of(draft, Publication()).token

    Rate.objects.filter(valid_from_version=draft.number).update(rate=8)
    with pytest.raises(GuardRail):
        publish_version(draft.pk, publication=Publication(), caller=ADMIN, confirm=rail.value.fields["token"])
    token = rails_of(draft, Publication()).token
    assert publish_version(draft.pk, publication=Publication(), caller=ADMIN, confirm=token).state == "published"


def test_a_file_without_change_leaves_no_draft_and_no_import():
    make_deck("cn", "010,1,60,60")
    before = content()

    receipt = apply_import(order("010,1.00,60,60"), caller=ADMIN)

    assert (receipt.version, content()) == (None, before)


def test_text_that_cannot_be_stored_is_an_error_like_others():
    file = DeckFile(read=3, rows=[row_of(2, "021", "A\x00B"), row_of(3, "0571", "杭州"), row_of(4, "0755", "\ud800")])

    refuse_unstorable(file)

    assert [(error.row, error.code) for error in file.errors] == [(2, "E_ENCODING"), (4, "E_ENCODING")]
    assert ([parsed.row for parsed in file.rows], file.unusable_keys) == ([3], {"021", "0755"})


def test_the_date_of_all_rows_is_the_date_of_the_file():
    make_deck("cn", "010,1,60,60")
    begins = (clock.now() + timedelta(days=3)).replace(microsecond=0)
    lines = [f"010,1.1,{begins.isoformat()}", f"021,1,{begins.isoformat()}"]
    asked = order(
        *lines, columns="prefix,rate,effective date", template=FileTemplate(format="headers", rate_unit="minute")
    )

    receipt = apply_import(asked, caller=ADMIN, confirm=token_of(asked))

    assert (receipt.counts["raised"], receipt.counts["created"]) == (1, 1)
    assert receipt.version.effective_from == begins
    assert set(rates_of(decks.load_version("cn", 2)).values_list("effective_from", flat=True)) == {None}


def test_what_the_supplier_calls_a_change_is_compared_with_ours():
    make_deck("cn", "010,1,60,60", "021,1,60,60", "0571,1,60,60")
    lines = ["010,1.1,increase", "021,0.9,Increase", "0571,1,new", "0755,1,new", "0311,1,whatever"]
    asked = order(*lines, columns="prefix,rate,change", template=FileTemplate(format="headers", rate_unit="minute"))

    warnings = preview_import(asked, caller=ADMIN).warnings

    assert [(one.row, one.value) for one in warnings if one.code == "W_CHANGE_DISAGREES"] == [
        (3, "Increase (lowered)"), (4, "new (same)"),
    ]  # fmt: skip


def test_terms_that_cannot_be_priced_are_refused_and_nothing_moves():
    make_deck("cn", "010,1,60,60")
    before = content()
    asked = order("021,1,1.5,sms", columns="prefix,rate,first_increment,kind")

    with pytest.raises(ImportRefused):
        apply_import(asked, caller=ADMIN, confirm=token_of(asked))

    assert content() == before


def file_of(version):
    return "".join(native.render(export_head(version), bands=bands_of(version), rates=exported_rates(version)))


def test_a_clone_has_the_same_rates_under_another_name():
    make_deck("cn", "#!band peak from=09:00 to=18:00", "010,0.60,peak", "021,0.30,", columns="prefix,rate,band")
    publish("cn", "0571,0.20,60,60")

    draft = clone_deck("cn", "cn-2", caller=ADMIN)

    assert (draft.deck.code, draft.number, draft.state) == ("cn-2", 1, "draft")
    assert file_of(draft) == file_of(decks.load_version("cn", 2))
    first = publish_version(draft.pk, publication=Publication(), caller=ADMIN)
    assert first.content_hash == decks.load_version("cn", 2).content_hash


def test_a_clone_needs_a_new_code_and_a_published_deck():
    make_deck("cn", "010,0.60,60,60")
    Deck.objects.create(code="empty")

    with pytest.raises(DeckExists):
        clone_deck("cn", "empty", caller=ADMIN)
    with pytest.raises(DeckUnknown):
        clone_deck("empty", "other", caller=ADMIN)

    assert Deck.objects.count() == 2 + Deck.objects.exclude(code__in=["cn", "empty"]).count()
    assert not Deck.objects.filter(code="other").exists()
