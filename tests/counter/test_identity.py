"""The small identity look-ups: people, organisations and applications, only those that the key may see."""

import json

import pytest
from django.contrib.auth import get_user_model

from billing_platform.models import Membership, Role, Scope
from counter.models import Application, Organization
from tests import cast

pytestmark = pytest.mark.usefixtures("books")


@pytest.fixture
def world(books):
    """Acme with two floors below it, and Echo; one person in each."""
    acme, echo = cast.acme(), cast.echo()
    north = Organization.objects.create(code="north", name="North", parent=Organization.objects.get(code="acme"))
    Organization.objects.create(code="north-1", name="North 1", parent=north)
    people = {}
    for name, code in (("ann", "acme"), ("bob", "north"), ("cat", "north-1"), ("dan", "north"), ("eve", "echo")):
        user = get_user_model().objects.create(username=name, first_name=name.title(), is_active=name != "dan")
        Membership.objects.create(user=user, organization=code, role=Role.AGENT)
        people[name] = str(user.pk)
    Application.objects.create(code="app", name="App")
    return acme, echo, people


@pytest.fixture
def ask(world, client):
    key = cast.make_key("acme", Scope.COUNTER_READ)

    def asked(path, body=None):
        method = "GET" if body is None else "POST"
        response = client.generic(
            method, f"/onlyuser/{path}", json.dumps(body) if body else "", "application/json", headers={"apikey": key}
        )
        assert response.headers["Content-Type"] == "application/json"
        return response.status_code, response.json()

    return asked


def names(answer):
    status, people = answer
    assert status == 200
    return [person["username"] for person in people]


def test_single_things_have_id_and_name(world, ask):
    acme, _, people = world

    assert ask("organizations/acme/") == (200, {"id": "acme", "name": "Acme"})
    assert ask("applications/app/") == (200, {"id": "app", "name": "App"})
    assert ask(f"users/{people['ann']}/") == (200, {"id": people["ann"], "username": "ann", "nickname": "Ann"})
    assert ask("organization-trees/acme/billaccount/") == (200, {"accno": acme.accno})
    assert ask("organization-trees/north-1/billaccount/") == (200, {"accno": acme.accno})


def test_members_of_a_tree_and_of_one_unit(world, ask):
    _, _, people = world

    assert names(ask("organization-trees/acme/users/")) == ["ann", "bob", "cat"]
    assert names(ask("organization-trees/north/users/")) == ["bob", "cat"]
    assert names(ask(f"users/{people['ann']}/query-org-members/?organization_id=north")) == ["bob"]


def test_organisations_of_an_account(world, ask):
    acme, echo, _ = world

    assert ask(f"organization-trees/querybill/?accno={acme.accno}") == (200, [{"id": "acme", "name": "Acme"}])
    assert ask(f"organization-trees/querybill/?accno={echo.accno}")[0] == 404


@pytest.mark.parametrize(
    ("reach", "expected"),
    [("department", ["bob"]), ("branch", ["bob", "cat"]), ("organization", ["ann", "bob", "cat"])],
)
def test_people_around_a_person(world, ask, reach, expected):
    _, _, people = world
    body = {"app_id": "app", "user_id": people["bob"], "organization_id": "acme"}

    status, ids = ask(f"user-role-perms/userids-{reach}/", body)

    assert (status, ids) == (200, [people[name] for name in expected])
    assert ask(f"user-role-perms/userids-{reach}/", body | {"user_id": people["eve"]}) == (200, [])
    assert ask(f"user-role-perms/userids-{reach}/", body | {"organization_id": "echo"})[0] == 404


def test_what_another_organisation_owns_does_not_exist(world, ask):
    _, echo, people = world

    for path in (
        "organizations/echo/", "organizations/nobody/", "applications/nothing/", f"users/{people['eve']}/",
        f"users/{people['dan']}/", "users/0/", "users/x/", "users/99999999999999999999/",
        "organization-trees/echo/billaccount/", "organization-trees/echo/users/",
        f"users/{people['ann']}/query-org-members/?organization_id=echo",
        f"users/{people['eve']}/query-org-members/?organization_id=acme",
    ):  # fmt: skip
        status, body = ask(path)
        assert (status, sorted(body)) == (404, ["code", "detail", "reason"]), path
        assert echo.accno not in json.dumps(body)
