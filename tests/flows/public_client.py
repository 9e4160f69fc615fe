"""The public client package as its users run it: in a process of its own, unmodified, told what to call line by line.

Reads `{"door": "grpc|billing|identity", "call": name, "with": {...}}` and answers `{"answer": ...}` or
`{"refused": ...}`.
It imports nothing of ours: both sides register the protobuf names of package `counter`, and a second import fails.
"""

import datetime
import json
import sys
from typing import Any

import django
import django.utils.timezone
import grpc
from django.conf import settings

django.utils.timezone.utc = datetime.UTC  # the package still uses what Django 5 removed


def configure(grpc_address: str, web: str, key: str) -> None:
    """The package reads its settings when it is imported."""
    common = {"APIKEY": key, "CACHE_API": False, "API_TIMEOUT": 20, "API_HEADERS": {}}
    settings.configure(
        INSTALLED_APPS=["rest_framework"], USE_TZ=True, DEFAULT_CHARSET="utf-8",
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
        BILLINGCLIENT=common | {"API_ROOT_URL": web, "GRPC_ADDRESS": grpc_address},
        ONLYUSERCLIENT=common | {"API_ROOT_URL": web, "ONLYUSER_PFX": "/onlyuser"},
    )  # fmt: skip
    django.setup()


def plain(value: Any) -> Any:
    """An answer as JSON."""
    if hasattr(value, "DESCRIPTOR"):
        return {field.name: plain(getattr(value, field.name)) for field in value.DESCRIPTOR.fields}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, str | int | float | dict | None):
        return value
    return [plain(one) for one in value]


def refused(error: Exception) -> dict[str, Any]:
    """What the package makes of a refusal."""
    if isinstance(error, grpc.RpcError):
        facts = dict(error.trailing_metadata() or ())
        return {"status": error.code().name, "reason": facts.get("x-reason"), "code": facts.get("x-code")}
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    return {"kind": type(error).__name__, "status": status, "code": code}


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.datetime.fromisoformat(value) if name.endswith("_time") or name == "expire" else value
        for name, value in arguments.items()
    }


def main() -> None:
    grpc_address, web, key = sys.argv[1:]
    configure(grpc_address, web, key)
    from onlyuserclient.api.billing import billingapi  # noqa: PLC0415  only once it is configured
    from onlyuserclient.api.onlyuser import onlyuserapi  # noqa: PLC0415
    from onlyuserclient.grpc.billing.counter import CounterClient  # noqa: PLC0415

    doors = {"grpc": CounterClient(grpc_address), "billing": billingapi, "identity": onlyuserapi}
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            call = getattr(doors[asked["door"]], asked["call"])
            answer = {"answer": plain(call(**given(asked["with"])))}
        except Exception as error:  # noqa: BLE001  whatever the package raises is what the story looks at
            answer = {"refused": refused(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
