"""Admin of floor 0: people and roles, API keys and webhook endpoints (secrets shown once), events, runs, trail."""

from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from billing_platform import clock
from billing_platform.admin_rules import ReadOnlyAdmin, RoleAdmin
from billing_platform.auth import caller_of_request, forget_keys, is_network, issue_key, rotate_key
from billing_platform.deliveries import send_again
from billing_platform.models import (
    ApiKey,
    AuditEntry,
    BeatSlot,
    JobRun,
    Membership,
    OutboxEvent,
    Role,
    Scope,
    WebhookDelivery,
    WebhookEndpoint,
)
from billing_platform.outside import AddressRefused, check_url
from billing_platform.trail import together
from billing_platform.watching import visible_runs
from billing_platform.webhooks import new_secret, sealed_secret

PLATFORM = frozenset({Role.PLATFORM_ADMIN.value})
OPERATORS = frozenset({Role.OPS.value, Role.PLATFORM_ADMIN.value})
ROTATION = timedelta(hours=24)  # the old secret stays valid


def issued(request: HttpRequest, *, title: Any, name: str, secret: str) -> HttpResponse:
    """The only page that ever shows a secret: not stored, not cached, not in a message."""
    context = {**admin.site.each_context(request), "title": title, "name": name, "secret": secret}
    response = TemplateResponse(request, "admin/billing_platform/issued.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


class MembershipInline(TabularInline):
    model = Membership
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.model) and admin.site.get_model_admin(Membership).has_view_permission(request)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


admin.site.index_title = _("Workbench")
admin.site.unregister(User)
admin.site.unregister(Group)  # roles come from memberships


@admin.register(User)
class PersonAdmin(UserAdmin, RoleAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """People. What they may do follows from their memberships; `is_staff` opens this office at all."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    writers = PLATFORM
    list_display = ("username", "last_name", "first_name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("last_name", "first_name", "email")}),
        (_("Access"), {"fields": ("is_active", "is_staff", "is_superuser", "last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(RoleAdmin):
    writers = PLATFORM
    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("user__username", "organization")
    autocomplete_fields = ("user",)
    readonly_fields = ("created_at",)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    scopes = forms.MultipleChoiceField(
        label=_("scopes"),
        choices=[(scope, scope) for scope in Scope.values],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiKey
        fields = ("name", "organization", "scopes", "networks", "expires_at")

    def clean_networks(self) -> list[str]:
        networks: list[str] = self.cleaned_data["networks"] or []
        wrong = [network for network in networks if not is_network(network)]
        if wrong:
            raise ValidationError(_("Not a network: %(wrong)s"), params={"wrong": ", ".join(wrong)})
        return networks


@admin.register(ApiKey)
class ApiKeyAdmin(RoleAdmin):
    """Issue, rotate, revoke. A key is never deleted: the trail names it."""

    form = ApiKeyForm
    writers = PLATFORM
    list_display = ("name", "key_id", "organization", "scopes_text", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("organization",)
    search_fields = ("name", "key_id")
    readonly_fields = ("key_id", "previous_until", "last_used_at", "revoked_at", "created_at")
    actions = ("rotate", "revoke")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "organization") if obj else ()

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        asked = ("name", "organization", "scopes", "networks", "expires_at")
        return (*asked, *self.readonly_fields) if obj else asked

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("scopes"))
    def scopes_text(self, key: ApiKey) -> str:
        return " ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: Any) -> None:
        if not change:
            credential = issue_key(
                name=obj.name, organization=obj.organization, scopes=obj.scopes, expires_at=obj.expires_at,
                networks=obj.networks,
            )  # fmt: skip
            obj.pk, obj.key_id = ApiKey.objects.values_list("pk", "key_id").get(key_id=credential.partition(".")[0])
            obj.refresh_from_db()
            request.META["issued_credential"] = credential
            self.note(request, "issue", obj, change=(None, {"scopes": obj.scopes, "organization": obj.organization}))
            return
        super().save_model(request, obj, form, change)
        forget_keys()

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return issued(request, title=_("The new key"), name=obj.name, secret=request.META["issued_credential"])

    @admin.action(description=_("Rotate: a new secret, the old one stays valid for 24 hours"), permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        keys = list(queryset.filter(revoked_at__isnull=True)[:2])
        if len(keys) != 1:
            self.message_user(request, _("Choose exactly one key that is not revoked."), messages.WARNING)
            return None
        credential = together(
            lambda: rotate_key(keys[0].key_id, overlap=ROTATION), lambda _made: self.note(request, "rotate", keys[0])
        )
        return issued(request, title=_("The new secret"), name=keys[0].name, secret=credential)

    @admin.action(description=_("Revoke: refused everywhere within 30 seconds"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.filter(revoked_at__isnull=True)[:200]:
            revoked = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True)
            together(partial(revoked.update, revoked_at=clock.now()), partial(self._note_revoked, request, key))
        forget_keys()
        self.message_user(request, _("Revoked."), messages.SUCCESS)

    def _note_revoked(self, request: HttpRequest, key: ApiKey, revoked: int) -> None:
        if revoked:
            self.note(request, "revoke", key)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RoleAdmin):
    """Where events go. The signing secret is made here and shown once."""

    writers = OPERATORS
    list_display = ("url", "organization", "topics_text", "enabled", "failing_since")
    list_filter = ("enabled", "organization")
    search_fields = ("url", "organization")
    fields = ("organization", "url", "topics", "enabled")

    @admin.display(description=_("topics"))
    def topics_text(self, endpoint: WebhookEndpoint) -> str:
        return " ".join(endpoint.topics)

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if "url" in form.base_fields:
            form.base_fields["url"].validators.append(_check_endpoint)
        return form

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: Any) -> None:
        if not change:
            secret = request.META["issued_credential"] = new_secret()
            obj.secret = sealed_secret(secret)
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return issued(request, title=_("The signing secret"), name=obj.url, secret=request.META["issued_credential"])


def _check_endpoint(url: str) -> None:
    try:
        check_url(url)
    except AddressRefused as refusal:
        raise ValidationError(str(refusal)) from refusal


class DeliveryInline(TabularInline):
    """What became of the event at each endpoint."""

    model = WebhookDelivery
    fields = readonly_fields = ("url", "state", "attempts", "tried_at", "next_attempt_at", "last_error")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.model) and admin.site.get_model_admin(WebhookDelivery).has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Each event at each endpoint. The endpoint's own row may be gone, so it is told by its address."""

    readers = OPERATORS
    list_display = ("id", "event", "url", "state", "attempts", "tried_at", "next_attempt_at", "last_error")
    list_filter = ("state",)
    list_select_related = ("event",)
    search_fields = ("=event__subject", "=url")
    ordering = ("-id",)
    fields = list_display[1:]


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    readers = OPERATORS
    inlines = (DeliveryInline,)
    list_display = ("id", "topic", "subject", "organization", "state", "attempts", "next_attempt_at", "last_error")
    list_filter = ("state",)
    search_fields = ("=subject",)
    ordering = ("-id",)
    actions = ("send_again",)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return bool(OPERATORS & caller_of_request(request).roles)

    @admin.action(description=_("Send dead letters again"), permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> None:
        sent = [
            together(partial(send_again, event.pk), partial(self._note_sent, request, event))
            for event in queryset[:200]
        ]
        self.message_user(request, _("Queued again: %(count)d") % {"count": sum(sent)}, messages.SUCCESS)

    def _note_sent(self, request: HttpRequest, event: OutboxEvent, is_sent: bool) -> None:  # noqa: FBT001  an outcome
        if is_sent:
            self.note(request, "send_again", event)


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    readers = OPERATORS
    list_display = ("id", "job", "state", "per_cent", "exit_code", "started_by", "started_at", "finished_at")
    list_filter = ("state", "job")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        return visible_runs(caller_of_request(request)).order_by(*self.ordering)


@admin.register(BeatSlot)
class BeatSlotAdmin(ReadOnlyAdmin):
    readers = OPERATORS
    list_display = ("job", "slot", "claimed_at", "finished_at")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    readers = OPERATORS | {Role.FINANCE.value}
    list_display = ("at", "actor", "act", "object_type", "object_id", "address", "reason")
    list_filter = ("object_type",)
    search_fields = ("=object_id", "=actor", "=act")
    ordering = ("-at",)
