"""A plain gRPC client for the tests: what any program may send, and what it gets back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from protos import counter_pb2 as wire
from protos.counter_pb2_grpc import CounterServiceStub

__all__ = ["Refused", "connected", "refusal", "wire"]
SECONDS = 10.0


@dataclass(frozen=True)
class Refused:
    """A refusal as a client sees it."""

    status: str
    facts: dict[str, str]
    details: str

    @property
    def told(self) -> tuple[str, str, str, str]:
        return (self.status, *(self.facts.get(name, "") for name in ("x-reason", "x-code", "x-retryable")))


@contextmanager
def connected(address: str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[CounterServiceStub]:
    options = [("grpc.enable_retries", 0)]
    channel = (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    )
    with channel:
        yield CounterServiceStub(channel)


def refusal(call: Any, request: Any, **more: Any) -> Refused:
    """The refusal that a call ends in."""
    try:
        answer = call(request, timeout=SECONDS, **more)
    except grpc.RpcError as error:
        return Refused(error.code().name, dict(error.trailing_metadata() or ()), error.details() or "")
    raise AssertionError(f"not refused: {answer}")
