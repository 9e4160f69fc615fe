import json
from dataclasses import dataclass, field
from email.message import Message as Headers
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request without the prefix of its wire format: `path` are the remaining segments."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, given `after_seconds` of wall clock; with `cut` the connection is closed without a word."""

    status: int
    body: bytes
    content_type: str = "application/json"
    after_seconds: float = field(default=0.0, kw_only=True)
    cut: bool = field(default=False, kw_only=True)


class Door(Protocol):
    """Whatever answers the requests under one prefix."""

    def answer(self, request: Request) -> Response: ...


class BadBody(ValueError):
    """A body that is not a JSON object, or not the one that was asked for."""


def json_response(status: int, content: object) -> Response:
    return Response(status, json.dumps(content, ensure_ascii=False).encode())


def refusal(status: int, code: str, *, detail: str = "") -> Response:
    return json_response(status, {"code": code, "detail": detail})


def json_object(body: bytes) -> dict[str, object]:
    """The body as a JSON object; an empty body is an empty object. Raises BadBody."""
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadBody("the body is not JSON") from error
    if not isinstance(content, dict):
        raise BadBody("the body is not a JSON object")
    return content


def whole_number(text: str, *, default: int, highest: int) -> int:
    """A query value between 0 and `highest`. Raises BadBody."""
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= highest):
        raise BadBody(f"a whole number up to {highest} is wanted")
    return int(text)
