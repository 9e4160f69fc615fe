"""One key, one answer: repeated, contradicted, at the same time, after a crash."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from django.urls import path

from billing_platform import auth, clock
from billing_platform.api import door, read_json
from billing_platform.errors import Conflict, Unavailable
from billing_platform.idempotency import idempotent, remove_old_answers
from billing_platform.models import StoredAnswer

WRITERS = auth.audience(roles=("ops",), scopes=("call:write",))


class Shop:
    """What the door under test sells; counts how often it really ran."""

    def __init__(self) -> None:
        self.sold = 0
        self.fails: list[Exception] = []
        self.doors_open = threading.Event()
        self.inside = threading.Event()
        self.doors_open.set()

    def sell(self, request: HttpRequest) -> HttpResponse:
        self.inside.set()
        assert self.doors_open.wait(60)
        if self.fails:
            raise self.fails.pop()
        self.sold += 1
        return JsonResponse({"order": self.sold, "plan": read_json(request)["plan"]}, status=201)


shop = Shop()


@door(WRITERS, ("POST",))
def orders(request: HttpRequest) -> HttpResponse:
    return idempotent(request, lambda: shop.sell(request))


urlpatterns = [path("api/v1/orders", orders), path("api/v1/other", orders)]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def _fresh_shop(db: None) -> Iterator[None]:
    shop.__init__()  # type: ignore[misc]  # the same object, as the door knows it
    auth.forget_keys()
    yield
    clock.set_test_instant(None)


@pytest.fixture
def key() -> str:
    return auth.issue_key(name="shop", organization="acme", scopes=["call:write"])


def order(
    key: str, *, idempotency: str | None = "k1", plan: str = "gold", where: str = "/api/v1/orders"
) -> HttpResponse:
    headers = {"apikey": key} | ({"Idempotency-Key": idempotency} if idempotency is not None else {})
    return Client().post(where, {"plan": plan}, content_type="application/json", headers=headers)


def test_the_same_request_gets_the_first_answer(key: str) -> None:
    first, second = order(key), order(key)

    assert (first.status_code, first.json()) == (201, {"order": 1, "plan": "gold"})
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["Content-Type"] == "application/json"
    assert second.headers["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first.headers
    assert shop.sold == 1


def test_other_content_under_the_same_key_is_a_conflict(key: str) -> None:
    order(key)

    refused = order(key, plan="silver")

    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")
    assert shop.sold == 1


def test_keys_are_scoped_by_path_caller_and_organisation(key: str) -> None:
    colleague = auth.issue_key(name="second", organization="acme", scopes=["call:write"])
    stranger = auth.issue_key(name="shop", organization="echo", scopes=["call:write"])

    answers = [order(key), order(key, where="/api/v1/other"), order(colleague), order(stranger)]

    assert [answer.json()["order"] for answer in answers] == [1, 2, 3, 4]


@pytest.mark.parametrize("bad", [None, "", "x" * 256, "with blank", "中", "tab\t", "del\x7f"])
def test_a_missing_or_strange_key_is_400_and_nothing_runs(key: str, bad: str | None) -> None:
    refused = order(key, idempotency=bad)

    assert (refused.status_code, refused.json()["code"]) == (400, "validation")
    assert set(refused.json()["errors"]) == {"Idempotency-Key"}
    assert shop.sold == 0
    assert not StoredAnswer.objects.exists()


def test_255_letters_are_a_key(key: str) -> None:
    assert order(key, idempotency="!" * 254 + "~").status_code == 201


def test_a_refusal_is_an_answer_too(key: str) -> None:
    shop.fails = [Conflict("sold out")]

    first, second = order(key), order(key)

    assert (first.status_code, second.status_code, shop.sold) == (409, 409, 0)
    assert second.content == first.content
    assert second.headers["Idempotent-Replay"] == "true"


def test_trouble_is_forgotten_so_that_a_repeat_runs(key: str) -> None:
    shop.fails = [Unavailable()]

    first, second = order(key), order(key)

    assert (first.status_code, second.status_code, shop.sold) == (503, 201, 1)


def test_a_fault_gives_the_key_back(key: str) -> None:
    shop.fails = [ZeroDivisionError()]

    with pytest.raises(ZeroDivisionError):
        order(key)

    assert order(key).status_code == 201


def test_a_person_may_go_without_a_key(django_user_model: type) -> None:
    person = auth.Caller("person", "1", "acme", roles=frozenset({"ops"}), user_id=1, name="olga")
    request = RequestFactory().post("/api/v1/orders", '{"plan": "gold"}', content_type="application/json")
    request._caller = person  # type: ignore[attr-defined]

    answers = [idempotent(request, lambda: shop.sell(request)).status_code for _ in range(2)]

    assert (answers, shop.sold) == ([201, 201], 2)
    assert not StoredAnswer.objects.exists()


def test_a_claim_left_by_a_crash_is_taken_over_after_a_minute(key: str) -> None:
    order(key)
    at = clock.now()
    StoredAnswer.objects.update(answered_at=None, created_at=at)

    clock.set_test_instant(at + timedelta(seconds=59))
    still_waiting = order(key)
    clock.set_test_instant(at + timedelta(seconds=61))
    refused, taken_over = order(key, plan="silver"), order(key)

    assert (still_waiting.status_code, still_waiting.json()["code"]) == (409, "in_progress")
    assert still_waiting.headers["Retry-After"] == "2"
    assert refused.json()["code"] == "idempotency_conflict"
    assert (taken_over.status_code, taken_over.json()["order"]) == (201, 2)


def test_answers_are_kept_for_a_day(key: str) -> None:
    order(key, idempotency="old")
    order(key, idempotency="young")
    StoredAnswer.objects.filter(key="old").update(created_at=clock.now() - timedelta(hours=24, seconds=1))

    removed = remove_old_answers()

    assert removed == 1
    assert list(StoredAnswer.objects.values_list("key", flat=True)) == ["young"]


@pytest.mark.django_db(transaction=True)
def test_while_the_first_runs_the_second_is_told_to_wait(key: str) -> None:
    shop.doors_open.clear()
    answers: list[HttpResponse] = []

    def first() -> None:
        answers.append(order(key))
        connection.close()

    running = threading.Thread(target=first)
    running.start()
    assert shop.inside.wait(60)
    second = order(key)
    shop.doors_open.set()
    running.join(60)

    assert (second.status_code, second.json()["code"], second.json()["retryable"]) == (409, "in_progress", True)
    assert (answers[0].status_code, order(key).content) == (201, answers[0].content)
    assert shop.sold == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_run_once(key: str) -> None:
    barrier = threading.Barrier(20)
    answers: list[HttpResponse] = []

    def one() -> None:
        barrier.wait(60)
        answers.append(order(key))
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(answers) == 20
    assert shop.sold == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.content for answer in answers if answer.status_code == 201} == {b'{"order": 1, "plan": "gold"}'}
