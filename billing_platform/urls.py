"""Every address of the platform. Rooms bring their own; each route names its audience."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from billing_platform import docs, health, job_pages, notice_pages, pages

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
    path("api/v1/jobs/<int:job_id>", job_pages.job_view, name="job"),
    path("api/v1/notices", notice_pages.notices_view, name="notices_api"),
    path("notices/", notice_pages.notices_page, name="notices"),
    path("notices/read/", notice_pages.all_read_page, name="notices_read"),
    path("notices/<int:notice_id>/read/", notice_pages.notice_page, name="notice_read"),
    path("ops/", job_pages.home_page, name="ops"),
    path("ops/jobs/", job_pages.jobs_page, name="jobs_page"),
    path("ops/jobs/<int:job_id>/", job_pages.job_page, name="job_page"),
    path("ops/jobs/<int:job_id>/cancel/", job_pages.cancel_page, name="job_cancel"),
    path("ops/jobs/<int:job_id>/resume/", job_pages.resume_page, name="job_resume"),
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
