"""Doors: strict JSON, problem JSON, audiences, cursors."""

import json
import re
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_platform import auth, strict_json
from billing_platform.api import StrictSerializer, door, page_request, problem_response, read_json
from billing_platform.errors import Malformed, PlatformError, TooLarge, Unavailable
from billing_platform.models import Membership

WRITERS = auth.audience(roles=("ops",), scopes=("cdr:write",))


class OrderSerializer(StrictSerializer):
    plan = serializers.CharField(max_length=10)


class OrderView(APIView):
    audience = {"POST": WRITERS}

    def post(self, request: Request) -> Response:
        order = OrderSerializer(data=request.data)
        order.is_valid(raise_exception=True)
        return Response(order.validated_data)


class ForgottenView(APIView):
    def get(self, request: Request) -> Response:
        return Response({})


@door(WRITERS, ("POST",))
def record(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"read": str(read_json(request)), "caller": request.caller.actor})  # type: ignore[attr-defined]


@door(auth.EVERYBODY)
def broken(request: HttpRequest) -> HttpResponse:
    raise Unavailable(retry_after=7)


@door({"GET": auth.audience(scopes=("cdr:read",)), "POST": WRITERS})
def both(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"method": request.method})


urlpatterns = [
    path("api/v1/both", both),
    path("api/v1/orders", OrderView.as_view()),
    path("api/v1/forgotten", ForgottenView.as_view()),
    path("api/v1/records", record),
    path("api/v1/broken", broken),
]
in_this_file = pytest.mark.urls(__name__)


@pytest.fixture
def key(db: None) -> str:
    auth.forget_keys()
    return auth.issue_key(name="switch", organization="acme", scopes=["cdr:write"])


def post(path: str, body: bytes | str, *, key: str, content_type: str = "application/json") -> HttpResponse:
    return Client().post(path, body, content_type=content_type, headers={"apikey": key})


REFUSED_JSON = {
    "empty": b"",
    "truncated": b'{"a": 1',
    "trailing_comma": b'{"a": 1,}',
    "not_json": b"plan=gold",
    "two_values": b"{} {}",
    "byte_order_mark": b"\xef\xbb\xbf{}",
    "utf16": '{"a": 1}'.encode("utf-16"),
    "latin1": b'{"a": "\xe9"}',
    "overlong_utf8": b'{"a": "\xc0\xaf"}',
    "encoded_surrogate": b'{"a": "\xed\xa0\x80"}',
    "lone_surrogate": rb'{"a": "\ud800"}',
    "reversed_surrogates": rb'{"a": "\udc00\ud800"}',
    "surrogate_as_name": rb'{"\udfff": 1}',
    "nul_escape": rb'{"a": "x\u0000y"}',
    "nul_escape_in_list": rb'{"a": ["x", {"b": "\u0000"}]}',
    "nul_as_name": rb'{"\u0000": 1}',
    "raw_nul": b'{"a": "x\x00y"}',
    "control_character": b'{"a": "x\x01y"}',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "minus_infinity": b'{"a": -Infinity}',
    "overflowing_exponent": b'{"a": 1e999}',
    "huge_exponent": b'{"a": 1e1000000}',
    "name_twice": b'{"a": 1, "a": 1}',
    "name_twice_deep": b'{"a": [{"b": 1, "b": 2}]}',
    "name_twice_by_escape": rb'{"a": 1, "\u0061": 2}',
    "integer_of_5000_digits": b'{"a": ' + b"9" * 5000 + b"}",
    "fraction_of_5000_digits": b'{"a": 0.' + b"1" * 5000 + b"}",
    "leading_zero": b'{"a": 012}',
    "arabic_digits": '{"a": ٣}'.encode(),
    "nine_deep": b"[" * 9 + b"]" * 9,
    "a_hundred_thousand_brackets": b"[" * 100_000,
    "fifty_thousand_objects": b'{"a":' * 50_000,
    "brackets_behind_an_escaped_quote": rb'["\"", [[[[[[[[[1]]]]]]]]]]',
    "unclosed_string_with_brackets": b'{"a": "' + b"[" * 1000,
}


@pytest.mark.parametrize("body", REFUSED_JSON.values(), ids=REFUSED_JSON.keys())
def test_refuses_what_is_not_strict_json(body: bytes) -> None:
    with pytest.raises(Malformed):
        strict_json.parse_json(body)


def test_reads_values_exactly() -> None:
    body = r'{"text": "\ud83d\ude00 中文 \" [[[[[[[[[[", "n": 10000000000000000000000000000000, "f": 0.10, "no": null}'

    value = strict_json.parse_json(body.encode())

    assert value == {"text": '😀 中文 " [[[[[[[[[[', "n": 10**31, "f": Decimal("0.10"), "no": None}
    assert str(value["f"]) == "0.10"


def test_bytes_are_judged_before_anything_else() -> None:
    with pytest.raises(TooLarge) as refusal:
        strict_json.parse_json(b"[" * 300_000)

    assert refusal.value.fields == {"limit": 262_144}


def test_eight_levels_are_allowed_and_brackets_inside_text_do_not_count() -> None:
    assert strict_json.parse_json(b"[" * 8 + b"]" * 8) == [[[[[[[[]]]]]]]]
    assert strict_json.parse_json(rb'["\\", "[[[[[[[[[[", "\\\"{{{{{{{{{{"]')[1] == "[" * 10


@in_this_file
@pytest.mark.parametrize("body", list(REFUSED_JSON.values())[1:], ids=list(REFUSED_JSON)[1:])
@pytest.mark.parametrize("door_path", ["/api/v1/records", "/api/v1/orders"])
def test_both_kinds_of_doors_answer_400_and_never_500(key: str, door_path: str, body: bytes) -> None:
    response = post(door_path, body, key=key)

    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert response.headers["Content-Type"] == "application/problem+json"


@in_this_file
@pytest.mark.parametrize("door_path", ["/api/v1/records", "/api/v1/orders"])
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=gbk", ""]
)
def test_other_content_types_are_415(key: str, door_path: str, content_type: str) -> None:
    response = post(door_path, b'{"plan": "gold"}', key=key, content_type=content_type)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


@in_this_file
def test_no_body_at_all_is_malformed_and_for_a_serializer_an_object_without_fields(key: str) -> None:
    client = Client(headers={"apikey": key})

    plain = client.generic("POST", "/api/v1/records", b"", CONTENT_TYPE="application/json")
    rest = client.generic("POST", "/api/v1/orders", b"", CONTENT_TYPE="application/json")

    assert (plain.status_code, plain.json()["code"]) == (400, "malformed")
    assert (rest.status_code, set(rest.json()["errors"])) == (422, {"plan"})


@in_this_file
def test_utf8_may_be_named(key: str) -> None:
    response = post("/api/v1/orders", b'{"plan": "gold"}', key=key, content_type='application/json; charset="UTF-8"')

    assert (response.status_code, response.json()) == (200, {"plan": "gold"})


@in_this_file
@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (b'{"plan": "gold", "price": "0.01"}', {"price": ["unknown field"]}),
        (b"{}", {"plan"}),
        (b'{"plan": "longer than ten"}', {"plan"}),
        (b"[]", {"non_field_errors"}),
    ],
)
def test_fields_that_make_no_sense_are_422_by_name(key: str, body: bytes, errors: dict[str, object]) -> None:
    response = post("/api/v1/orders", body, key=key)

    assert (response.status_code, response.json()["code"]) == (422, "validation")
    assert set(response.json()["errors"]) == set(errors)


def refusals() -> list[type[PlatformError]]:
    found, queue = [], [PlatformError]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


@pytest.mark.parametrize("kind", refusals(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_refusal_is_a_problem_with_code_and_status(kind: type[PlatformError]) -> None:
    refusal = kind.__new__(kind)
    PlatformError.__init__(refusal, "why", ref="r1")

    response = problem_response(refusal)
    problem = json.loads(response.content)

    assert response.status_code == problem["status"] == kind.http_status
    assert 400 <= kind.http_status <= 599
    assert problem == {
        "ref": "r1", "type": f"urn:problem:{kind.code}", "title": str(kind.title), "status": kind.http_status,
        "detail": "why", "code": kind.code, "retryable": kind.retryable,
    }  # fmt: skip
    assert ("Retry-After" in response.headers) is kind.retryable
    assert re.fullmatch(r"[a-z0-9_]+", kind.code)


@in_this_file
def test_a_retryable_refusal_says_when(db: None) -> None:
    response = Client().get("/api/v1/broken")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert response.json()["retryable"] is True


@in_this_file
def test_audiences_deny_by_default(key: str) -> None:
    client = Client(headers={"apikey": key})

    assert Client().get("/api/v1/forgotten").status_code == 401
    assert client.get("/api/v1/forgotten").status_code == 403
    assert client.get("/api/v1/orders").status_code == 403
    assert Client().post("/api/v1/records").json()["code"] == "unauthenticated"


@in_this_file
def test_a_key_without_the_scope_is_told_which_one_it_needs(db: None) -> None:
    other = auth.issue_key(name="reader", organization="acme", scopes=["cdr:read"])

    response = post("/api/v1/records", b"{}", key=other)

    assert (response.status_code, response.json()["needs"]) == (403, ["cdr:write"])


@in_this_file
@pytest.mark.parametrize("door_path", ["/api/v1/records", "/api/v1/orders"])
def test_a_person_needs_the_csrf_token_and_a_program_does_not(key: str, door_path: str) -> None:
    olga = User.objects.create_user("olga")
    Membership.objects.create(user=olga, organization="acme", role="ops")
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    token = "t" * 32
    client.cookies["csrftoken"] = token

    body = {"data": b'{"plan": "gold"}', "content_type": "application/json"}
    without = client.post(door_path, **body)
    with_token = client.post(door_path, **body, headers={"X-CSRFToken": token})
    program = Client(enforce_csrf_checks=True).post(door_path, **body, headers={"apikey": key})

    assert (without.status_code, without.json()["code"]) == (403, "csrf_failed")
    assert (with_token.status_code, program.status_code) == (200, 200)


@in_this_file
def test_other_methods_are_405_and_name_the_right_ones(key: str) -> None:
    response = Client(headers={"apikey": key}).get("/api/v1/records")

    assert (response.status_code, response.json()["allowed"]) == (405, ["POST"])


def test_a_cursor_leads_from_page_to_page() -> None:
    rows = list(range(10, 0, -1))

    first = page_request({"limit": "4"}, view="cdrs").page(rows[:5], lambda row: [row], view="cdrs")
    then = page_request({"limit": "4", "cursor": first.next_cursor or ""}, view="cdrs")
    last = then.page([6, 5], lambda row: [row], view="cdrs")

    assert (first.items, then.after) == ([10, 9, 8, 7], [7])
    assert (last.items, last.next_cursor) == ([6, 5], None)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "201"}, {"limit": "1000000000"}, {"limit": "-1"}, {"limit": "٣"}, {"limit": "1_0"},
        {"limit": ""}, {"cursor": "nonsense"}, {"cursor": "a:b"}, {"cursor": "x" * 1000}, {"cursor": "\0"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_limits_and_cursors_are_malformed(query: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        page_request(query, view="cdrs")


def test_a_cursor_of_another_list_is_refused() -> None:
    cursor = page_request({"limit": "1"}, view="cdrs").page([1, 2], lambda row: [row], view="cdrs").next_cursor

    with pytest.raises(Malformed):
        page_request({"cursor": cursor or ""}, view="transfers")


@in_this_file
def test_a_door_may_serve_each_method_to_its_own_callers(key: str) -> None:
    client = Client(headers={"apikey": key})

    read, written, removed = client.get("/api/v1/both"), client.post("/api/v1/both"), client.delete("/api/v1/both")

    assert (read.status_code, read.json()["needs"]) == (403, ["cdr:read"])
    assert (written.status_code, written.json()) == (200, {"method": "POST"})
    assert (removed.status_code, removed.json()["allowed"]) == (405, ["GET", "POST"])
