"""Who is calling: keys, rotation, networks, expiry, roles by organisation."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory

from billing_platform import auth, clock
from billing_platform.errors import Forbidden, Unauthenticated
from billing_platform.models import ApiKey, Membership

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_known_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is believed for as long as a test may take."""
    monkeypatch.setattr(auth, "KEY_LOOK_SECONDS", 3600.0)
    auth.forget_keys()


def issued(**changes: object) -> str:
    key = auth.issue_key(name="switch", organization="acme", scopes=["cdr:write"])
    ApiKey.objects.filter(key_id=key.partition(".")[0]).update(**changes)
    return key


def test_a_key_is_known_by_its_secret_and_only_a_hash_is_kept() -> None:
    key = issued()

    caller = auth.caller_of_key(key, address="10.0.0.1")

    assert (caller.kind, caller.organization, caller.scopes) == ("key", "acme", frozenset({"cdr:write"}))
    assert caller.actor == f"key:{key.partition('.')[0]}"
    row = ApiKey.objects.get()
    assert bytes(row.secret_hash) == auth.hashed_secret(key.partition(".")[2])
    assert key.partition(".")[2].encode() not in bytes(row.secret_hash)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: "", lambda key: ".", lambda key: key[:-1], lambda key: key + "x", lambda key: key.partition(".")[0],
        lambda key: "0" * 16 + "." + key.partition(".")[2], lambda key: "x" * 300 + ".y", lambda key: key + "\0",
        lambda key: key.replace(".", "\0."), lambda key: "中文." + key.partition(".")[2], lambda key: "a'--.b",
    ],
)  # fmt: skip
def test_wrong_keys_are_refused_in_one_way(spoil: object) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        auth.caller_of_key(spoil(issued()), address="10.0.0.1")  # type: ignore[operator]

    assert (str(refusal.value.detail), refusal.value.fields) == ("", {})


def test_a_revoked_key_is_refused_when_the_cache_forgets_it() -> None:
    key = issued()
    auth.caller_of_key(key, address="")

    ApiKey.objects.update(revoked_at=clock.now())
    still = auth.caller_of_key(key, address="")
    auth.forget_keys()

    assert still.organization == "acme"
    assert auth.KEY_CACHE_SECONDS <= 30
    with pytest.raises(Unauthenticated):
        auth.caller_of_key(key, address="")


def test_an_expired_key_is_refused_even_from_the_cache() -> None:
    key = issued(expires_at=clock.now() + timedelta(seconds=5))
    auth.caller_of_key(key, address="")

    clock.set_test_instant(clock.now() + timedelta(seconds=6))
    try:
        with pytest.raises(Unauthenticated):
            auth.caller_of_key(key, address="")
    finally:
        clock.set_test_instant(None)


def test_two_secrets_live_during_a_rotation_and_one_after_it() -> None:
    old = issued()

    new = auth.rotate_key(old.partition(".")[0], overlap=timedelta(hours=1))

    assert auth.caller_of_key(old, address="") == auth.caller_of_key(new, address="")
    clock.set_test_instant(clock.now() + timedelta(hours=1, seconds=1))
    try:
        assert auth.caller_of_key(new, address="").organization == "acme"
        with pytest.raises(Unauthenticated):
            auth.caller_of_key(old, address="")
    finally:
        clock.set_test_instant(None)


@pytest.mark.parametrize(("address", "known"), [("10.1.2.3", 1), ("10.2.2.3", 0), ("::1", 0), ("", 0)])
def test_a_key_may_be_bound_to_networks(address: str, known: int) -> None:
    key = issued(networks=["10.1.0.0/16"])

    if known:
        assert auth.caller_of_key(key, address=address).kind == "key"
    else:
        with pytest.raises(Unauthenticated):
            auth.caller_of_key(key, address=address)


def test_use_is_noted_once_a_minute() -> None:
    key = issued()

    auth.caller_of_key(key, address="")
    first = ApiKey.objects.get().last_used_at
    auth.forget_keys()
    auth.caller_of_key(key, address="")

    assert first is not None
    assert ApiKey.objects.get().last_used_at == first


@pytest.mark.parametrize("header", ["apikey", "Authorization"])
def test_both_headers_carry_a_key(header: str) -> None:
    key = issued()
    value = f"Bearer {key}" if header == "Authorization" else key
    request = RequestFactory().get("/", headers={header: value})

    assert auth.caller_of_request(request).organization == "acme"


def test_a_wrong_key_is_refused_even_with_a_session() -> None:
    client = Client(headers={"apikey": "a.b"})
    client.force_login(User.objects.create_user("olga"))

    response = client.get("/api/v1/jobs/1")

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


def test_nobody_is_anonymous() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    assert auth.caller_of_request(request) is auth.ANONYMOUS


def test_roles_count_in_the_chosen_organisation_only() -> None:
    olga = User.objects.create_user("olga")
    for organization, role in (("acme", "agent"), ("acme", "supervisor"), ("beta", "finance")):
        Membership.objects.create(user=olga, organization=organization, role=role)

    first, chosen = auth.caller_of_user(olga), auth.caller_of_user(olga, chosen="beta")
    foreign = auth.caller_of_user(olga, chosen="gamma")

    assert (first.organization, first.roles) == ("acme", {"agent", "supervisor"})
    assert (chosen.organization, chosen.roles) == ("beta", {"finance"})
    assert foreign == first
    assert first.actor == "person:olga"


def test_a_superuser_keeps_the_platform_and_nothing_else() -> None:
    root = User.objects.create_superuser("root")

    assert auth.caller_of_user(root).roles == {"platform_admin"}


def test_an_audience_admits_its_roles_and_scopes() -> None:
    audience = auth.audience(roles=("ops",), scopes=("cdr:read",))
    ops = auth.Caller("person", "1", roles=frozenset({"ops"}))
    reader = auth.Caller("key", "k", scopes=frozenset({"cdr:read"}))
    agent = auth.Caller("person", "2", roles=frozenset({"agent"}))

    audience.admit(ops)
    audience.admit(reader)
    auth.EVERYBODY.admit(auth.ANONYMOUS)
    with pytest.raises(Forbidden) as refusal:
        audience.admit(agent)
    with pytest.raises(Unauthenticated):
        audience.admit(auth.ANONYMOUS)
    with pytest.raises(Forbidden):
        auth.Audience().admit(ops)

    assert refusal.value.fields == {"needs": ["ops"]}


def test_a_change_of_a_key_is_noticed_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    key = issued()
    auth.caller_of_key(key, address="10.0.0.1")
    ApiKey.objects.update(revoked_at=clock.now())

    believed = auth.caller_of_key(key, address="10.0.0.1")
    monkeypatch.setattr(auth, "KEY_LOOK_SECONDS", 0)

    assert believed.organization == "acme"
    with pytest.raises(Unauthenticated):
        auth.caller_of_key(key, address="10.0.0.1")
