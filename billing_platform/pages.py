"""Pages of floor 0: login, lock-out, and what people see when something is refused."""

import sys
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_platform.errors import Forbidden, Malformed, NotFound, PlatformError
from billing_platform.problems import error_response, platform_error

PASSWORD_MAX = 128  # characters; hashing is slow on purpose


class LoginForm(AuthenticationForm):
    """Name and password, with hooks for tests and errors tied to their field."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        max_length=PASSWORD_MAX,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs["data-testid"] = name


class Login(LoginView):
    """Session login; who is logged in already goes on to where they wanted."""

    template_name = "login.html"
    form_class = LoginForm
    redirect_authenticated_user = True


def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin has no login of its own: strangers go to ours, and who may not enter is told so."""
    if request.user.is_authenticated:
        raise Forbidden
    return HttpResponseRedirect(f"/login/?{urlencode({'next': request.GET.get('next', '/admin/')})}")


def locked_out(request: HttpRequest, *_args: object, **_kwargs: object) -> HttpResponse:
    """django-axes calls this for a locked pair of name and address: one message for all."""
    message = _("Too many failed attempts. Try again in 15 minutes.")
    return render(request, "login.html", {"locked": message}, status=HTTPStatus.TOO_MANY_REQUESTS)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(NotFound(), request)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(Forbidden(), request)


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    message = _("The form was open for too long. Go back, reload, and send it again.")
    return error_response(Forbidden(message), request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(Malformed(), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """A fault of ours; a database that went away inside a middleware is still called by its name."""
    fault = sys.exc_info()[1]
    known = platform_error(fault) if fault is not None else None
    return error_response(known or PlatformError(), request)
