"""Every address of the platform. Rooms bring their own; each route names its audience."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from billing_platform import docs, health, jobs_api, pages

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics_view, name="metrics"),
    path("login/", pages.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/login/", pages.admin_login, name="admin_login"),
    path("admin/rating/", include("rating.page_urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", docs.SchemaView.as_view(), name="schema"),
    path("api/docs/", docs.DocsView.as_view(), name="docs"),
    path("api/v1/jobs/<int:job_id>", jobs_api.job_view, name="job"),
    path("api/v1/", include("ledger.urls")),
    path("api/v1/", include("rating.urls")),
    path("api/v1/", include("cdr.urls")),
    path("cdr/", include("cdr.page_urls")),
    path("", include("counter.urls")),
    path("", include("callcontrol.urls")),
    path("", include("finance.urls")),
]

handler400 = "billing_platform.pages.bad_request"
handler403 = "billing_platform.pages.forbidden"
handler404 = "billing_platform.pages.not_found"
handler500 = "billing_platform.pages.server_error"
