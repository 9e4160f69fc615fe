"""A platform with a webhook, and how it signs."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.test import Client

from billing_platform import clock
from billing_platform.auth import hashed_secret
from billing_platform.webhooks import sealed_secret
from cdr.models import Provider

TOKEN, SECRET, KEY = "hook-token", "a shared secret", "key-1"
_numbers = count(1)


@dataclass
class Platform:
    """A generic platform that reports to us."""

    row: Provider
    client: Client

    def push(self, content: object, kind: str = "cdr", **proof: Any) -> Any:
        """A push; `proof` may replace token, key, secret, at, body (signed) or sent (the bytes on the wire)."""
        body = proof.get("body", json.dumps(content).encode() if not isinstance(content, bytes) else content)
        at = proof.get("at", int(clock.now().timestamp()))
        headers = {"X-Key": proof.get("key", KEY), "X-Signature": signature(body, proof.get("secret", SECRET), at)}
        headers |= proof.get("headers", {})
        token = proof.get("token", TOKEN)
        path = f"/api/v1/providers/{proof.get('code', self.row.code)}/{token}/{kind}"
        return self.client.post(
            path, proof.get("sent", body), content_type="application/json",
            headers={name: value for name, value in headers.items() if value is not None},
        )  # fmt: skip


def signature(body: bytes, secret: str, at: int) -> str:
    """`t=…,v1=…`, as the platform makes it."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def make_platform(organization: str = "", *, code: str = "") -> Platform:
    """A provider row of its own for one test."""
    row = Provider.objects.create(
        code=code or f"platform{next(_numbers)}", platform="generic", organization=organization, key_name=KEY,
        hook_token_hash=hashed_secret(TOKEN), secret=sealed_secret(SECRET),
    )  # fmt: skip
    return Platform(row, Client())
