import io
import json

import pytest
from django.core.management import call_command

from rating import decks
from rating.models import Deck, DeckVersion
from tests.rating.deck_files import PAYLOADS, csv_of, make_deck, publish

pytestmark = pytest.mark.django_db


def run(*arguments):
    """(exit code, what stands on stdout)."""
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out)
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def deck_file(tmp_path):
    def write(content):
        path = tmp_path / "rates.csv"
        path.write_bytes(content)
        return str(path)

    return write


def test_import_is_a_dry_run_until_told_otherwise(deck_file):
    Deck.objects.create(code="cn")
    name = str(PAYLOADS / "native_basic.csv")

    code, output = run("deck_import", name, "--deck", "cn", "--format", "json")
    assert (code, json.loads(output)["dry_run"], json.loads(output)["counts"]["created"]) == (0, True, 9)
    assert not DeckVersion.objects.exists()

    code, output = run("deck_import", name, "--deck", "cn", "--apply", "--format", "json")
    assert (code, json.loads(output)["items"][0]["version"]) == (0, 1)


def test_an_export_imported_again_changes_nothing(deck_file):
    Deck.objects.create(code="cn")
    run("deck_import", str(PAYLOADS / "native_basic.csv"), "--deck", "cn", "--apply")

    code, exported = run("deck_export", "cn")
    assert (code, exported.encode()) == (0, (PAYLOADS / "native_basic.csv").read_bytes())

    code, output = run(
        "deck_import", deck_file(exported.encode()), "--deck", "cn", "--apply", "--mode", "replace", "--format", "json"
    )
    counts = json.loads(output)["counts"]
    assert (code, counts["same"], counts["created"] + counts["changed"] + counts["removed"]) == (0, 9, 0)
    assert DeckVersion.objects.count() == 1


def test_a_workbook_comes_back_without_a_change(tmp_path):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,6")
    book = tmp_path / "cn.xlsx"

    assert run("deck_export", "cn", "--xlsx", str(book))[0] == 0
    code, output = run("deck_import", str(book), "--deck", "cn", "--mode", "replace", "--apply", "--format", "json")

    counts = json.loads(output)["counts"]
    assert (code, counts["same"], counts["created"] + counts["changed"] + counts["removed"]) == (0, 2, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["cn.xlsx"]
    assert run("deck_export", "cn", "--xlsx", str(tmp_path / "nowhere" / "cn.xlsx"))[0] == 2


def test_faulty_rows_end_with_exit_3_and_are_named(deck_file):
    make_deck("cn", "010,0.60,60,60")

    code, output = run("deck_import", deck_file(csv_of("010,,60,60")), "--deck", "cn", "--format", "json")

    assert code == 3
    assert [(error["code"], error["ref"]) for error in json.loads(output)["errors"]] == [("E_BLANK_RATE", "row 2 rate")]


def test_a_guard_rail_ends_with_exit_4_and_its_token_lets_pass(deck_file):
    make_deck("cn", "010,0.60,60,60")
    name = deck_file(csv_of("010,9,60,60"))
    token = json.loads(run("deck_import", name, "--deck", "cn", "--format", "json")[1])["items"][0]["confirm"]

    refused, _ = run("deck_import", name, "--deck", "cn", "--apply")
    assert (refused, DeckVersion.objects.count()) == (4, 1)
    done, _ = run("deck_import", name, "--deck", "cn", "--apply", "--confirm", token)

    assert (done, DeckVersion.objects.count()) == (0, 2)


def test_unknown_decks_and_missing_files_are_usage_errors(deck_file):
    assert run("deck_import", deck_file(b""), "--deck", "nowhere")[0] == 2
    assert run("deck_import", "/nowhere.csv", "--deck", "nowhere")[0] == 2
    assert run("deck_export", "nowhere")[0] == 2


def test_diff_counts_as_the_import_did():
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60", "0571,0.30,60,60")
    imported = publish("cn", "010,0.66,60,60", "021,0.25,60,60", "13,0.1,60,60", mode="replace").counts

    code, output = run("deck_diff", "cn", "1", "2", "--format", "json")

    counts = json.loads(output)["counts"]
    names = ("created", "changed", "raised", "lowered", "other", "same", "removed")
    assert (code, [counts[name] for name in names]) == (0, [1, 2, 1, 1, 0, 0, 1])
    assert [counts[name] for name in names] == [imported[name] for name in names]


def test_revert_is_a_dry_run_until_told_otherwise():
    make_deck("cn", "010,0.60,60,60")
    publish("cn", "010,0.61,60,60")

    run("deck_revert", "cn", "--to", "1")
    assert DeckVersion.objects.count() == 2
    code, output = run("deck_revert", "cn", "--to", "1", "--apply", "--format", "json")

    first = decks.load_version("cn", 1)
    assert (code, json.loads(output)["items"][0]["version"], json.loads(output)["items"][0]["hash"]) == (
        0,
        3,
        first.content_hash,
    )
    assert run("deck_diff", "cn", "1", "3", "--format", "json")[0] == 0


def test_a_large_import_leaves_a_proposal_and_says_who_may_approve_it(deck_file, settings):
    settings.RATING_SECOND_PERSON_ROWS = 0
    make_deck("cn", "010,0.60,60,60")

    code, output = run(
        "deck_import", deck_file(csv_of("010,0.61,60,60")), "--deck", "cn", "--apply", "--format", "json"
    )

    version = decks.load_version("cn", 2)
    envelope = json.loads(output)
    assert (code, version.state, version.proposed_by) == (4, "proposed", "command:deck_import")
    assert envelope["items"][-1] == {
        "state": "proposed",
        "approve": f"/admin/rating/deckversion/{version.pk}/change/",
        "roles": ["finance", "rate_admin"],
    }
    assert [error["code"] for error in envelope["errors"]] == ["approval_needed"]


def test_a_large_revert_leaves_a_proposal_too(settings):
    make_deck("cn", "010,0.60,60,60")
    publish("cn", "010,0.61,60,60")
    settings.RATING_SECOND_PERSON_ROWS = 0

    assert run("deck_revert", "cn", "--to", "1", "--apply")[0] == 4

    assert decks.load_version("cn", 3).state == "proposed"


def test_a_country_mode_and_a_template_are_named_on_the_command_line(deck_file):
    make_deck("cn", "010,0.60,60,60", "0044,2,60,60", "0049,2,60,60")
    name = deck_file(b"prefix,rate,first_increment,next_increment\n0044,2,60,60\n0044207,1,60,60\n")

    code, output = run(
        "deck_import", name, "--deck", "cn", "--mode", "country", "--template", "native", "--format", "json"
    )
    assert (code, json.loads(output)["counts"]["created"], json.loads(output)["counts"]["removed"]) == (0, 1, 0)
    assert run("deck_import", name, "--deck", "cn", "--template", "nobody")[0] == 2
