"""The decorator's contract: what it refuses at import, and how the start-up check sees that it is effective."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.response import Response

from billing_platform.auth import EVERYBODY
from billing_platform.doors import door
from callcontrol import charge_check
from callcontrol.checks import check_gates, gated
from callcontrol.decorators import apiview_charge
from tests.callcontrol import gated_views


def handler(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.fixture
def only_these_gates() -> Iterator[set[Any]]:
    """The check sees the gates that a test puts here, and no others."""
    before = set(gated)
    gated.clear()
    yield gated  # type: ignore[misc]
    gated.clear()
    gated.update(before)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"service_key": "nothing"}, "has no 'nothing'"),
        ({"service_key": "report", "before": False, "after": False}, "neither before nor after"),
    ],
)
def test_senseless_terms_are_refused_at_import(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        apiview_charge(**options)


def test_short_tuple_and_foreign_check_are_refused_at_import(settings: Any) -> None:
    settings.BILLING = {
        **settings.BILLING,
        "SERVICE_ITEMS": {"short": ("label", "name"), "foreign": ("label", "name", "decimal.Decimal")},
    }
    with pytest.raises(ImproperlyConfigured, match="label, name, check"):
        apiview_charge("short")
    with pytest.raises(ImproperlyConfigured, match="is not a ChargeCheck"):
        apiview_charge("foreign")


def test_above_a_view_it_is_refused_and_the_view_is_named() -> None:
    class Handlers(gated_views.Reports):
        pass

    async def waiting(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    @api_view(["POST"])
    def viewed(request: Any) -> Response:
        return Response({})

    gate = apiview_charge("report")
    for wrong, complaint in (
        (viewed, "test_decorator.viewed: put @apiview_charge below"),
        (Handlers.as_view({"post": "make"}), "below the decorator that makes it a view"),
        (door(EVERYBODY)(handler), "test_decorator.handler: put @apiview_charge below"),
        (Handlers, "test_decorator.Handlers: put @apiview_charge on the handler"),
        (waiting, "waiting: asynchronous handlers"),
    ):
        with pytest.raises(ImproperlyConfigured, match=complaint):
            gate(wrong)


def test_every_working_way_of_decorating_is_found_by_the_check(settings: Any, only_these_gates: set[Any]) -> None:
    settings.ROOT_URLCONF = "tests.callcontrol.gated_views"
    only_these_gates.update(gated_views.GATES)

    assert len(gated_views.GATES) == 10
    assert check_gates() == []


def test_route_that_goes_past_its_gate_is_an_error(settings: Any, only_these_gates: set[Any]) -> None:
    class Overridden(gated_views.Reports):
        def make(self, request: Any) -> Response:  # the gate of the parent is lost
            return Response({})

    lost = gated_views.Reports.make
    only_these_gates.add(lost)
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("x", Overridden.as_view({"post": "make"}))]})

    [error] = check_gates()

    assert error.id == "callcontrol.E001"
    assert "Reports.make" in error.msg


def test_missing_middleware_is_an_error_at_start_and_at_the_first_request(settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("callcontrol")]

    assert [error.id for error in check_gates()] == ["callcontrol.E002"]
    with pytest.raises(ImproperlyConfigured, match="BillingMiddleware"):
        gated_views.held(RequestFactory().post("/api/v1/held"))
    assert gated_views.RAN == []


def test_the_product_itself_is_clean() -> None:
    assert check_gates() == []


def test_subclass_of_the_check_says_what_a_use_is() -> None:
    check = charge_check.check_of("pages")

    assert (type(check).__name__, check.label, check.get_before_count(None)) == ("PagesCheck", "report", 1)
    assert check.get_after_count(None, HttpResponse(headers={"X-Pages": "3"}), 1) == 3
