# `make` alone lists the targets. A fresh machine needs only two of them: `make up` and `make test`.
SHELL := /bin/bash
ARGS ?=
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help setup up test lint fmt bench secrets compose-up compose-down compose-logs

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing on this machine, for `up` and `test`
	@deploy/local/install.sh --tests

up: ## Build and run everything here; ARGS="--port 3001 --edges 3 --data DIR"
	@deploy/local/install.sh
	cargo build --release --locked -p chasqui
	@exec target/release/chasqui up $(ARGS)

test: setup lint ## Install what is missing, check the style, run every test
	cargo test --workspace --locked --no-fail-fast

lint: ## Formatting and lints, as strict as the tests want them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## Format the code
	cargo fmt --all

bench: ## Measure a running deployment; ARGS="--help" shows how
	cargo build --release --locked -p chasqui
	@exec target/release/chasqui bench $(ARGS)

secrets: ## Write the secrets compose wants into .env; those that are there stay
	@deploy/local/secrets.sh

compose-up: secrets ## Build the image and start the cluster of docker-compose.yml
	$(COMPOSE) up --build --detach $(ARGS)
	@# They read deploy/ again, and let nobody go. (`docker kill` would keep them from coming back after a crash.)
	for name in proxy nats-1 nats-2 nats-3; do $(COMPOSE) exec -T $$name sh -c 'kill -HUP 1'; done

compose-down: ## Stop the cluster; ARGS=--volumes also forgets its data
	$(COMPOSE) down $(ARGS)

compose-logs: ## Follow the cluster's logs
	$(COMPOSE) logs --follow $(ARGS)
