"""The WSGI door: the busiest address takes a short cut, and nobody can tell from its answers."""

import io
import json
from typing import Any

import pytest
from django.test import Client

from billing_platform import wsgi
from billing_platform.auth import forget_keys
from billing_platform.models import Scope
from tests.cast import make_account, make_key

PATH = "/api/v1/cdrs"
CHANGING = frozenset({"X-Request-Id"})


def ask(body: bytes, *, method: str = "POST", **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of the answer to a request as a WSGI server hands it over."""
    told: list[Any] = []
    environ = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": PATH, "QUERY_STRING": "", "SERVER_NAME": "testserver",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "testserver",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), **headers,
    }  # fmt: skip
    content = b"".join(wsgi.application(environ, lambda *answer: told.extend(answer)))
    return int(told[0].split()[0]), dict(told[1]), json.loads(content)


@pytest.fixture(autouse=True)
def _no_known_keys() -> None:
    forget_keys()


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [("POST", b"{}", 422, "validation"), ("POST", b"[", 400, "malformed"), ("PUT", b"{}", 405, "method_not_allowed")],
)
def test_short_cut_answers_as_the_whole_way_does(
    module_database: object, method: str, body: bytes, status: int, code: str
) -> None:
    make_account("acme")
    key = make_key("acme", Scope.CDR_WRITE.value)

    found, headers, problem = ask(body, method=method, HTTP_APIKEY=key)
    whole = Client(headers={"apikey": key}).generic(method, PATH, body, content_type="application/json")

    assert (found, problem["code"]) == (status, code)
    assert (whole.status_code, whole.json()) == (status, problem)
    missing = {name for name in whole.headers if name not in headers and name not in {"X-Frame-Options", "Vary"}}
    assert not missing
    assert {name: headers[name] for name in headers if name not in CHANGING} == {
        name: whole.headers[name] for name in headers if name not in CHANGING
    }


def test_short_cut_reads_lists_too(module_database: object) -> None:
    make_account("acme")

    status, _headers, page = ask(b"", method="GET", HTTP_APIKEY=make_key("acme", Scope.CDR_READ.value))

    assert (status, page) == (200, {"items": [], "next_cursor": None})


@pytest.mark.parametrize("headers", [{"HTTP_APIKEY": "none.such"}, {"HTTP_AUTHORIZATION": "Bearer none.such"}])
def test_short_cut_refuses_a_wrong_key(module_database: object, headers: dict[str, str]) -> None:
    status, told, problem = ask(b"{}", **headers)

    assert (status, problem["code"]) == (401, "unauthenticated")
    assert told["WWW-Authenticate"] == 'Bearer realm="billing"'


def test_short_cut_keeps_to_our_names(module_database: object) -> None:
    status, _headers, problem = ask(b"{}", HTTP_APIKEY="none.such", HTTP_HOST="elsewhere.example")

    assert (status, problem["code"]) == (400, "malformed")
