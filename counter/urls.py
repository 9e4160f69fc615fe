"""The public contract over REST, under its own two prefixes. Fixed words stand before what a path may name freely."""

from django.urls import include, path

from counter import api

billaccounts = [
    path("", api.personal_account_view),
    path("from-organization/", api.from_organization_view),
    path("<str:number>/", api.account_view),
    path("<str:number>/query-subaccounts/", api.sub_accounts_view),
    path("<str:number>/usable-service/", api.usable_service_view),
    path("<str:number>/request-service/", api.request_service_view),
    path("<str:number>/finished-service/", api.finished_service_view),
    path("<str:number>/increase-resource/", api.increase_resource_view),
    path("<str:number>/reduce-resource/", api.reduce_resource_view),
]
onlyuser = [
    path("organization-trees/querybill/", api.bound_organizations_view),
    path("organization-trees/<str:code>/billaccount/", api.organization_account_view),
    path("organization-trees/<str:code>/users/", api.tree_members_view),
    path("organizations/<str:code>/", api.organization_view),
    path("applications/<str:code>/", api.application_view),
    path("users/<str:user_id>/", api.person_view),
    path("users/<str:user_id>/query-org-members/", api.unit_members_view),
    path("billevents/apply-application/", api.apply_application_view),
    *(path(f"user-role-perms/userids-{reach}/", api.people_around_view, {"reach": reach}) for reach in api.REACHES),
]
urlpatterns = [path("api/billaccounts/", include(billaccounts)), path("onlyuser/", include(onlyuser))]
