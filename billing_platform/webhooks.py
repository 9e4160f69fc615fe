"""Signing what we send (Standard Webhooks) and keeping the receivers' secrets encrypted."""

import base64
import functools
import hashlib
import hmac
import secrets
from datetime import datetime

from cryptography.fernet import Fernet
from django.conf import settings

PREFIX = "whsec_"


@functools.cache
def _safe(secret_key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"webhook-secrets:" + secret_key.encode()).digest()))


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64; shown to the receiver once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sealed_secret(secret: str) -> bytes:
    """As stored: encrypted under a key derived from SECRET_KEY."""
    return _safe(settings.SECRET_KEY).encrypt(secret.encode())


def opened_secret(stored: bytes) -> str:
    """The secret again. Raises cryptography.fernet.InvalidToken when SECRET_KEY is another one."""
    return _safe(settings.SECRET_KEY).decrypt(bytes(stored)).decode()


def signature(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def signed_headers(secret: str, *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a delivery; the id stays the same over retries."""
    timestamp = int(at.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id=message_id, timestamp=timestamp, body=body),
        "Content-Type": "application/json",
    }
