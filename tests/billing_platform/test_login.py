"""People: login, lock-out, languages, the frame by role, logout; and no way around."""

import re

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from billing_platform.models import Membership

PASSWORD = "correct horse battery"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quick_hashes(settings: object) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]


def person(name: str, *roles: str, **fields: object) -> User:
    user = User.objects.create_user(name, password=PASSWORD, **fields)
    for role in roles:
        Membership.objects.create(user=user, organization="acme", role=role)
    return user


def log_in(client: Client, name: str, password: str = PASSWORD, **extra: str) -> HttpResponse:
    return client.post("/login/", {"username": name, "password": password, **extra})


def hooks(response: HttpResponse) -> set[str]:
    return set(re.findall(r'data-testid="([^"]+)"', response.content.decode()))


def test_the_page_has_labels_hooks_and_nothing_inline_or_from_elsewhere() -> None:
    page = Client().get("/login/").content.decode()

    assert '<html lang="zh-hans">' in page
    assert {"username", "password", "login-submit", "language-en", "language-zh-hans"} <= set(
        re.findall(r'data-testid="([^"]+)"', page)
    )
    assert '<label for="id_username">' in page
    assert '<label for="id_password">' in page
    assert 'autocomplete="current-password"' in page
    assert not re.search(r"<script|<style|style=|\son[a-z]+=|https?://", page)


@pytest.mark.parametrize(("language", "title"), [("zh-hans", "登录"), ("en", "Log in")])
def test_the_page_speaks_both_languages(language: str, title: str) -> None:
    page = Client().get(f"/login/?lang={language}").content.decode()

    assert f'<html lang="{language}">' in page
    assert f'<h1 id="login-title">{title}</h1>' in page


def test_a_person_logs_in_and_gets_a_new_session() -> None:
    person("olga", "agent")
    client = Client()
    before = client.session.session_key

    response = log_in(client, "olga", next="/api/docs/")

    assert (response.status_code, response.headers["Location"]) == (302, "/api/docs/")
    assert client.session["_auth_user_id"]
    assert client.session.session_key != before
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 43_200)


@pytest.mark.parametrize("where", ["//evil.example/", "https://evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(where: str) -> None:
    person("olga", "agent")

    assert log_in(Client(), "olga", next=where).headers["Location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("olga", "wrong"),
        ("nobody", PASSWORD),
        ("olga", "x" * 129),
        ("olga", ""),
        ("ol\0ga", PASSWORD),
        ("olga", "x" * 200_000),
    ],
    ids=["wrong", "unknown", "too_long", "empty", "nul", "huge"],
)
def test_a_failed_login_is_a_page_that_says_so(name: str, password: str) -> None:
    person("olga", "agent")
    client = Client()

    response = log_in(client, name, password)

    assert response.status_code == 200
    assert hooks(response) & {"login-error", "username-error", "password-error"}
    assert "_auth_user_id" not in client.session


def test_unknown_name_and_wrong_password_get_the_same_words() -> None:
    person("olga", "agent")

    pages = [log_in(Client(), name, "wrong").content.decode() for name in ("olga", "nobody")]

    errors = [re.search(r'data-testid="login-error">([^<]+)<', page) for page in pages]
    assert [error and error[1] for error in errors] == ["请输入一个正确的用户名和密码。注意，两者都区分大小写。"] * 2


def test_after_five_failures_the_pair_of_name_and_address_rests() -> None:
    person("olga", "agent")
    person("paul", "agent")
    client = Client(REMOTE_ADDR="10.0.0.1")

    failures = [log_in(client, "olga", "wrong").status_code for _ in range(5)]
    locked = log_in(client, "olga")
    elsewhere = log_in(Client(REMOTE_ADDR="10.0.0.2"), "olga")
    colleague = log_in(Client(REMOTE_ADDR="10.0.0.1"), "paul")

    assert failures[:4] == [200] * 4
    assert (locked.status_code, "login-locked" in hooks(locked)) == (429, True)
    assert "请 15 分钟后重试" in locked.content.decode()
    assert (elsewhere.status_code, colleague.status_code) == (302, 302)


def test_a_form_without_its_token_is_refused_on_a_designed_page() -> None:
    person("olga", "agent")

    response = log_in(Client(enforce_csrf_checks=True), "olga")

    assert (response.status_code, "error-code" in hooks(response)) == (403, True)


@pytest.mark.parametrize(
    ("roles", "seen", "unseen"),
    [
        (("agent",), {"nav-docs"}, {"nav-admin"}),
        (("supervisor",), {"nav-docs"}, {"nav-admin"}),
        (("ops",), {"nav-admin", "nav-docs"}, set()),
        (("finance", "agent"), {"nav-admin", "nav-docs"}, set()),
    ],
)
def test_the_frame_shows_what_the_roles_may_open(roles: tuple[str, ...], seen: set[str], unseen: set[str]) -> None:
    client = Client()
    client.force_login(person("olga", *roles))

    shown = hooks(client.get("/no-such-page/"))

    assert seen <= shown
    assert not unseen & shown
    assert {"user-menu", "logout", "organization"} <= shown


@pytest.mark.parametrize(
    ("page", "entry"),
    [
        ("/", ["nav-call"]), ("/agent/", ["nav-call"]), ("/agent/calls/", ["nav-calls"]),
        ("/agent/disputes/", ["nav-calls"]), ("/notices/", []), ("/no-such-page/", []),
    ],
)  # fmt: skip
def test_the_menu_names_the_entry_that_a_page_belongs_to(page: str, entry: list[str]) -> None:
    client = Client()
    client.force_login(person("olga", "agent"))

    menu = client.get(page).content.decode()

    assert re.findall(r'data-testid="(nav-[a-z]+)" aria-current="page"', menu) == entry


def test_logout_is_a_post_and_ends_the_session() -> None:
    client = Client()
    client.force_login(person("olga", "agent"))

    by_get, by_post = client.get("/logout/"), client.post("/logout/")

    assert (by_get.status_code, by_post.status_code, by_post.headers["Location"]) == (405, 302, "/login/")
    assert "_auth_user_id" not in client.session


def test_the_language_switch_comes_back_to_the_page() -> None:
    client = Client()

    response = client.post("/i18n/setlang/", {"language": "en", "next": "/login/?next=/admin/"})

    assert (response.status_code, response.headers["Location"]) == (302, "/login/?next=/admin/")
    assert '<html lang="en">' in client.get("/login/").content.decode()


def test_strangers_are_sent_to_the_login_and_back() -> None:
    admin = Client().get("/admin/", follow=True)
    docs = Client().get("/api/docs/")

    assert admin.redirect_chain[-1] == ("/login/?next=%2Fadmin%2F", 302)
    assert docs.headers["Location"] == "/login/?next=%2Fapi%2Fdocs%2F"


def test_who_is_logged_in_and_may_not_enter_the_admin_is_told_so() -> None:
    client = Client()
    client.force_login(person("olga", "agent"))

    response = client.get("/admin/", follow=True)

    assert (response.status_code, "error-home" in hooks(response)) == (403, True)


def test_the_schema_and_its_browser_open_for_a_person() -> None:
    client = Client()
    client.force_login(person("olga", "agent"))

    assert client.get("/api/schema/").status_code == 200
    page = client.get("/api/docs/").content.decode()
    assert not re.search(r"<script(?![^>]*src=)", page)
    assert not re.search(r'(src|href)="https?://', page)


def test_the_schema_has_every_door_with_its_audience() -> None:
    client = Client()
    client.force_login(person("olga", "agent"))

    schema = client.get("/api/schema/?format=json").json()

    job = schema["paths"]["/api/v1/jobs/{job_id}"]["get"]
    assert job["parameters"] == [{"in": "path", "name": "job_id", "required": True, "schema": {"type": "integer"}}]
    assert job["security"] == [{"apikey": []}]
    assert "scopes: finance:read, rate:read, rate:write" in job["description"]
    assert schema["components"]["securitySchemes"]["apikey"]["name"] == "apikey"
