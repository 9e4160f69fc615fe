"""Each door admits whom the table of audiences names and nobody else. An address without a line there fails."""

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import Client

from billing_platform.models import Membership, Role, Scope
from tests.cast import make_account, make_key
from tests.doors.audiences import EVERYBODY, LETTERS, TABLE
from tests.doors.routes import own_addresses

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
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


def test_every_address_has_a_line() -> None:
    assert own_addresses() == set(TABLE)


@pytest.mark.parametrize("path", sorted(path for path, line in TABLE.items() if EVERYBODY not in line.values()))
def test_a_door_admits_whom_it_serves_and_nobody_else(callers: Callers, mighty: list[Client], path: str) -> None:
    for method in METHODS:
        served = set(TABLE[path].get(method, "").split())
        asked = callers if served else dict(enumerate(mighty))
        assert {name for name, client in asked.items() if is_admitted(client.generic(method, path))} == served, method
        assert not is_admitted(Client().generic(method, path)), f"{method} by a stranger"
