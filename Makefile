# What one types in a clone. Everything is done by the scripts; see docs/contributing.md.
PREFIX ?= /usr/local
PYTHON ?= python3

.PHONY: build test test-all lint test-manual install uninstall clean

build: ## dist/cw.pyz, the program in one file
	$(PYTHON) scripts/build-pyz

test: ## the tests that start no nodes
	scripts/test tests/unit tests/io -q -n 4

test-all: ## every test
	scripts/test

lint: ## ruff, mypy, import rules, shellcheck
	scripts/check

test-manual: build ## the main job by hand, in a home of its own
	scripts/test-manual dist/cw.pyz

install: build ## PREFIX/bin/cw
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -m 755 dist/cw.pyz "$(DESTDIR)$(PREFIX)/bin/cw"

uninstall: ## stop the node first: cw stop
	rm -f "$(DESTDIR)$(PREFIX)/bin/cw"

clean:
	rm -rf build dist codewire.egg-info
