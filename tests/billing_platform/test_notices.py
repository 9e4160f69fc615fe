"""The bell: who is told, once each, in the reader's language; seen, read, swept."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client

from billing_platform import clock
from billing_platform.models import Membership, Notice
from billing_platform.notices import notify, remove_old_notices, unread_of

pytestmark = pytest.mark.django_db


def person(name: str, *roles: str) -> User:
    user = User.objects.create_user(name)
    for role in roles:
        Membership.objects.create(user=user, organization="demo", role=role)
    return user


def browser(user: User) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def tell(name: str, number: int, *, kind: str = "job.done") -> None:
    notify(
        [name], kind=kind, facts={"job": "import", "arguments": f"<b>{number}"}, path="/ops/jobs/7/", key=str(number)
    )


def test_a_person_is_told_once_under_a_key_and_strangers_are_left_out() -> None:
    rita, _bob, left = person("rita", "agent"), person("bob", "agent"), person("left", "agent")
    User.objects.filter(pk=left.pk).update(is_active=False)

    for _ in range(2):
        notify(["rita", "bob", "left", "nobody"], kind="job.done", facts={"job": "a\x00b"}, path="/ops/", key="k")
    notify(["rita"], kind="job.failed", facts={}, path="/ops/", key="other")

    assert sorted(Notice.objects.values_list("user__username", "key")) == [
        ("bob", "k"),
        ("rita", "k"),
        ("rita", "other"),
    ]
    assert Notice.objects.get(user=rita, key="k").facts == {"job": "ab"}


def test_a_notice_goes_with_the_transaction_that_tells_it() -> None:
    person("rita", "agent")

    with transaction.atomic():
        tell("rita", 1)
        transaction.set_rollback(True)

    assert not Notice.objects.exists()


@pytest.mark.parametrize("path", ["", "ops/", "//elsewhere/", "/\\elsewhere", "https://elsewhere/", "/a b", "/a\nb"])
def test_a_notice_leads_nowhere_else(path: str) -> None:
    person("rita", "agent")

    with pytest.raises(ValueError, match="no path of this site"):
        notify(["rita"], kind="job.done", facts={}, path=path, key="k")

    assert not Notice.objects.exists()


def test_the_list_words_each_notice_in_the_readers_language_page_by_page() -> None:
    rita = browser(person("rita", "agent"))
    for number in range(3):
        tell("rita", number)
    tell("rita", 3, kind="of.a.room.that.is.gone")

    first = rita.get("/notices/?limit=2&lang=en").content.decode()
    body = rita.get("/api/v1/notices?limit=2").json()
    second = rita.get("/notices/", {"limit": "2", "cursor": body["next_cursor"]}).content.decode()
    chinese = rita.get("/notices/?lang=zh-hans").content.decode()

    assert "import is done: &lt;b&gt;2" in first
    assert "of.a.room.that.is.gone" in first
    assert (body["unread"], [item["text"] for item in body["items"]]) == (
        4, ["Notice: of.a.room.that.is.gone", "import is done: <b>2"],
    )  # fmt: skip
    assert ("import is done: &lt;b&gt;1" in second, "next-page" in second) == (True, False)
    assert "import已完成：&lt;b&gt;2" in chinese


def test_reading_marks_one_and_leads_there_and_all_stops_at_what_was_shown() -> None:
    rita_, rita = person("rita", "agent"), browser(User.objects.get(username="rita"))
    for number in range(4):
        tell("rita", number)
    first, second, third, _fourth = Notice.objects.order_by("pk")

    opened = rita.post(f"/notices/{first.pk}/read/", {"then": "open"})
    ticked = rita.post(f"/notices/{second.pk}/read/", {"then": "stay"})
    assert (opened.headers["Location"], ticked.headers["Location"]) == ("/ops/jobs/7/", "/notices/")
    assert unread_of(rita_.pk).count == 2

    rita.post("/notices/read/", {"latest": third.pk})
    assert unread_of(rita_.pk).count == 1
    rita.post("/notices/read/", {"latest": "9" * 40})
    assert unread_of(rita_.pk).count == 1


def test_nobody_reads_or_marks_what_another_was_told() -> None:
    person("rita", "agent")
    bob = browser(person("bob", "ops"))
    tell("rita", 1)
    notice = Notice.objects.get()

    assert bob.post(f"/notices/{notice.pk}/read/", {"then": "open"}).status_code == 404
    bob.post("/notices/read/", {"latest": notice.pk})
    assert bob.get("/api/v1/notices").json()["items"] == []
    assert "notices-empty" in bob.get("/notices/").content.decode()
    assert bob.get(f"/notices/{notice.pk}/read/").status_code == 405
    assert Notice.objects.filter(read_at=None).count() == 1


def test_the_badge_stops_counting_at_99_and_answers_304_while_nothing_changed() -> None:
    user = person("rita", "agent")
    rita = browser(user)
    Notice.objects.bulk_create(
        Notice(user=user, key=str(number), kind="job.done", path="/", created_at=clock.now()) for number in range(120)
    )

    told = rita.get("/api/v1/notices?limit=1")
    again = rita.get("/api/v1/notices?limit=1", headers={"If-None-Match": told.headers["ETag"]})
    page = rita.get("/notices/").content.decode()
    tell("rita", 500)
    other = rita.get("/api/v1/notices?limit=1", headers={"If-None-Match": told.headers["ETag"]})

    assert (told.json()["unread"], told.json()["unread_shown"], told.json()["label"]) == (
        100, "99+", "Notices, 99+ unread",
    )  # fmt: skip
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    assert ('data-unread="100"' in page, ">99+<" in page) == (True, True)


def test_old_notices_go_read_or_not_and_the_others_stay() -> None:
    user = person("rita", "agent")
    for number, days in enumerate((91, 90, 89)):
        at = clock.now() - timedelta(days=days, seconds=5)
        Notice.objects.create(user=user, key=str(number), kind="job.done", path="/", created_at=at)

    assert (remove_old_notices(), remove_old_notices()) == (2, 0)
    assert Notice.objects.get().key == "2"
