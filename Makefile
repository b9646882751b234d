# raft: what developers run. `make help` lists it.
# Needs GNU make. Everything that is made lies in build/.

LUA ?= lua5.4
LUA_INCDIR ?= /usr/include/lua5.4
LUA_LIBS ?= -llua5.4
CLANG ?= clang
CLANG_FORMAT ?= clang-format
GCC ?= gcc
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
TREE ?=

MAKEFLAGS += --no-print-directory
SUM := $(LUA) tools/sum.lua
BUSTED := $(LUA) tools/busted.lua --ignore-lua

# Where Lua finds this tree's modules, in tests and in what tests start.
# Set once: a make below this one must not put the same in front again.
ifndef RAFT_ROOT
export RAFT_ROOT := $(CURDIR)
lua_path := $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;
lua_cpath := $(CURDIR)/build/?.so;
export LUA_PATH := $(lua_path)$(or $(LUA_PATH),;)
export LUA_CPATH := $(lua_cpath)$(or $(LUA_CPATH),;)
# Lua asks for these first; who has them set would not find us otherwise.
ifdef LUA_PATH_5_4
export LUA_PATH_5_4 := $(lua_path)$(LUA_PATH_5_4)
endif
ifdef LUA_CPATH_5_4
export LUA_CPATH_5_4 := $(lua_cpath)$(LUA_CPATH_5_4)
endif
endif
export LUA LUA_INCDIR

# $(call with_cpath,DIR): for one command, DIR/raft/core.so is the C module.
with_cpath = LUA_CPATH="$(CURDIR)/$1/?.so;$$LUA_CPATH" \
  $(if $(LUA_CPATH_5_4),LUA_CPATH_5_4="$(CURDIR)/$1/?.so;$$LUA_CPATH_5_4")

# ------------------------------------------------------------------- sources

BINDING := $(wildcard csrc/lua_*.c)
CORE := $(filter-out $(BINDING),$(wildcard csrc/*.c))
HEADERS := $(wildcard csrc/*.h spec/c/*.h spec/c/*/*.h spec/fuzz/*.h \
  bench/core/*.h)
TESTS := $(wildcard spec/c/*_test.c)
EXPLORERS := $(wildcard spec/c/explorer/*_main.c)
SUPPORT := $(wildcard spec/c/support/*.c) \
  $(filter-out $(EXPLORERS),$(wildcard spec/c/explorer/*.c))
LUA_TESTS := $(filter %/lua_alloc_test.c,$(TESTS)) # link the binding and Lua
FUZZ := $(wildcard spec/fuzz/*.c)
UNITS := $(TESTS:spec/c/%.c=%) fuzz_replay # programs in build/unit
TRACES := $(filter %trace_test.c %traces_test.c,$(TESTS))
MUSEUM := $(wildcard spec/c/museum/*.c)
ALL_C := $(CORE) $(BINDING) $(TESTS) $(SUPPORT) $(EXPLORERS) $(MUSEUM) $(FUZZ) \
  $(wildcard tools/*.c spec/nemesis/*.c spec/crash/*.c \
  bench/core/*.c bench/probes/*.c)
PEERS := $(wildcard bench/peers/*.c) # of libraries that may be absent
PLAIN_CORE := $(filter-out csrc/host.c csrc/host_fork.c csrc/host_aio.c,$(CORE))

# --------------------------------------------------------------------- flags

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
  -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wundef
STANDARD := -std=c11 $(WARNINGS) -Icsrc
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all \
  -fno-omit-frame-pointer

tiny := $(if $(filter-out 0,$(TINY)),-DRAFT_TINY=1)
optimize := $(if $(filter-out 0,$(DEBUG)),-O0 -g3,-O2)
test_include := -Ispec/c -Ispec/c/support -Ispec/c/explorer
lua_include := -isystem $(LUA_INCDIR)

# lua_alloc_test makes realloc fail, where the linker can send it there.
ifeq ($(shell uname -s),Darwin)
SHARED := -bundle -undefined dynamic_lookup
lua_link := $(LUA_LIBS)
else
SHARED := -shared
lua_link := $(LUA_LIBS) -Wl,--wrap=realloc
endif

# One flavour per way to compile: build/<flavour>/ holds its objects.
flags_core := $(STANDARD) $(optimize) $(tiny) -fPIC $(lua_include) $(CFLAGS)
flags_unit := $(STANDARD) -O1 -g -DRAFT_TINY=1 $(SANITIZE) $(test_include) \
  $(lua_include)
flags_fast := $(STANDARD) -O2 -g -DRAFT_TINY=1 $(test_include)
flags_fuzz := $(STANDARD) -O1 -g -DRAFT_TINY=1 $(SANITIZE) $(test_include) \
  $(lua_include) -fsanitize=fuzzer-no-link \
  -fno-sanitize-coverage=trace-cmp
flags_asan := $(STANDARD) -O1 -g $(tiny) $(SANITIZE) -fPIC $(lua_include)
flags_cov := $(STANDARD) -O0 -g --coverage -DRAFT_COVERAGE=1 -fPIC \
  $(lua_include)
flags_covunit := $(STANDARD) -O0 -g -DRAFT_TINY=1 --coverage $(test_include) \
  $(lua_include)
flags_mutate := $(STANDARD) -O1 -DRAFT_TINY=1 $(test_include) $(lua_include)

# ------------------------------------------------------------ what is for you

.PHONY: all build
all: build
build: build/raft/core.so  ## the C module (DEBUG=1, TINY=1)
	@:

.PHONY: demo
demo:  ## three processes, a killed leader, every word counted (FILE=a text)
	@tools/deps run
	@$(MAKE) -s -j$(JOBS) build
	@$(LUA) examples/demo/demo.lua $(if $(FILE),"$(FILE)")

.PHONY: test
test:  ## all tests: C units and specs; installs what is missing (SEED=n)
	@tools/deps test
	@$(MAKE) -s -j$(JOBS) build unit-programs build/fast/explore \
	  build/fast/walk
	@$(SUM) "$(MAKE) unit" "build/fast/explore --set test" \
	  "build/fast/walk 3e5" "$(MAKE) spec"

# The longest one beside all others: $(1) is where they were built.
long_unit := explorer_test
two_at_a_time = $(SUM) -j "$(SUM) -q $(1)/$(long_unit)" \
  "$(SUM) -q $(patsubst %,$(1)/%,$(filter-out $(long_unit),$(UNITS)))"

.PHONY: unit
unit:  ## C unit tests, tiny limits, under ASan and UBSan
	@$(MAKE) -s -j$(JOBS) unit-programs
	@$(call two_at_a_time,build/unit)

.PHONY: explore explore-counts
explore:  ## every interleaving within bounds (ARGS="--terms 2 ..." for others)
	@$(MAKE) -s -j$(JOBS) build/fast/explore
	@build/fast/explore $(or $(ARGS),--set ci)

.PHONY: walk
walk:  ## random runs of the core, SECONDS=1e7 virtual ones (SEED=n)
	@$(MAKE) -s -j$(JOBS) build/fast/walk
	@build/fast/walk $(or $(SECONDS),1e7)

explore-counts:  ## rewrites explorer/counts.txt (ARGS="--set ci"); review it
	@$(MAKE) -s -j$(JOBS) build/fast/explore
	@build/fast/explore $(or $(ARGS),--set all) --write

# Groups that run at the same time: those that mostly wait for processes and
# timers, and behind them (nice) those that compute.
process_specs := spec/real
timer_specs := $(wildcard spec/node/[a-l]*_spec.lua)
more_timer_specs := $(wildcard spec/node/[m-z]*_spec.lua)
model_specs := spec/sim spec/labs
storage_specs := spec/client spec/services spec/storage
other_specs := $(filter-out spec/real spec/node $(model_specs) \
  $(storage_specs),\
  $(patsubst %/,%,$(sort $(dir $(wildcard spec/*/*_spec.lua)))) \
  $(wildcard spec/*_spec.lua))

# A command for each group: $(1) is set for it, $(2) are arguments of busted,
# $(3) of those that compute are left out.
spec_groups = \
  $(foreach group,process timer more_timer,\
    '$(1) $(BUSTED) $(2) $($(group)_specs)') \
  $(foreach group,model storage other,\
    '$(1) nice $(BUSTED) $(2) $(filter-out $(3),$($(group)_specs))')

.PHONY: spec
spec: build  ## the busted specs (ONLY=spec/x_spec.lua, ARGS=--filter=x)
	@$(if $(ARGS)$(ONLY),$(BUSTED) $(ARGS) $(ONLY),$(SUM) -j $(spec_groups))

# The specs but those tagged #house, which are about tools and packaging: $(1)
# is set for them, $(2) of those that compute are left out.
other_builds_specs = $(if $(ARGS)$(ONLY),\
  $(1) $(BUSTED) --exclude-tags=house $(ARGS) $(ONLY),\
  $(SUM) -j $(call spec_groups,$(1),--exclude-tags=house,$(2)))

# The C module is what the sanitizers watch. #house starts compilers, which leak
# as they please. The labs do nothing with it that the other simulations do not.
asan_module = build/asan/raft/core.so build/asan/dlclose.so
asan_env = RAFT_ASAN=1 \
  LD_PRELOAD="$(shell $(CC) -print-file-name=libasan.so) $(lastword \
    $(asan_module:%=$(CURDIR)/%))" \
  UBSAN_OPTIONS=print_stacktrace=1 \
  LSAN_OPTIONS=suppressions=$(CURDIR)/tools/leaks.supp:print_suppressions=0

.PHONY: asan
asan:  ## the specs again, the C module under ASan and UBSan
	@$(MAKE) -s -j$(JOBS) $(asan_module)
	@$(call other_builds_specs,$(call with_cpath,build/asan) $(asan_env),\
	  spec/labs)

.PHONY: examples
examples: build  ## runs every example's own check, examples/*/check.lua
	@tools/deps examples
	@$(SUM) --check $(patsubst %,"$(LUA) %",\
	  $(shell find examples -name check.lua -perm -u+x 2>/dev/null | sort))

.PHONY: crashstates
crashstates: build  ## what power cuts may leave of a log, each opened (N=100000)
	@$(LUA) spec/storage/crash_states.lua $(or $(N),100000)

.PHONY: damage
damage: build  ## every bit, length and missing file of a small log (STEP=1)
	@$(LUA) spec/storage/all_damage.lua $(or $(STEP),1)

.PHONY: sim sim-clients
sim: build  ## the simulator's swarm over a key-value service (SEEDS= MS= NODES=)
	@JOBS=$(JOBS) $(LUA) spec/sim/swarm.lua $(or $(SEEDS),20) $(or $(MS),60000) \
	  $(or $(NODES),5)

sim-clients: build  ## clients that give up, stand still, are cut off (SEEDS= MS=)
	@$(LUA) spec/sim/clients.lua $(or $(SEEDS),40) $(or $(MS),20000)

.PHONY: labs
labs: build  ## the labs of MIT 6.5840 in virtual time, each SEEDS times
	@LABS_SEEDS=$(or $(SEEDS),100) WATCHDOG_MS=600000 \
	  $(BUSTED) $(ARGS) $(or $(ONLY),spec/labs)

# Each is bounded in time, so that one that hangs is a failure too.
.PHONY: faults
faults: build  ## real processes and files under faults, as CI has them
	@$(SUM) -t "timeout 300 $(MAKE) nemesis SECONDS=20 RUNS=3" \
	  "timeout 300 $(MAKE) killpoints N=200" \
	  "timeout 300 $(MAKE) powercuts N=100"

proofs_of_files := $(SUM) -t "timeout 300 $(MAKE) explore" \
  "timeout 300 $(MAKE) walk" --check "timeout 300 $(MAKE) crashstates" \
  "timeout 1200 $(MAKE) damage STEP=2"
# One seed for the fuzzers here: what they find is to be found by who looks for
# it, with `make fuzz`, and not by who has changed something else.
proofs_of_core := $(SUM) -t "timeout 500 $(MAKE) fuzz SECONDS=14 SEED=22" \
  --check "timeout 400 $(MAKE) coverage" \
  "timeout 900 $(MAKE) mutate BASE=$(BASE) N=4 MAX=$(or $(MAX),24) SHARE=90"

.PHONY: proofs
proofs:  ## the proofs of minutes, as CI has them, two at a time (BASE=, MAX=)
	@tools/deps proof
	@tools/deps fuzz
	@$(MAKE) -s -j$(JOBS) build build/fast/explore build/fast/walk \
	  build/fuzz/fuzz
	@$(SUM) -j '$(proofs_of_files)' '$(proofs_of_core)'

.PHONY: check
check:  ## everything CI runs
	@.ci/run

.PHONY: lint
lint:  ## arrows, tidiness, formatting, luacheck, warnings as errors
	@tools/deps lint
	@$(MAKE) -s -k -j$(JOBS) $(LINTS)

.PHONY: format
format:  ## formats the C files, and rewrites the rockspec's list of modules
	@$(CLANG_FORMAT) -i $(ALL_C) $(PEERS) $(HEADERS)
	@$(LUA) tools/rockspec.lua --write

.PHONY: tidy
tidy:  ## the measured figures: function and file lengths, asserts
	@$(LUA) tools/tidy.lua --report

.PHONY: museum museum-rungs museum-sim
museum: build  ## old bugs planted one by one; each must be caught as told
	@$(MAKE) -s -j$(JOBS) build/museum/museum_test build/museum/raft/core.so
	@$(LUA) spec/museum/check.lua

museum-rungs:  ## which other tests find the planted bugs (some minutes)
	@$(MAKE) -s -j$(JOBS) $(RUNGS:%=build/museum/%_test)
	@$(LUA) spec/museum/rungs.lua $(ARGS)

museum-sim: build  ## which of them the simulator finds (N= MS= NODES=)
	@$(MAKE) -s -j$(JOBS) build/museum/raft/core.so
	@$(call with_cpath,build/museum) $(LUA) spec/museum/swarm.lua $(ARGS)

.PHONY: coverage
coverage:  ## branches of csrc that tests reach; fails below 95 % (MISSING=1)
	@mkdir -p build/cov build/covunit
	@find build/cov build/covunit -name '*.gcda' -delete
	@$(MAKE) -s -j$(JOBS) build/cov/raft/core.so $(UNITS:%=build/covunit/%)
	@status=0; \
	$(call two_at_a_time,build/covunit) || status=1; \
	$(call other_builds_specs,$(call with_cpath,build/cov),spec/labs) \
	  || status=1; \
	$(LUA) tools/coverage.lua $(if $(MISSING),--missing) build/cov \
	  build/covunit || status=1; exit $$status

.PHONY: mutate
mutate:  ## breaks the core on purpose (FILES= N= SEED= BASE= MAX= SHARE=)
	@N=$(N) SEED=$(SEED) BASE=$(BASE) MAX=$(MAX) SHARE=$(SHARE) \
	  $(LUA) tools/mutate.lua $(FILES)

.PHONY: fuzz
fuzz:  ## libFuzzer on every target, SECONDS each (20; TARGET=wire, SEED=n)
	@tools/deps fuzz
	@$(MAKE) -s -j$(JOBS) build/fuzz/fuzz
	@$(LUA) tools/fuzz.lua $(or $(SECONDS),20) $(TARGET)

# Canonical raft is compared with where it is installed.
bench_programs = build/bench/core_alone \
  $(if $(wildcard /usr/include/raft/uv.h),build/bench/canonical) $(probes)

# What looks into a process while it runs: with the linker of Linux.
ifeq ($(shell uname -s),Linux)
probes := $(patsubst bench/probes/%.c,build/bench/%.so,\
  $(wildcard bench/probes/*.c))
endif

.PHONY: bench
bench: build $(bench_programs)  ## ours beside its peers (QUICK=1, ARGS=)
	@QUICK=$(QUICK) $(LUA) bench/run.lua $(ARGS)

guard_programs := build/bench/core_alone build/bench/guard
# Other flags than the usual ones have other figures.
guard_flags := $(filter-out 0,$(DEBUG) $(TINY)) $(CFLAGS)
guard_compiler = $(shell $(CC) --version | head -n 1)$(guard_flags:%=, %)

.PHONY: bench-guard
bench-guard: build $(guard_programs)  ## counts instructions (WRITE=1 keeps)
	@$(LUA) bench/guard.lua "$(guard_compiler)" $(if $(WRITE),write)

$(guard_programs): build/bench/%: \
  build/core/bench/core/%.o build/core/bench/core/world.o build/core/core.a
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(flags_core) -o $@ $^

build/bench/%.so: bench/probes/%.c
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(STANDARD) -O2 -fno-builtin -fPIC $(lua_include) $(SHARED) -o $@ $<

# It has another raft.h than ours, so none of our include paths.
build/bench/%: bench/peers/%.c
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O2 -o $@ $< -lraft -luv

.PHONY: bench-deps
bench-deps:  ## installs the peers that the benchmarks compare with
	@tools/deps bench

.PHONY: replay
replay: build  ## runs a recording again, as a trace in words (FILE=recording)
	@$(LUA) tools/replay.lua $(if $(FILE),"$(FILE)")

# A longer run of the nemesis has more clusters, one a minute.
.PHONY: nemesis
nemesis: build build/nemesis/faults.so  ## real processes, bent (SECONDS, RUNS)
	@$(LUA) spec/nemesis/run.lua $(CURDIR)/build/nemesis/faults.so \
	  $(or $(SECONDS),20) $(or $(RUNS),3) $(SEED)

.PHONY: killpoints
killpoints: build  ## lives killed as they enter a file call (N=200)
	@tools/deps proof
	@$(LUA) spec/crash/killpoints.lua $(or $(N),200) $(SEED)

.PHONY: powercuts
powercuts: build build/crash/cut  ## the power fails on ext4 and xfs (N=100)
	@tools/deps proof
	@$(LUA) spec/crash/powercuts.lua $(or $(N),100) $(CURDIR)/build/crash/cut \
	  $(SEED)

.PHONY: traces
traces:  ## rewrites spec/traces/*.txt; review the diff
	@$(MAKE) -s -j$(JOBS) $(TRACES:spec/c/%.c=build/unit/%)
	@$(foreach t,$(TRACES:spec/c/%.c=build/unit/%),$(t) --write &&) true
	@WRITE_TRACES=1 $(MAKE) -s spec ONLY=spec/replay_spec.lua

# tools/deps has seen to luv, which luarocks would look for on the network.
.PHONY: install
install:  ## installs with luarocks (TREE=directory)
	@tools/deps test
	luarocks --lua-version=5.4 $(TREE:%=--tree="%") make --deps-mode=none \
	  rockspec/raft-scm-1.rockspec
	@rm -rf raft $(ALL_C:%.c=%.o)  # luarocks builds in the source tree

.PHONY: clean
clean:  ## removes what was built
	@rm -rf build

.PHONY: help
help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-15s %s\n", $$1, $$2 }' \
	  Makefile

# -------------------------------------------------------------------- lint

LINTS := lint-arrows lint-tidy lint-rockspec lint-luacheck lint-format lint-c
.PHONY: $(LINTS)

lint-arrows lint-tidy lint-rockspec: lint-%:
	@$(LUA) tools/$*.lua

lint-luacheck:
	@luacheck -q --no-color .busted .luacheckrc rockspec \
	  $(wildcard lua spec tools examples bench)

lint-format:
	@$(CLANG_FORMAT) --dry-run -Werror $(ALL_C) $(PEERS) $(HEADERS)

lint_flags = -fsyntax-only -Werror $(STANDARD) $(test_include) $(lua_include)

# A stamp per file that was found clean, so that lint is quick the next time.
lint-c: $(ALL_C:%.c=build/lint/%.warned) $(PLAIN_CORE:%.c=build/lint/%.analyzed)

build/lint/%.warned: %.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	@$(GCC) $(lint_flags) $<
	@$(GCC) $(lint_flags) -DRAFT_TINY=1 $<
	@$(CLANG) $(lint_flags) $<
	@touch $@

# With -O2 gcc also sees what only the optimizer can: values never set.
build/lint/%.analyzed: %.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	@$(GCC) -c -o /dev/null -O2 -fanalyzer -Werror $(STANDARD) $<
	@touch $@

# ------------------------------------------------------------------- compile

.PHONY: FORCE
FORCE:

# $(call flavour,NAME): how a C file becomes an object of that flavour. The
# flags are kept in a file, so that other flags mean other objects.
define flavour
build/$1/flags: FORCE
	@mkdir -p $$(@D)
	@echo '$(CC) $(flags_$1)' | cmp -s - $$@ || \
	  echo '$(CC) $(flags_$1)' > $$@

build/$1/%.o: %.c build/$1/flags
	@mkdir -p $$(@D)
	@echo "  cc $1 $$<"
	@$$(CC) $$(flags_$1) -MMD -MP -c -o $$@ $$<

# Worth keeping: make would remove what lies between a test and its source.
.PRECIOUS: build/$1/%.o

build/$1/core.a: $(CORE:%.c=build/$1/%.o)
	@rm -f $$@
	@$(AR) rcs $$@ $$^

-include $(patsubst %.c,build/$1/%.d,$(ALL_C))
endef

# $(call module,TARGET,FLAVOUR): the C module.
define module
$1: $(patsubst %.c,build/$2/%.o,$(CORE) $(BINDING))
	@mkdir -p $$(@D)
	@echo "  ld $$@"
	@$$(CC) $$(flags_$2) $$(SHARED) -o $$@ $$^ $$(LDFLAGS)
endef

# $(call program,FLAVOUR): every C test is a program of its own.
define program
build/$1/%_test: build/$1/spec/c/%_test.o build/$1/core.a \
  $(SUPPORT:%.c=build/$1/%.o)
	@echo "  ld $$@"
	@$$(CC) $$(flags_$1) -o $$@ $$(filter-out %.a,$$^) build/$1/core.a \
	  $$(if $$(filter %/lua_core.o,$$^),$$(lua_link))

$(LUA_TESTS:spec/c/%.c=build/$1/%): $(BINDING:%.c=build/$1/%.o)
endef

# $(call fuzzers,FLAVOUR,NAME,FLAGS,NOT): all targets as one program NAME.
define fuzzers
build/$1/$2: $(patsubst %.c,build/$1/%.o,$(filter-out $4,$(FUZZ)) \
  $(SUPPORT) $(BINDING)) build/$1/core.a
	@echo "  ld $$@"
	@$$(CC) $$(flags_$1) $3 -o $$@ $$^ $(LUA_LIBS)
endef

# libFuzzer is clang's.
build/fuzz/%: CC = $(CLANG)

$(foreach f,core unit fast asan cov covunit mutate fuzz,\
  $(eval $(call flavour,$(f))))
$(eval $(call module,build/raft/core.so,core))
$(eval $(call module,build/asan/raft/core.so,asan))
$(eval $(call module,build/cov/raft/core.so,cov))
$(eval $(call program,unit))
$(eval $(call program,covunit))
$(eval $(call program,mutate))
$(eval $(call fuzzers,unit,fuzz_replay))
$(eval $(call fuzzers,covunit,fuzz_replay))
$(eval $(call fuzzers,fuzz,fuzz,-fsanitize=fuzzer,spec/fuzz/replay.c))

# ---------------------------------------------------------------- the museum

# A copy of the core that holds the museum's bugs and chooses when it runs
# (tools/plant.lua); csrc, and what is released, know nothing of them.
RUNGS := quorum progress log log_model config paper raft election replication \
  read forward election_trace log_trace client_trace random
planted := $(patsubst %,build/museum/%,$(CORE) $(BINDING) $(wildcard csrc/*.h))
flags_museum := $(patsubst -Icsrc,-Ibuild/museum/csrc,$(STANDARD)) -O1 -g \
  -DRAFT_TINY=1 $(SANITIZE) $(test_include) -Ispec/c/museum

build/museum/planted: tools/plant.lua spec/museum/plants.lua $(CORE) \
  $(BINDING) $(wildcard csrc/*.h)
	@mkdir -p $(@D)
	@$(LUA) tools/plant.lua
	@touch $@

# Headers too: what was planted just now is newer than what make knew of it.
$(planted): build/museum/planted ;

build/museum/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(flags_museum)' | cmp -s - $@ || \
	  echo '$(CC) $(flags_museum)' > $@

build/museum/csrc/%.o: build/museum/csrc/%.c build/museum/flags
	@echo "  cc museum csrc/$*.c"
	@$(CC) $(flags_museum) -MMD -MP -c -o $@ $<

build/museum/spec/%.o: spec/%.c build/museum/flags build/museum/planted
	@mkdir -p $(@D)
	@echo "  cc museum $<"
	@$(CC) $(flags_museum) -MMD -MP -c -o $@ $<

.PRECIOUS: build/museum/spec/%.o build/museum/csrc/%.o

build/museum/core.a: $(CORE:%.c=build/museum/%.o) \
  build/museum/spec/c/museum/raft_bug.o
	@rm -f $@
	@$(AR) rcs $@ $^

museum_rest := $(SUPPORT:%.c=build/museum/%.o) build/museum/core.a

build/museum/museum_test: $(MUSEUM:%.c=build/museum/%.o) $(museum_rest)
	@echo "  ld $@"
	@$(CC) $(flags_museum) -o $@ $(filter-out %raft_bug.o,$^)

build/museum/%_test: build/museum/spec/c/%_test.o $(museum_rest)
	@echo "  ld $@"
	@$(CC) $(flags_museum) -o $@ $^

# The same as a C module of usual size, for what runs on Lua: RAFT_BUG=21 and
# build/museum in front of package.cpath.
flags_bugs := $(patsubst -Icsrc,-Ibuild/museum/csrc,$(STANDARD)) -O2 -fPIC \
  $(lua_include) -Ispec/c/museum

build/museum/lua/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(flags_bugs)' | cmp -s - $@ || \
	  echo '$(CC) $(flags_bugs)' > $@

build/museum/lua/%.o: build/museum/csrc/%.c build/museum/lua/flags
	@echo "  cc bugs csrc/$*.c"
	@$(CC) $(flags_bugs) -MMD -MP -c -o $@ $<

build/museum/lua/raft_bug.o: spec/c/museum/raft_bug.c build/museum/lua/flags
	@$(CC) $(flags_bugs) -MMD -MP -c -o $@ $<

build/museum/raft/core.so: build/museum/lua/raft_bug.o \
  $(patsubst csrc/%.c,build/museum/lua/%.o,$(CORE) $(BINDING))
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(SHARED) -o $@ $^

-include $(patsubst %.c,build/museum/%.d,$(ALL_C))
-include $(patsubst csrc/%.c,build/museum/lua/%.d,$(CORE) $(BINDING)) \
  build/museum/lua/raft_bug.d

# The explorer and the walk: fast, with all asserts.
build/fast/%: build/fast/spec/c/explorer/%_main.o build/fast/core.a \
  $(SUPPORT:%.c=build/fast/%.o)
	@echo "  ld $@"
	@$(CC) $(flags_fast) -o $@ $< $(SUPPORT:%.c=build/fast/%.o) \
	  build/fast/core.a

.PHONY: unit-programs
unit-programs: $(UNITS:%=build/unit/%)
	@:

build/nemesis/%.so: spec/nemesis/%.c
	@mkdir -p $(@D)
	@$(CC) $(STANDARD) -O2 -fPIC -shared -o $@ $<

build/crash/%: spec/crash/%.c
	@mkdir -p $(@D)
	@$(CC) $(STANDARD) -O2 -o $@ $<

build/asan/dlclose.so: tools/dlclose.c
	@mkdir -p $(@D)
	@$(CC) -shared -fPIC -o $@ $<
