"""What every admin page obeys: roles decide, each change leaves an audit entry, nothing is counted without a bound."""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest
from django.utils.functional import Promise
from unfold.admin import ModelAdmin

from billing_platform.auth import Caller, caller_of_request, remote_address
from billing_platform.models import Membership, Role
from billing_platform.trail import record_act

COUNTED_MAX = 2000  # rows; beyond that a list says "2000" and wants a narrower filter
SECRET_FIELDS = frozenset({"password", "secret", "secret_hash", "previous_hash"})
RoleSet = frozenset[str]


class _Admin(Protocol):
    readers: RoleSet
    writers: RoleSet


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # Django's admin passes any list
    """Counts at most COUNTED_MAX rows, so that a list of millions costs no more than one of thousands."""

    @functools.cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows[:COUNTED_MAX].count() if isinstance(rows, QuerySet) else len(rows)


def _may(admin: _Admin, request: HttpRequest, roles: RoleSet) -> bool:
    return bool(roles & caller_of_request(request).roles)


def _shown(value: object) -> object:
    """A form's value as the audit trail can keep it."""
    if isinstance(value, Model):
        return str(value.pk)
    return value if isinstance(value, str | int | bool | list | None) else str(value)


def changes_of(form: "ModelForm[Any]") -> tuple[dict[str, object], dict[str, object]]:
    """(before, after) of the fields that a form changed, without secrets."""
    names = [name for name in form.changed_data if name not in SECRET_FIELDS and not name.startswith("password")]
    before = {name: _shown(form.initial.get(name)) for name in names}
    return before, {name: _shown(form.cleaned_data.get(name)) for name in names}


def organization_path(model: type[Model]) -> str:
    """The look-up from a row to the code of the organisation that it belongs to; "" where rows belong to all.

    A model whose look-up cannot be told from its fields names it as ORGANIZATION_PATH.
    """
    fields = {field.name: field for field in model._meta.fields}
    if "organization" in fields:
        return "organization__code" if fields["organization"].is_relation else "organization"
    return getattr(model, "ORGANIZATION_PATH", "account__organization" if "account" in fields else "")


def bounded(rows: "QuerySet[Any]", caller: Caller) -> "QuerySet[Any]":
    """Those of the rows that this person may meet: of their organisation, or of none."""
    if caller.sees_all:
        return rows
    if rows.model is get_user_model():
        return rows.filter(pk__in=Membership.objects.filter(organization=caller.organization).values("user"))
    path = organization_path(rows.model)
    return rows.filter(**{path: caller.organization}) if path else rows


def column(name: str, label: "str | Promise") -> Callable[[Any], object]:
    """A field as a column of a list, sorted as the field, under a label of its own."""

    @admin.display(description=label, ordering=name)  # type: ignore[arg-type]  # the stubs want a class of their own
    def shown(row: Any) -> object:
        return getattr(row, name)

    shown.__name__ = name  # names the column's style
    return shown


class RoleAdmin(ModelAdmin):
    """A model's admin for `readers` (the auditor always) and `writers`. Nobody else sees that it exists.

    People of one organisation meet its rows and no others, in lists, in forms and in choices; see `bounded`.
    """

    readers: ClassVar[RoleSet] = frozenset()
    writers: ClassVar[RoleSet] = frozenset()
    paginator: Any = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_fullwidth = True
    compressed_fields = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may(self, request, self.readers | self.writers | {Role.AUDITOR.value})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _may(self, request, self.writers)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may(self, request, self.writers)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _may(self, request, self.writers)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return bounded(super().get_queryset(request), caller_of_request(request))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        caller = caller_of_request(request)
        if db_field.is_relation:
            kwargs["queryset"] = bounded(db_field.related_model._default_manager.all(), caller)
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "organization" and not db_field.is_relation and not caller.sees_all:
            field.initial, field.disabled = caller.organization, True  # a disabled field takes no word from the browser
        return field

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """On the form for a new row what the database will fill in itself has nothing to show yet."""
        fields = super().get_fields(request, obj)
        if obj is not None:
            return fields
        filled = {field.name for field in self.opts.fields if field.has_db_default()}
        return [name for name in fields if name not in filled & set(self.get_readonly_fields(request, obj))]

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> Any:
        raise Http404

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: Any) -> None:
        super().save_model(request, obj, form, change)
        self.note(request, "change" if change else "add", obj, change=changes_of(form))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.note(request, "delete", obj, change=(str(obj), None))
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for row in queryset:
            self.note(request, "delete", row, change=(str(row), None))
        super().delete_queryset(request, queryset)

    def note(self, request: HttpRequest, act: str, row: Model, *, change: tuple[object, object] = (None, None)) -> None:
        """An audit entry about one row, named after the model: `apikey.revoke`."""
        name = str(row._meta.model_name)
        record_act(
            caller_of_request(request), f"{name}.{act}", target=(name, row.pk), change=change,
            address=remote_address(request),
        )  # fmt: skip


class ReadOnlyAdmin(RoleAdmin):
    """For what a state machine, a command or the ledger owns: seen, never edited."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
