"""`/api/billaccounts/` and `/onlyuser/`: the public contract over REST. Parse, call one function, show the receipt."""

from dataclasses import asdict
from decimal import Decimal

from django.http import HttpRequest

from billing_platform import clock
from billing_platform.models import Scope
from billing_platform.money import amount_text
from counter import committer, directory, identity, resources, starting
from counter.access import Access
from counter.errors import AccountNotFound, CounterError, Invalid
from counter.metered import Submission
from counter.parsing import LABEL_BYTES, PROVIDERNO_BYTES, SUMMARY_MAX, parse_accno, parse_text
from counter.resources import Change, Occupied
from counter.rest import Body, contract, time_text
from counter.uses import ServiceUse, UseRequest
from ledger.accounts import Account, find_account

READ, USE = Scope.COUNTER_READ.value, Scope.COUNTER_USE.value
REACHES = ("department", "branch", "organization")
KINDS = {"personal": "PS", "company": "CO"}
USE_FIELDS = ("providerno", "label", "start_time", "count", "summary", "application", "organization")
Json = dict[str, object]


@contract("GET", READ)
def account_view(request: HttpRequest, access: Access, number: str) -> Json:
    account = find_account(parse_accno(number))
    if account is None or not access.sees(account.organization):
        raise AccountNotFound
    return _account_json(account)


@contract("GET", READ)
def personal_account_view(request: HttpRequest, access: Access) -> Json:
    bound = directory.query_account(
        user=query(request, "userid"), application="", organization="", at=clock.now(),
        organizations=access.organizations,
    )  # fmt: skip
    return _account_json(bound.account)


@contract("GET", READ)
def from_organization_view(request: HttpRequest, access: Access) -> Json:
    return accno_of_organization(query(request, "organization_id"), access)


def accno_of_organization(organization: str, access: Access) -> Json:
    """`{accno}` of the account that pays for an organisation now. Raises AccountNotBound."""
    bound = directory.query_account(
        user="", application="", organization=organization, at=clock.now(), organizations=access.organizations
    )
    return {"accno": bound.account.accno}


@contract("GET", READ)
def sub_accounts_view(request: HttpRequest, access: Access, number: str) -> Json:
    label = parse_text(request.GET.get("label", ""), "label", bytes_max=LABEL_BYTES)
    found = directory.query_sub_accounts(
        parse_accno(number), label=label, at=clock.now(), organizations=access.organizations
    )
    return {"accounts": list(found.accnos)}


@contract("POST", READ)
def usable_service_view(request: HttpRequest, access: Access, number: str) -> Json:
    body = Body(request, "label", "count", "check_quota")
    asked = UseRequest(
        parse_accno(number), body.needed_text("label", bytes_max=LABEL_BYTES), count=body.count(),
        check_quota=body.flag("check_quota"),
    )  # fmt: skip
    verdict = starting.check_service(asked, organizations=access.organizations, at=clock.now())
    return {"usable": verdict.usable, "code": verdict.code, "reason": verdict.reason, "detail": verdict.detail}


@contract("POST", USE)
def request_service_view(request: HttpRequest, access: Access, number: str) -> Json:
    body = Body(request, *USE_FIELDS, "expire")
    asked = UseRequest(
        parse_accno(number), body.needed_text("label", bytes_max=LABEL_BYTES),
        body.needed_text("providerno", bytes_max=PROVIDERNO_BYTES), body.time("start_time"), body.count(),
        summary=body.cut_text("summary", characters_max=SUMMARY_MAX), application=body.text("application"),
        organization=body.text("organization"), expire=body.time("expire"),
    )  # fmt: skip
    receipt = committer.start_repeatedly(asked, organizations=access.organizations)
    return {
        "svcno": receipt.svcno, "expire": time_text(receipt.expire), "hold": _exact(receipt.hold),
        "max_seconds": receipt.max_seconds, "duplicate": receipt.duplicate,
    }  # fmt: skip


@contract("POST", USE)
def finished_service_view(request: HttpRequest, access: Access, number: str) -> Json:
    body = Body(request, *USE_FIELDS, "finish_time", "svcno")
    use = ServiceUse(
        parse_accno(number), body.needed_text("label", bytes_max=LABEL_BYTES),
        body.text("providerno", bytes_max=PROVIDERNO_BYTES), body.time("start_time"), body.time("finish_time"),
        body.count(), body.text("svcno", bytes_max=32), body.cut_text("summary", characters_max=SUMMARY_MAX),
        body.text("application"), body.text("organization"),
    )  # fmt: skip
    if not use.providerno and not use.svcno:
        raise Invalid("providerno: missing", fields={"providerno": "missing"})
    (receipt,) = committer.settle([Submission(use, access.organizations)])
    if isinstance(receipt, CounterError):
        raise receipt
    return {
        "svcno": receipt.svcno, "start_time": time_text(receipt.start), "finish_time": time_text(receipt.finish),
        "count": _exact(receipt.count), "cost": _exact(receipt.cost), "currency": receipt.currency,
        "duplicate": receipt.duplicate, "record_id": receipt.record_id,
    }  # fmt: skip


@contract("POST", USE)
def increase_resource_view(request: HttpRequest, access: Access, number: str) -> Json:
    change = _change(request, access, number)
    return _occupied_json(resources.increase(change, organizations=access.organizations, at=clock.now()))


@contract("POST", USE)
def reduce_resource_view(request: HttpRequest, access: Access, number: str) -> Json:
    change = _change(request, access, number)
    return _occupied_json(resources.reduce(change, organizations=access.organizations, at=clock.now()))


def _change(request: HttpRequest, access: Access, number: str) -> Change:
    """Here `total` 0 is a real zero."""
    body = Body(request, "label", "count", "total")
    total = body.whole("total")
    if total is not None and total < 0:
        raise Invalid("total: negative", fields={"total": "negative"})
    label = body.needed_text("label", bytes_max=LABEL_BYTES)
    return Change(parse_accno(number), label, body.count(), total, actor=access.actor)


def _occupied_json(occupied: Occupied) -> Json:
    return {"usage": occupied.usage, "limits": occupied.limits or None}


# --- identity ---------------------------------------------------------------------------------------------------------


@contract("GET", READ)
def organization_account_view(request: HttpRequest, access: Access, code: str) -> Json:
    return accno_of_organization(parse_text(code, "organization"), access)


@contract("GET", READ)
def tree_members_view(request: HttpRequest, access: Access, code: str) -> list[Json]:
    people = identity.tree_members(parse_text(code, "organization"), organizations=access.organizations)
    return [asdict(person) for person in people]


@contract("GET", READ)
def unit_members_view(request: HttpRequest, access: Access, user_id: str) -> list[Json]:
    people = identity.unit_members(user_id, query(request, "organization_id"), organizations=access.organizations)
    return [asdict(person) for person in people]


@contract("GET", READ)
def bound_organizations_view(request: HttpRequest, access: Access) -> list[Json]:
    found = identity.bound_organizations(
        parse_accno(query(request, "accno")), at=clock.now(), organizations=access.organizations
    )
    return [asdict(organization) for organization in found]


@contract("GET", READ)
def organization_view(request: HttpRequest, access: Access, code: str) -> Json:
    return asdict(identity.load_organization(parse_text(code, "organization"), organizations=access.organizations))


@contract("GET", READ)
def application_view(request: HttpRequest, access: Access, code: str) -> Json:
    return asdict(identity.load_application(parse_text(code, "application")))


@contract("GET", READ)
def person_view(request: HttpRequest, access: Access, user_id: str) -> Json:
    return asdict(identity.load_person(user_id, organizations=access.organizations))


@contract("GET", READ)
def apply_application_view(request: HttpRequest, access: Access) -> Json:
    identity.require_application(
        query(request, "application"), user=parse_text(request.GET.get("user", ""), "user"),
        organization=parse_text(request.GET.get("organization", ""), "organization"), at=clock.now(),
        organizations=access.organizations,
    )  # fmt: skip
    return {"code": 0, "detail": ""}


@contract("POST", READ)
def people_around_view(request: HttpRequest, access: Access, reach: str) -> list[str]:
    body = Body(request, "app_id", "user_id", "organization_id")
    return identity.people_around(
        body.needed_text("user_id"), body.needed_text("organization_id"), reach=reach,
        organizations=access.organizations,
    )  # fmt: skip


# --- values -----------------------------------------------------------------------------------------------------------


def query(request: HttpRequest, name: str) -> str:
    """A query parameter that is needed. Raises Invalid."""
    value = parse_text(request.GET.get(name, ""), name)
    if not value:
        raise Invalid(f"{name}: missing", fields={name: "missing"})
    return value


def _account_json(account: Account) -> Json:
    return {
        "id": str(account.id), "number": account.accno, "accno": account.accno, "name": account.name,
        "kind": KINDS[account.kind], "state": account.state, "balance": _exact(account.balance),
        "credit": _exact(account.credit_limit), "warning": _exact(account.warning_threshold),
        "held": _exact(account.held), "available": _exact(account.available), "currency": account.currency,
        "parent": account.parent_accno,
    }  # fmt: skip


def _exact(amount: Decimal) -> str:
    text = amount_text(amount)
    return text.rstrip("0").rstrip(".") if "." in text else text
