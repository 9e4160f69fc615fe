"""Addresses of this room."""

from django.urls import path

from finance import pages

ACCOUNT = "finance/accounts/<str:accno>/"
DECISION = ACCOUNT + "adjustments/<int:adjustment_id>/"
LIMITS_DECISION = ACCOUNT + "limits/<int:request_id>/"

urlpatterns = [
    path("finance/", pages.accounts_page, name="finance_accounts"),
    path(ACCOUNT, pages.account_page, name="finance_account"),
    path(ACCOUNT + "top-ups/", pages.funding_page, {"kind": "top_up"}, name="finance_top_up"),
    path(ACCOUNT + "adjustments/", pages.funding_page, {"kind": "adjustment"}, name="finance_adjustment"),
    path(DECISION + "approve/", pages.decision_page, {"decision": "approve"}, name="finance_approve"),
    path(DECISION + "reject/", pages.decision_page, {"decision": "reject"}, name="finance_reject"),
    path(ACCOUNT + "limits/", pages.limits_page, name="finance_limits"),
    path(LIMITS_DECISION + "approve/", pages.limits_decision_page, {"decision": "approve"}, name="limits_approve"),
    path(LIMITS_DECISION + "reject/", pages.limits_decision_page, {"decision": "reject"}, name="limits_reject"),
    path(ACCOUNT + "suspend/", pages.standing_page, {"act": "suspend"}, name="finance_suspend"),
    path(ACCOUNT + "resume/", pages.standing_page, {"act": "resume"}, name="finance_resume"),
]
