"""All settings, typed, from the environment; a value that cannot be read stops the start.

Reference: docs/settings.md.
"""

import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from billing_platform import embedded
from billing_platform.environment import choice, flag, number, pairs, rate, rates, secret, text, words

BASE_DIR = Path(__file__).resolve().parent.parent


def development_secret(name: str) -> str:
    """A secret of this checkout, made once by `manage.py up`; never used when DEBUG and TEST_MODE are off."""
    path = VAR_DIR / "secrets" / name
    return path.read_text().strip() if path.is_file() else f"insecure-development-{name}"


VAR_DIR = Path(text("VAR_DIR", str(BASE_DIR / "var"))).resolve()
PRODUCTION = flag("PRODUCTION")
DEBUG = flag("DEBUG")
TEST_MODE = flag("TEST_MODE")  # test clock, failpoints; refused in production by a system check

SECRET_KEY = secret("DJANGO_SECRET_KEY") or ("" if PRODUCTION else development_secret("secret_key"))
KEY_PEPPER = secret("KEY_PEPPER") or ("" if PRODUCTION else development_secret("key_pepper"))
if not SECRET_KEY or not KEY_PEPPER:
    raise ImproperlyConfigured("PRODUCTION=1 needs DJANGO_SECRET_KEY and KEY_PEPPER (or their _FILE forms)")

ALLOWED_HOSTS = words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" + ("" if PRODUCTION else ",testserver"))
PUBLIC_URL = text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXY_NETWORKS = words("TRUSTED_PROXY_NETWORKS")  # only these may say who the caller was

# --- parts -----------------------------------------------------------------------------------------------------------
DATABASE_URL = secret("DATABASE_URL") or embedded.database_url(VAR_DIR)
REDIS_URL = secret("REDIS_URL") or embedded.redis_url(VAR_DIR)


def database(url: str) -> dict[str, object]:
    """Django's form of a postgresql:// URL; `?host=` may be a socket directory."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL: only postgresql:// is supported")
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = query.pop("host", parts.hostname or "")
    port = query.pop("port", parts.port or "")
    user = query.pop("user", unquote(parts.username or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "billing",
        "USER": user,
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 3, "keepalives": 1, "keepalives_idle": 30, "tcp_user_timeout": 10000, **query},
    }


DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 0.3, "socket_timeout": 0.5},
        "TIMEOUT": 300,
    }
}

# --- Django ----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "billing_platform",
    "ledger",
    "rating",
    "counter",
    "callcontrol",
    "cdr",
    "finance",
]
MIDDLEWARE = [
    "billing_platform.edge.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "billing_platform.edge.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "callcontrol.middleware.BillingMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "billing_platform.urls"
WSGI_APPLICATION = "billing_platform.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "billing_platform" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "billing_platform.navigation.frame",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "billing_platform.auth.remote_address"
AXES_ENABLE_ADMIN = False  # its rows are for the lock-out, and its words are English only
AXES_LOCKOUT_CALLABLE = "billing_platform.pages.locked_out"
CSRF_FAILURE_VIEW = "billing_platform.pages.csrf_refused"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_SAVE_EVERY_REQUEST = False
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_HSTS_SECONDS = 31536000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024 + 1024

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "billing_platform" / "locale", BASE_DIR / "billing_platform" / "theme_locale"]
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["billing_platform.api.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["billing_platform.api.AudiencePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["billing_platform.api.StrictJSONParser"],
    "EXCEPTION_HANDLER": "billing_platform.api.render_error",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Billing platform API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "billing_platform.docs.add_doors"],
    "SERVE_PERMISSIONS": ["billing_platform.api.AudiencePermission"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
UNFOLD = {
    "COLORS": {
        "primary": {  # the teal of our own pages
            "50": "#effafa",
            "100": "#d6f1f1",
            "200": "#b0e3e4",
            "300": "#7ccdd0",
            "400": "#45b0b5",
            "500": "#1f9299",
            "600": "#0b6e75",
            "700": "#0a5d64",
            "800": "#0e4b51",
            "900": "#103f45",
            "950": "#04262b",
        },
    },
    "SITE_TITLE": _("Billing platform"),
    "SITE_HEADER": _("Billing platform"),
    "SITE_SUBHEADER": _("Calls, rates, charges"),
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": True,
    "DASHBOARD_CALLBACK": "billing_platform.dashboard.cards",
}

# --- Celery: the message is only a doorbell, the row is the queue -----------------------------------------------------
CELERY_BROKER_URL = (
    ("redis+socket://" + REDIS_URL.removeprefix("unix://").replace("?db=", "?virtual_host="))
    if (REDIS_URL.startswith("unix://"))
    else REDIS_URL
)
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_RETRY_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": number("CELERY_VISIBILITY_TIMEOUT", 180, at_least=1),
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
}
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20.0
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_TASK_DEFAULT_QUEUE = "money"
CELERY_TASK_ROUTES = {"billing_platform.tasks.relay_outbox_task": {"queue": "outside"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- charge gate (names fixed by its users) ---------------------------------------------------------------------------
ACCOUNT_CACHE_TTL = number("ACCOUNT_CACHE_TTL", 60)  # seconds
BILLING = {
    "SERVICE_ITEMS": {
        "callback": (text("CALLBACK_SERVICE_LABEL", "callback"), "回拨呼叫", None),
        "direct": (text("DIRECT_SERVICE_LABEL", "direct"), "直呼", None),
        "softphone": (text("SOFTPHONE_SERVICE_LABEL", "softphone"), "软电话", None),
    },
    "APPLICATION_SERVICE": False,
    "ACCOUNT_CACHE_TTL": ACCOUNT_CACHE_TTL,
}

# --- counter ----------------------------------------------------------------------------------------------------------
COUNTER_ADDRESS = words("COUNTER_ADDRESS", "127.0.0.1:50051")
COUNTER_API_KEY = secret("COUNTER_API_KEY")
COUNTER_BIND = words("COUNTER_BIND", "127.0.0.1:50051,[::1]:50051")
COUNTER_THREADS = number("COUNTER_THREADS", 32, at_least=2)
COUNTER_RPC_TIMEOUT = number("COUNTER_RPC_TIMEOUT", 10, at_least=1)  # seconds
COUNTER_GRACE = number("COUNTER_GRACE", 8)  # seconds
COUNTER_NAIVE_TIMES = choice("COUNTER_NAIVE_TIMES", "refuse", {"refuse", "utc"})
COUNTER_LOOPBACK_AUTH = choice("COUNTER_LOOPBACK_AUTH", "optional", {"optional", "required"})
COUNTER_TRUSTED_NETWORKS = words("COUNTER_TRUSTED_NETWORKS")
COUNTER_TLS_CERT = text("COUNTER_TLS_CERT")
COUNTER_TLS_KEY = text("COUNTER_TLS_KEY")
COUNTER_TLS_CLIENT_CA = text("COUNTER_TLS_CLIENT_CA")
COUNTER_TLS_CA = text("COUNTER_TLS_CA")
COUNTER_ALLOW_PLAINTEXT = flag("COUNTER_ALLOW_PLAINTEXT")
COUNTER_REFLECTION = flag("COUNTER_REFLECTION")

# --- ledger -----------------------------------------------------------------------------------------------------------
ADJUSTMENT_SECOND_PERSON_ABOVE = number("ADJUSTMENT_SECOND_PERSON_ABOVE", 1000)  # in the account's currency
RERATE_CONFIRM_AMOUNT = number("RERATE_CONFIRM_AMOUNT", 1000)  # differences beyond it are confirmed

# --- rating -----------------------------------------------------------------------------------------------------------
RATING_DEFAULT_DECK = text("RATING_DEFAULT_DECK", "default")
RATING_MISSING_RATE_AT_GATE = choice("RATING_MISSING_RATE_AT_GATE", "default", {"default", "refuse"})
RATING_FALLBACK_DEPTH = number("RATING_FALLBACK_DEPTH", 4, at_least=1)
RATING_COMPILED_CACHE_MB = number("RATING_COMPILED_CACHE_MB", 256, at_least=16)
RATING_HOME_AREA = text("RATING_HOME_AREA", "21")
RATING_CARRIER_LOOKUP_URL = text("RATING_CARRIER_LOOKUP_URL")  # with {key} or {national}; empty = nobody is asked
if RATING_CARRIER_LOOKUP_URL and not {"{key}", "{national}"} & set(re.findall(r"{\w+}", RATING_CARRIER_LOOKUP_URL)):
    raise ImproperlyConfigured("RATING_CARRIER_LOOKUP_URL: write {key} or {national} where the number belongs")
RATING_CARRIER_LOOKUP_HEADER = secret("RATING_CARRIER_LOOKUP_HEADER")  # "Name: value"
RATING_CARRIER_LOOKUP_PATH = text("RATING_CARRIER_LOOKUP_PATH", "carrier")  # dotted, into the JSON answer
RATING_CARRIER_LOOKUP_MAP = pairs(words("RATING_CARRIER_LOOKUP_MAP"))  # what the service says = our carrier's code
RATING_CARRIER_LOOKUP_TIMEOUT_MS = number("RATING_CARRIER_LOOKUP_TIMEOUT_MS", 300, at_least=10)
RATING_SECOND_PERSON_ROWS = number("RATING_SECOND_PERSON_ROWS", 10_000, at_least=0)  # changed rows of one publish

# --- calls ------------------------------------------------------------------------------------------------------------
SIMULATOR_URL = text("SIMULATOR_URL", "http://127.0.0.1:8090")  # where the demo's callback platform listens
CDR_INLINE_BUDGET = number("CDR_INLINE_BUDGET_MS", 2000, at_least=50) / 1000  # seconds
CDR_MIN_SECONDS = number("CDR_MIN_SECONDS", 1)
CDR_MAX_AGE_DAYS = number("CDR_MAX_AGE", 90, at_least=1)
CDR_MERGE_WAIT = number("CDR_MERGE_WAIT", 600)  # seconds
API_RATES = rates("API_RATES", "1200/60,12000/60,6000/60")  # requests of a caller, an organisation, an address
INTAKE_RATES = rates("INTAKE_RATES", "120000/60,120000/60,240000/60")  # the same where records and uses come in
CALLBACK_AGENT_RATE = rate("CALLBACK_AGENT_RATE", "30/60")  # calls per agent: at once, refilled over seconds
CALLBACK_CUSTOMER_RATE = rate("CALLBACK_CUSTOMER_RATE", "5/60")  # calls to one customer
CALLBACK_STREAMS_MAX = number("CALLBACK_STREAMS_MAX", 4)  # event streams a process keeps open at once

# --- the outside ------------------------------------------------------------------------------------------------------
OUTSIDE_ALLOWED_PRIVATE_NETS = words("OUTSIDE_ALLOWED_PRIVATE_NETS")  # networks (CIDR) that webhooks may reach anyway

# --- faults and logs --------------------------------------------------------------------------------------------------
FAILPOINTS = text("FAILPOINTS")
LOG_LEVEL = text("LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "billing_platform.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["stderr"], "propagate": False},
        "axes": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},  # it writes whole addresses, with the numbers in them
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
