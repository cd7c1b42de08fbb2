# Atoll: the commands that must always work on a fresh Debian 12 with git, make and the .NET SDK.
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1
export MSBUILDDISABLENODEREUSE = 1
# One compiler process serves a whole build; `build` ends it.
export UseSharedCompilation = true
# Programs that need the shared runtime find it under sudo too, wherever the SDK is.
export DOTNET_ROOT ?= $(dir $(realpath $(shell command -v dotnet)))

OUT := artifacts
ATOLL := $(OUT)/atoll/atoll
AGENT := $(OUT)/agent/atoll-agent
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=DOTNET_ROOT,PATH)
# Without symbols the native compiler has a tenth less to do; for perf: make clean build NATIVE=
NATIVE ?= -p:RunAnalyzers=false -p:NativeDebugSymbols=false
RID := $(if $(filter aarch64,$(shell uname -m)),linux-arm64,linux-x64)
SOURCES := $(shell find src samples -type f -not -path '*/bin/*' -not -path '*/obj/*') Directory.Build.props Directory.Packages.props src/Directory.Build.props global.json

.PHONY: help up down status cut heal build lint test soak bench clean

help: ## what can be done here
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## a centre and three sites on this machine, with the sample
	@eng/install.sh run
	@$(MAKE) build
	@$(SUDO) $(ATOLL) up --agent $(abspath $(AGENT)) --sample $(abspath samples/hello/hello.yaml)

down: ## stop it and leave nothing behind
	@if [ -x $(ATOLL) ]; then $(SUDO) $(ATOLL) down --agent $(abspath $(AGENT)); else echo "nothing was built here, so nothing is up"; fi

status: ## what runs
	@$(MAKE) built && $(SUDO) $(ATOLL) status

cut: ## cut a site's line: make cut SITE=alpha
	@[ -n "$(SITE)" ] || { echo "error: name the site, such as: make cut SITE=alpha" >&2; exit 2; }
	@$(MAKE) built && $(SUDO) $(ATOLL) cut $(SITE)

heal: ## heal it: make heal SITE=alpha
	@[ -n "$(SITE)" ] || { echo "error: name the site, such as: make heal SITE=alpha" >&2; exit 2; }
	@$(MAKE) built && $(SUDO) $(ATOLL) heal $(SITE)

.PHONY: built
built:
	@[ -x $(ATOLL) ] || { echo "error: nothing is built yet; start with: make up" >&2; exit 1; }

build: $(ATOLL) $(AGENT) ## the operator's program and the agent, native, in artifacts/
	@! pgrep -u "$$(id -u)" -f "[V]BCSCompiler" >/dev/null || dotnet build-server shutdown --vbcscompiler >/dev/null

$(ATOLL): $(SOURCES)
	@eng/install.sh build
	@echo "building atoll (the centre and the operator's commands; native, takes a minute or two)"
	@dotnet publish src/Atoll.Cloud -c Release -r $(RID) $(NATIVE) -o $(OUT)/atoll -v q --nologo
	@touch $@

$(AGENT): $(SOURCES)
	@eng/install.sh build
	@echo "building atoll-agent (native, takes a minute or two)"
	@dotnet publish src/Atoll.Agent -c Release -r $(RID) $(NATIVE) -o $(OUT)/agent -v q --nologo
	@touch $@

lint: ## the whole solution with its analyzers, warnings are errors: before each commit
	@dotnet build Atoll.slnx -c Release -v q --nologo

test: ## every test, at most 20 minutes on 2 cores
	@eng/install.sh test
	@eng/test.sh

soak: ## the long forms, for hours if asked: make soak HOURS=4
	@eng/install.sh test
	@ATOLL_SOAK=1 ATOLL_SOAK_HOURS="$(or $(HOURS),1)" eng/test.sh

bench: ## the benchmarks, into docs/benchmarks/: make bench SITES=50,100 for small fleets, LARGE=10000 for one of 1 M pods
	@eng/install.sh test
	@$(MAKE) build
	@dotnet run --project bench/Scheduling -c Release -- --out=docs/benchmarks/scheduling-online.md
	@dotnet run --project bench/Fragmentation -c Release -- docs/benchmarks
	@dotnet run --project bench/Fleet -c Release -- report --out=docs/benchmarks --sites=$(or $(SITES),312,625,1250,2500)
	@$(if $(LARGE),dotnet run --project bench/Fleet -c Release -- large --out=docs/benchmarks --sites=$(LARGE),true)
	@$(SUDO) eng/bench.sh

clean: ## remove what was built
	@rm -rf $(OUT)
