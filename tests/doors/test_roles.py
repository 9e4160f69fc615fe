"""Who may use which address: one line for each, from the rules of the house and not from the code. Deny is the default.

An address without a line fails, so does a line without an address. Written `R` for `rate_admin`; scopes as keys name
them; `*` is everybody, strangers included.
"""

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import Client

from billing_platform.models import Membership, Role, Scope
from tests.cast import make_account, make_key
from tests.doors.routes import routes

LETTERS = {
    "A": Role.AGENT, "S": Role.SUPERVISOR, "R": Role.RATE_ADMIN, "O": Role.OPS, "F": Role.FINANCE, "U": Role.AUDITOR,
    "P": Role.PLATFORM_ADMIN,
}  # fmt: skip
PEOPLE = "A S R O F U P"
SCOPES = " ".join(Scope.values)
DECK_READERS = "R O F U P rate:read rate:write"
COUNTER_READ = {"GET": "counter:read"}
COUNTER_ASK = {"POST": "counter:read"}
COUNTER_USE = {"POST": "counter:use"}
MONEY = {"POST": "F"}
TABLE: dict[str, dict[str, str]] = {
    "/healthz": {"GET": "*"},
    "/readyz": {"GET": "*"},
    "/metrics": {"GET": "*"},  # from the own machine; from elsewhere see the tests of health
    "/login/": {"GET": "*", "POST": "*"},
    "/logout/": {"POST": "*"},
    "/i18n/setlang/": {"POST": "*"},
    "/api/schema/": {"GET": f"{PEOPLE} {SCOPES}"},
    "/api/docs/": {"GET": PEOPLE},
    "/api/v1/jobs/7": {"GET": "R O F U P rate:read rate:write finance:read"},
    "/api/v1/accounts/none": {"GET": "S O F U P ledger:read ledger:write"},
    "/api/v1/accounts/none/transfers": {"GET": "S O F U P ledger:read ledger:write"},
    "/api/v1/accounts/none/top-ups": {"POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments": {"GET": "F ledger:write", "POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments/7/approve": {"POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments/7/reject": {"POST": "F ledger:write"},
    "/api/v1/rates/explain": {"POST": f"S {DECK_READERS}"},
    "/api/v1/decks": {"GET": DECK_READERS},
    "/api/v1/decks/7": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports": {"GET": DECK_READERS, "POST": "R rate:write"},
    "/api/v1/decks/none/imports/7": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports/7/errors": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports/7/apply": {"POST": "R rate:write"},
    "/api/v1/decks/none/imports/7/discard": {"POST": "R rate:write"},
    "/api/v1/cdrs": {"GET": "S R O F U cdr:read", "POST": "cdr:write"},
    "/api/v1/cdrs/7": {"GET": "S R O F U cdr:read"},
    "/api/v1/cdrs/7/explain": {"GET": "S R O F U cdr:read"},
    "/api/v1/providers/none/none/none": {"POST": "*"},  # the sender proves itself by token and signature
    "/cdr/7/": {"GET": PEOPLE},
    "/api/billaccounts/": COUNTER_READ,
    "/api/billaccounts/from-organization/": COUNTER_READ,
    "/api/billaccounts/none/": COUNTER_READ,
    "/api/billaccounts/none/query-subaccounts/": COUNTER_READ,
    "/api/billaccounts/none/usable-service/": COUNTER_ASK,
    "/api/billaccounts/none/request-service/": COUNTER_USE,
    "/api/billaccounts/none/finished-service/": COUNTER_USE,
    "/api/billaccounts/none/increase-resource/": COUNTER_USE,
    "/api/billaccounts/none/reduce-resource/": COUNTER_USE,
    "/onlyuser/organization-trees/querybill/": COUNTER_READ,
    "/onlyuser/organization-trees/none/billaccount/": COUNTER_READ,
    "/onlyuser/organization-trees/none/users/": COUNTER_READ,
    "/onlyuser/organizations/none/": COUNTER_READ,
    "/onlyuser/applications/none/": COUNTER_READ,
    "/onlyuser/users/none/": COUNTER_READ,
    "/onlyuser/users/none/query-org-members/": COUNTER_READ,
    "/onlyuser/billevents/apply-application/": COUNTER_READ,
    "/onlyuser/user-role-perms/userids-department/": COUNTER_ASK,
    "/onlyuser/user-role-perms/userids-branch/": COUNTER_ASK,
    "/onlyuser/user-role-perms/userids-organization/": COUNTER_ASK,
    "/": {"GET": PEOPLE},
    "/agent/": {"GET": "A S"},
    "/agent/calls/": {"GET": "A S U"},
    "/agent/calls/none/": {"GET": "A S U"},
    "/api/v1/callbacks": {"GET": "A S U call:read call:write", "POST": "A S call:write"},
    "/api/v1/callbacks/quote": {"POST": "A S call:write"},
    "/api/v1/callbacks/none": {"GET": "A S U call:read call:write"},
    "/api/v1/callbacks/none/cancel": {"POST": "A S call:write"},
    "/api/v1/callbacks/none/events": {"GET": "A S U call:read call:write"},
    "/finance/": {"GET": "O F U P"},
    "/finance/accounts/none/": {"GET": "A S O F U P"},
    "/finance/accounts/none/limits/": MONEY,
    "/finance/accounts/none/top-ups/": MONEY,
    "/finance/accounts/none/adjustments/": MONEY,
    "/finance/accounts/none/adjustments/7/approve/": MONEY,
    "/finance/accounts/none/adjustments/7/reject/": MONEY,
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
EVERYBODY = "*"
Callers = dict[str, Client]


def person(name: str, *roles: str) -> Client:
    user = User.objects.create_user(name)
    for role in roles:
        Membership.objects.create(user=user, organization="acme", role=role)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def program(*scopes: str) -> Client:
    return Client(raise_request_exception=False, headers={"apikey": make_key("acme", *scopes)})


@pytest.fixture(scope="module")
def callers(module_database: object) -> Callers:
    """One client for each role and for each scope, all of one organisation."""
    make_account("acme")
    people = {letter: person(role.value, role.value) for letter, role in LETTERS.items()}
    return people | {scope: program(scope) for scope in Scope.values}


@pytest.fixture(scope="module")
def mighty(callers: Callers) -> list[Client]:
    """Who may do everything that somebody may do."""
    return [person("mighty", *Role.values), program(*Scope.values)]


def is_admitted(answer: HttpResponseBase) -> bool:
    """Whatever came of it: the caller was let in."""
    sent_to_login = answer.status_code == 302 and "/login/" in answer.headers["Location"]
    return answer.status_code not in {401, 403, 405} and not sent_to_login


def own_addresses() -> set[str]:
    return {route.path for route in routes() if not route.path.startswith("/admin/")}


def test_every_address_has_a_line() -> None:
    assert own_addresses() == set(TABLE)


@pytest.mark.parametrize("path", sorted(path for path, line in TABLE.items() if EVERYBODY not in line.values()))
def test_a_door_admits_whom_it_serves_and_nobody_else(callers: Callers, mighty: list[Client], path: str) -> None:
    for method in METHODS:
        served = set(TABLE[path].get(method, "").split())
        asked = callers if served else dict(enumerate(mighty))
        assert {name for name, client in asked.items() if is_admitted(client.generic(method, path))} == served, method
        assert not is_admitted(Client().generic(method, path)), f"{method} by a stranger"
