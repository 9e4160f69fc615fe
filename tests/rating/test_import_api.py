import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from billing_platform.auth import issue_key
from rating.importing.jobs import check_import
from rating.models import DeckImport, DeckVersion, Rate
from tests.rating.deck_files import csv_of, make_deck

pytestmark = pytest.mark.django_db
LINES = ("010,0.61,60,60", "021,0.30,60,60", "13,0.10,60,60")


@pytest.fixture
def deck():
    return make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")


@pytest.fixture
def key():
    return issue_key(name="writer", organization="demo", scopes=["rate:write"])


class Api:
    """The doors as a program sees them; every post has a key of its own unless it names one."""

    def __init__(self, client, key):
        self.client, self.key, self.posts = client, key, 0

    def post(self, path, body=b"", content_type="text/csv", idempotency_key=None):
        self.posts += 1
        headers = {"apikey": self.key, "Idempotency-Key": idempotency_key or f"post-{self.posts}"}
        return self.client.post(f"/api/v1/decks/{path}", body, content_type=content_type, headers=headers)

    def json(self, path, **fields):
        return self.post(path, json.dumps(fields).encode(), content_type="application/json")

    def get(self, path):
        return self.client.get(f"/api/v1/decks/{path}", headers={"apikey": self.key})

    def checked(self, *lines, query=""):
        """A file sent and checked; its number."""
        answer = self.post(f"cn/imports{query}", csv_of(*lines))
        assert answer.status_code == 202, answer.content
        check_import(answer.json()["import"])
        return answer.json()["import"]


@pytest.fixture
def api(client, key):
    return Api(client, key)


def content():
    return list(Rate.objects.order_by("id").values()), list(DeckVersion.objects.order_by("id").values())


def test_a_file_is_sent_looked_at_and_applied(deck, api):
    answer = api.post("cn/imports?mode=replace&file_name=spring.csv&reason=spring", csv_of(*LINES))
    ticket = answer.json()
    assert (answer.status_code, ticket["state"]) == (202, "received")
    assert (
        ticket["links"]["import"] == answer.headers["Location"] == f"/api/v1/decks/{deck.pk}/imports/{ticket['import']}"
    )
    job = api.client.get(ticket["links"]["job"], headers={"apikey": api.key}).json()
    assert (job["id"], job["job"], job["state"]) == (ticket["job"], "deck_import", "waiting")

    check_import(ticket["import"])
    seen = api.get(f"cn/imports/{ticket['import']}").json()
    assert (seen["state"], seen["file_name"], seen["mode"], seen["reason"]) == (
        "ready",
        "spring.csv",
        "replace",
        "spring",
    )
    assert (seen["counts"]["raised"], seen["counts"]["created"], seen["counts"]["removed"]) == (1, 1, 0)
    assert (seen["version"]["number"], seen["rails"]) == (2, ["row_count"])

    refused = api.json(f"cn/imports/{ticket['import']}/apply")
    assert (refused.status_code, refused.json()["code"], refused.json()["token"]) == (409, "guard_rail", seen["token"])
    applied = api.json(f"cn/imports/{ticket['import']}/apply", confirm=seen["token"])

    assert (applied.status_code, applied.json()["version"]["number"], applied.json()["version"]["state"]) == (
        200, 2, "published",
    )  # fmt: skip
    assert api.get(f"{deck.pk}/imports/{ticket['import']}").json()["state"] == "applied"
    assert DeckVersion.objects.get(number=2).published_by == f"key:{api.key.partition('.')[0]}"


def test_a_form_with_one_file_is_taken_too(deck, api):
    file = SimpleUploadedFile("spring.csv", csv_of(*LINES), content_type="text/csv")
    headers = {"apikey": api.key, "Idempotency-Key": "form"}

    answer = api.client.post("/api/v1/decks/cn/imports", {"file": file, "mode": "country"}, headers=headers)

    assert answer.status_code == 202
    story = DeckImport.objects.get(pk=answer.json()["import"])
    assert (story.file_name, story.mode, story.size) == ("spring.csv", "country", len(csv_of(*LINES)))


def test_the_same_post_again_gives_the_same_ticket(deck, api):
    first = api.post("cn/imports", csv_of(*LINES), idempotency_key="k1")
    again = api.post("cn/imports", csv_of(*LINES), idempotency_key="k1")
    other = api.post("cn/imports", csv_of("010,0.7,60,60"), idempotency_key="k1")

    assert (again.status_code, again.json()) == (202, first.json())
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert DeckImport.objects.count() == 1 + 1  # the deck's own first import


def test_errors_come_as_a_file_that_no_spreadsheet_calculates(deck, api):
    number = api.checked("010,=1+1,60,60", "021,,60,60")

    answer = api.get(f"cn/imports/{number}/errors")

    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["row", "column", "value", "code", "message"]
    assert [row[:4] for row in rows[1:]] == [["2", "rate", "'=1+1", "E_NUMBER"], ["3", "rate", "", "E_BLANK_RATE"]]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="import-{number}-errors.csv"'


def test_error_rows_are_left_out_when_asked(deck, api):
    number = api.checked("010,0.61,60,60", "021,,60,60")
    token = api.get(f"cn/imports/{number}").json()["token"]

    refused = api.json(f"cn/imports/{number}/apply", confirm=token)
    assert (refused.status_code, refused.json()["code"]) == (422, "import_refused")

    assert api.json(f"cn/imports/{number}/apply", confirm=token, skip_errors=True).status_code == 200


def test_when_and_why_may_be_said_at_the_end(deck, api):
    number = api.checked("010,0.61,60,60")

    too_soon = api.json(f"cn/imports/{number}/apply", effective_from="2026-01-01T00:00:00+08:00")
    applied = api.json(f"cn/imports/{number}/apply", effective_from="2099-01-01T00:00:00+08:00", reason="new year")

    assert (too_soon.status_code, too_soon.json()["code"]) == (422, "too_soon")
    assert applied.json()["version"]["effective_from"] == "2098-12-31T16:00:00Z"
    assert DeckVersion.objects.get(number=2).reason == "new year"


def test_a_correction_is_only_proposed(deck, api):
    number = api.checked("010,0.61,60,60")

    answer = api.json(f"cn/imports/{number}/apply", effective_from="2026-06-01T00:00:00+08:00", correction=True)

    version = answer.json()["version"]
    assert (answer.status_code, version["state"], version["approvers"]) == (202, "proposed", ["finance"])


def test_an_import_is_thrown_away_once(deck, api):
    number = api.checked(*LINES)

    assert api.json(f"cn/imports/{number}/discard").json() == {"import": number, "state": "discarded"}
    assert api.json(f"cn/imports/{number}/discard").status_code == 409
    assert api.json(f"cn/imports/{number}/apply").json()["code"] == "import_not_ready"


def test_imports_are_listed_page_by_page(deck, api):
    numbers = [api.checked("010,0.61,60,60"), api.checked("010,0.62,60,60")]

    first = api.get("cn/imports?limit=1").json()
    second = api.get(f"cn/imports?limit=1&cursor={first['next_cursor']}").json()

    assert [page["items"][0]["import"] for page in (first, second)] == numbers[::-1]


@pytest.mark.parametrize(
    ("query", "status"),
    [("?mode=all", 422), ("?colour=red", 422), ("?skip_errors=perhaps", 422), ("?template=nobody", 404),
     ("?effective_from=2026-12-01", 422), ("?effective_from=soon", 422)],
)  # fmt: skip
def test_wishes_that_make_no_sense_are_refused(deck, api, query, status):
    before = content()

    assert api.post(f"cn/imports{query}", csv_of(*LINES)).status_code == status

    assert (content(), DeckImport.objects.count()) == (before, 1)


def test_what_is_not_there_is_not_found(deck, api):
    make_deck("other", "010,0.60,60,60")
    number = api.checked(*LINES)

    answers = [api.post("nowhere/imports", b"x"), api.get("cn/imports/0"), api.get(f"other/imports/{number}"),
               api.json(f"other/imports/{number}/apply"), api.get("99999999999999999999/imports")]  # fmt: skip

    assert [answer.status_code for answer in answers] == [404] * 5


def test_an_empty_file_and_a_program_without_a_key_of_its_own_are_refused(deck, api):
    assert api.post("cn/imports", b"").status_code == 400
    without = api.client.post("/api/v1/decks/cn/imports", b"x", content_type="text/csv", headers={"apikey": api.key})
    assert without.status_code == 400
    assert api.json("cn/imports/1/apply", colour="red").status_code in {404, 422}


def test_the_doors_are_closed_to_others(deck, api):
    number = api.checked(*LINES)
    reader = issue_key(name="reader", organization="demo", scopes=["rate:read"])
    before = content()

    for path in ("cn/imports", f"cn/imports/{number}/apply", f"cn/imports/{number}/discard"):
        assert Api(api.client, reader).post(path, b"{}").status_code == 403
        assert api.client.post(f"/api/v1/decks/{path}", b"{}", content_type="text/csv").status_code == 401
    assert Api(api.client, reader).get(f"cn/imports/{number}").status_code == 200

    assert content() == before
