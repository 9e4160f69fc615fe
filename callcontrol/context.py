"""Who a request is for, as the charge gate sees it: user, application, organisation, and whose word that is."""

from dataclasses import dataclass

from django.http import HttpRequest

from billing_platform import metrics
from billing_platform.auth import Caller, caller_of_request
from billing_platform.errors import NotFound
from billing_platform.models import Scope
from callcontrol import organizations

HEADERS = ("X-User-Id", "X-Application-Id", "X-Current-Org")
ID_MAX = 64


@dataclass(frozen=True, slots=True)
class BillingContext:
    """`source` says whose word it is: session, key (its own), gateway, integrator, or nobody."""

    user: str
    application: str
    organization: str
    source: str
    caller: Caller


def read_context(request: HttpRequest) -> BillingContext:
    """A person's own identity wins; identity headers count from a gateway or an integrator's key only.

    Raises Unauthenticated for a wrong key, NotFound for an organisation outside the key's own.
    """
    caller = caller_of_request(request)
    user, application, organization = (request.headers.get(name, "")[:ID_MAX] for name in HEADERS)
    if caller.kind != "key":
        if user or application or organization:
            metrics.gate_headers_ignored.labels(caller.kind).inc()
        return BillingContext(caller.id, "", caller.organization, "session" if caller.id else "nobody", caller)
    is_gateway = Scope.GATEWAY.value in caller.scopes
    if organization and not (is_gateway and not caller.organization):
        _require_inside(organization, caller)
    if not (user or application or organization):
        return BillingContext("", "", caller.organization, "key", caller)
    source = "gateway" if is_gateway else "integrator"
    return BillingContext(user, application, organization or caller.organization, source, caller)


def _require_inside(organization: str, caller: Caller) -> None:
    """Another organisation's name is answered as if it did not exist."""
    if not caller.organization or not organizations.is_inside(organization, caller.organization):
        raise NotFound
