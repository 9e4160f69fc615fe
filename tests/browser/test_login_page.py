"""The way in: who one is, in which language, and where one lands."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from billing_platform.models import Membership, Role
from tests.browser.stack import NARROW, Stack, by, overflow, serious_faults
from tests.callcontrol.cast import make_tenant

pytestmark = pytest.mark.browser

PASSWORD = "correct-horse-battery"


def person(name: str, organization: str, role: str) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    Membership.objects.create(user=user, organization=organization, role=role)
    return user


def log_in(page: object, name: str, password: str = PASSWORD) -> None:
    by(page, "username").fill(name)
    by(page, "password").fill(password)
    by(page, "login-submit").click()


def test_a_stranger_logs_in_and_lands_where_they_wanted(stack: Stack):
    tenant = make_tenant()
    tenant.agent.user.set_password(PASSWORD)
    tenant.agent.user.save(update_fields=["password"])
    page = stack.window(None, path="/agent/calls/?result=talked")
    expect(by(page, "username")).to_be_focused()

    log_in(page, tenant.agent.user.username)

    expect(by(page, "filter-result")).to_have_value("talked")
    by(page, "brand").click()
    expect(by(page, "desk")).to_be_visible()


def test_a_wrong_password_says_so_and_keeps_the_name(stack: Stack):
    person("rita", "acme", Role.AGENT)
    page = stack.window(None, path="/login/")

    log_in(page, "rita", "something else")

    expect(by(page, "login-error")).to_be_visible()
    expect(by(page, "username")).to_have_value("rita")
    expect(by(page, "password")).to_have_value("")


def test_who_does_not_call_lands_on_a_page_of_their_own(stack: Stack):
    person("flora", "acme", Role.FINANCE)
    page = stack.window(None, path="/login/")

    log_in(page, "flora")

    expect(by(page, "accounts-empty")).to_be_visible()
    assert page.url.endswith("/finance/")


def test_the_language_is_chosen_and_kept(stack: Stack):
    page = stack.window(None, path="/login/", language="en")

    by(page, "language-zh-hans").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    page.goto("/login/")

    expect(by(page, "login-submit")).to_have_text("登录")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_narrow_windows_and_accessibility(stack: Stack, *, dark: bool):
    page = stack.window(None, path="/login/", size=NARROW, dark=dark)

    assert (overflow(page), serious_faults(page)) == (0, [])
