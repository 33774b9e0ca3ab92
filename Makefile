# Every command is a short script in scripts/. PORT, WORKERS and the other settings of the README come from the
# environment or the command line: make start PORT=9000. ARGS are passed on: make test ARGS="-k bus".

.DEFAULT_GOAL := help
.PHONY: help init start stop serve shell-api shell-tsgen test check bench bench-quick types chaos image lock

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf 'make %-12s %s\n' "$$name" "$$text"; done

init: ## install everything a developer needs, and the git hooks
	@scripts/init

start: ## run the cluster in the foreground: in a container if there is a Docker engine, else on this machine
	@scripts/start

stop: ## end what `make start` runs
	@scripts/stop

serve: ## develop the user interface: on port 4200, with hot reload, beside `make start`
	@scripts/serve $(ARGS)

shell-api: ## open a shell where the cluster runs
	@scripts/shell

shell-tsgen: ## open a shell where the TypeScript types are generated
	@scripts/shell-tsgen

test: ## check and test everything
	@scripts/test $(ARGS)

check: ## ruff and mypy only
	@scripts/check

bench: ## measure the fan-out beside a C floor and other servers, about 20 minutes, into docs/benchmarks
	@scripts/bench $(ARGS)

bench-quick: ## the same in under 2 minutes, shown only
	@scripts/bench --quick

types: ## write the TypeScript types (ARGS=--check, --watch)
	@scripts/types $(ARGS)

chaos: ## kill processes under load and show that nothing is lost (DURATION in seconds, SEED, BUS_URL)
	@scripts/chaos

image: ## build the container's image and try it
	@scripts/image

lock: ## write the locked requirements anew from pyproject.toml
	@scripts/venv dev
	@scripts/lock $(ARGS)
