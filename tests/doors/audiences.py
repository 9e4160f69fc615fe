"""Who may use which address: one line for each, from the rules of the house and not from the code. Deny is the default.

Letters are roles, scopes stand as keys name them, `*` is everybody, strangers included. Parameters of addresses are
those of `routes.EXAMPLES`.
"""

from billing_platform.models import Role, Scope

EVERYBODY = "*"
LETTERS = {
    "A": Role.AGENT, "S": Role.SUPERVISOR, "R": Role.RATE_ADMIN, "O": Role.OPS, "F": Role.FINANCE, "U": Role.AUDITOR,
    "P": Role.PLATFORM_ADMIN,
}  # fmt: skip
PEOPLE = "A S R O F U P"
SCOPES = " ".join(Scope.values)
DECK_READERS = "R O F U P rate:read rate:write"
COUNTER_READ = {"GET": "counter:read"}
COUNTER_ASK = {"POST": "counter:read"}
COUNTER_USE = {"POST": "counter:use"}
MONEY = {"POST": "F"}
TABLE: dict[str, dict[str, str]] = {
    "/healthz": {"GET": "*"},
    "/readyz": {"GET": "*"},
    "/metrics": {"GET": "*"},  # from the own machine; from elsewhere see the tests of health
    "/login/": {"GET": "*", "POST": "*"},
    "/logout/": {"POST": "*"},
    "/i18n/setlang/": {"POST": "*"},
    "/api/schema/": {"GET": f"{PEOPLE} {SCOPES}"},
    "/api/docs/": {"GET": PEOPLE},
    "/api/v1/jobs/7": {"GET": "R O F U P rate:read rate:write finance:read"},
    "/api/v1/notices": {"GET": PEOPLE},
    "/notices/": {"GET": PEOPLE},
    "/notices/read/": {"POST": PEOPLE},
    "/notices/7/read/": {"POST": PEOPLE},
    "/ops/": {"GET": "R O F U P"},
    "/ops/jobs/": {"GET": "R O F U P"},
    "/ops/jobs/7/": {"GET": "R O F U P"},
    "/ops/jobs/7/cancel/": {"POST": "R O F"},
    "/ops/jobs/7/resume/": {"POST": "R O F"},
    "/api/v1/accounts/none": {"GET": "S O F U P ledger:read ledger:write"},
    "/api/v1/accounts/none/transfers": {"GET": "S O F U P ledger:read ledger:write"},
    "/api/v1/accounts/none/top-ups": {"POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments": {"GET": "F ledger:write", "POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments/7/approve": {"POST": "F ledger:write"},
    "/api/v1/accounts/none/adjustments/7/reject": {"POST": "F ledger:write"},
    "/api/v1/rates/explain": {"POST": f"S {DECK_READERS}"},
    "/api/v1/decks": {"GET": DECK_READERS},
    "/api/v1/decks/7": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports": {"GET": DECK_READERS, "POST": "R rate:write"},
    "/api/v1/decks/none/imports/7": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports/7/errors": {"GET": DECK_READERS},
    "/api/v1/decks/none/imports/7/apply": {"POST": "R rate:write"},
    "/api/v1/decks/none/imports/7/discard": {"POST": "R rate:write"},
    "/api/v1/cdrs": {"GET": "S R O F U cdr:read", "POST": "cdr:write"},
    "/api/v1/cdrs/recordings": {"GET": "A S U cdr:read"},
    "/api/v1/cdrs/7/recording": {"GET": "A S U cdr:read"},
    "/api/v1/cdrs/7": {"GET": "S R O F U cdr:read"},
    "/api/v1/cdrs/7/explain": {"GET": "S R O F U cdr:read"},
    "/api/v1/providers/none/none/none": {"POST": "*"},  # the sender proves itself by token and signature
    "/cdr/7/": {"GET": PEOPLE},
    "/cdr/rerate/": {"GET": "R O F U", "POST": "R O F"},
    "/cdr/rerate/apply/": MONEY,
    "/api/billaccounts/": COUNTER_READ,
    "/api/billaccounts/from-organization/": COUNTER_READ,
    "/api/billaccounts/none/": COUNTER_READ,
    "/api/billaccounts/none/query-subaccounts/": COUNTER_READ,
    "/api/billaccounts/none/usable-service/": COUNTER_ASK,
    "/api/billaccounts/none/request-service/": COUNTER_USE,
    "/api/billaccounts/none/finished-service/": COUNTER_USE,
    "/api/billaccounts/none/increase-resource/": COUNTER_USE,
    "/api/billaccounts/none/reduce-resource/": COUNTER_USE,
    "/onlyuser/organization-trees/querybill/": COUNTER_READ,
    "/onlyuser/organization-trees/none/billaccount/": COUNTER_READ,
    "/onlyuser/organization-trees/none/users/": COUNTER_READ,
    "/onlyuser/organizations/none/": COUNTER_READ,
    "/onlyuser/applications/none/": COUNTER_READ,
    "/onlyuser/users/none/": COUNTER_READ,
    "/onlyuser/users/none/query-org-members/": COUNTER_READ,
    "/onlyuser/billevents/apply-application/": COUNTER_READ,
    "/onlyuser/user-role-perms/userids-department/": COUNTER_ASK,
    "/onlyuser/user-role-perms/userids-branch/": COUNTER_ASK,
    "/onlyuser/user-role-perms/userids-organization/": COUNTER_ASK,
    "/": {"GET": PEOPLE},
    "/agent/": {"GET": "A S"},
    "/agent/calls/": {"GET": "A S U"},
    "/agent/calls/none/": {"GET": "A S U"},
    "/agent/calls/none/dispute/": {"POST": "A S"},
    "/agent/disputes/": {"GET": "A S U"},
    "/agent/disputes/7/answer/": {"POST": "S"},
    "/agent/disputes/7/withdraw/": {"POST": "A S"},
    "/api/v1/disputes": {"GET": "A S U call:read call:write", "POST": "A S call:write"},
    "/api/v1/disputes/7": {"GET": "A S U call:read call:write"},
    "/api/v1/disputes/7/answer": {"POST": "S"},
    "/api/v1/disputes/7/withdraw": {"POST": "A S call:write"},
    "/api/v1/callbacks": {"GET": "A S U call:read call:write", "POST": "A S call:write"},
    "/api/v1/callbacks/quote": {"POST": "A S call:write"},
    "/api/v1/callbacks/none": {"GET": "A S U call:read call:write"},
    "/api/v1/callbacks/none/cancel": {"POST": "A S call:write"},
    "/api/v1/callbacks/none/events": {"GET": "A S U call:read call:write"},
    "/finance/": {"GET": "O F U P"},
    "/finance/accounts/none/": {"GET": "A S O F U P"},
    "/finance/accounts/none/limits/": MONEY,
    "/finance/accounts/none/top-ups/": MONEY,
    "/finance/accounts/none/adjustments/": MONEY,
    "/finance/accounts/none/adjustments/7/approve/": MONEY,
    "/finance/accounts/none/adjustments/7/reject/": MONEY,
    "/finance/accounts/none/limits/7/approve/": MONEY,
    "/finance/accounts/none/limits/7/reject/": MONEY,
    "/finance/accounts/none/suspend/": MONEY,
    "/finance/accounts/none/resume/": MONEY,
}
