# Everything a person needs: make run, make test. Nothing but Python 3.11+ and make is required.
PYTHON ?= python3
UV_VERSION := 0.13.9
RUN := .venv/bin/python
DEV := .venv-dev/bin/python
APPS := billing_platform callcontrol cdr counter finance ivr ledger orders rating

.PHONY: run test demo bench lint faults clean protos messages lock dev

run: .venv/.installed
	$(RUN) manage.py up

test: .venv-dev/.installed
	$(DEV) -m pytest -n 2 --dist loadfile

demo: .venv/.installed
	$(RUN) manage.py demo

bench: .venv-dev/.installed
	$(DEV) -m benchmarks

lint: .venv-dev/.installed
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	$(DEV) -m mypy $(wildcard $(APPS))
	.venv-dev/bin/lint-imports

faults: .venv-dev/.installed
	$(DEV) -m pytest -m "smoke or faults" tests/faults -n 0 -p no:randomly $(if $(CASE),-k $(CASE),)

dev: .venv-dev/.installed

protos: .venv-dev/.installed
	$(DEV) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. protos/counter.proto

messages: .venv-dev/.installed
	$(DEV) tests/house/catalogues.py

lock: .boot/.installed
	.boot/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-header --upgrade -q -o requirements.lock
	.boot/bin/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header --upgrade -q -o requirements-dev.lock

clean:
	rm -rf .venv .venv-dev .boot staticfiles .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "var/ (databases and logs of this checkout) was kept; remove it by hand to start from nothing."

# uv in a small environment of its own makes an environment in seconds; without it pip does the same, slower.
.boot/.installed:
	$(PYTHON) -m venv .boot
	-.boot/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

.venv/.installed: requirements.lock .boot/.installed
	$(PYTHON) -m venv .venv
	$(call install,.venv,requirements.lock)
	touch $@

.venv-dev/.installed: requirements-dev.lock .boot/.installed
	$(PYTHON) -m venv .venv-dev
	$(call install,.venv-dev,requirements-dev.lock)
	touch $@

define install
	if [ -x .boot/bin/uv ]; then VIRTUAL_ENV=$(CURDIR)/$(1) .boot/bin/uv pip sync --quiet --require-hashes $(2); \
	else $(1)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(2); fi
endef
