"""`/onlyuser/`: the small identity look-ups of the public contract's client."""

from dataclasses import asdict

from django.http import HttpRequest

from billing_platform import clock
from counter import identity
from counter.access import Access
from counter.api import READ, Json, accno_of_organization, query
from counter.parsing import parse_accno, parse_text
from counter.rest import Body, contract

REACHES = ("department", "branch", "organization")


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
