# flex_api: a PostgreSQL extension.
#
#   make, make install, make installcheck    as with any PGXS extension
#   make check, make check TEST=test/t/outbox/X.pl  the tests in SQL, or one of any kind, once
#   make test                                everything, on throw-away servers
#   make test-long                           what takes longer: fuzzing, other versions, PostgreSQL's own tests
#   make test-on VERSION=17                  the tests on another major version
#   make check-upgrade FROM=15 VERSION=17  pg_upgrade with a full outbox
#   make interop                             the official Node client, and the published examples
#   make generate                            facts, reference and tables, from documents and definitions
#   make demo                                the main job, step by step
#   make bench                               counts: system calls, WAL; SECTIONS=all: times, beside a raw libcurl program
#   make analyze                             cppcheck, clang-tidy and scan-build
#   make check-valgrind                      the tests in SQL and a part of the fuzzing under Valgrind, on a server that helps it
#   make dist                                the archive for PGXN, in dist/
#   make deb, make deb VERSION=17            Debian packages in dist/, of this release or of the one with that PostgreSQL
#
# PG_CONFIG chooses the PostgreSQL to build for.

EXTENSION = flex_api
EXT_VERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

MODULE_big = flex_api
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
SHLIB_LINK = $(shell pkg-config --libs libcurl)

# The definitions by topic, in the order in which they need each other.
SQL_PARTS = prologue catalogue interactions interaction_webhooks webchats users instance_users teams configuration \
	plugins plugin_configurations insights insights_questionnaires \
	channels flows web_channels webhooks access_tokens foreign outbox statistics privileges
SQL_FILES = $(SQL_PARTS:%=sql/install/%.sql)
DATA_built = sql/$(EXTENSION)--$(EXT_VERSION).sql
# The script of each release as it was, never to be changed, and the ways from one version to the next.
DATA = $(wildcard sql/release/*.sql) $(wildcard sql/upgrade/*.sql)

# The expected/*_1.out are for a server that preloads the library (two warnings come at other times there, or not at all),
# and for other versions of PostgreSQL (foreign_plans: from 16 on, outbox_roles: 16).
REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
# Each test has a simulator of its own beside it; installcheck works with any running server.
REGRESS_OPTS = --inputdir=test --launcher=test/tools/with-simulator --encoding=UTF8 --no-locale
# PGXS gives these an output folder of their own, which would hide expected/.
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = $(REGRESS_OPTS) --outputdir=.

EXTRA_CLEAN = sql/$(EXTENSION)--*.sql

# The server's headers come as system headers: they are not written for -Wextra.
WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-declaration-after-statement
# A file names what it includes by folder.
PG_CPPFLAGS = -I$(srcdir)/src -DFLEX_API_VERSION='"$(EXT_VERSION)"' $(shell pkg-config --cflags libcurl) \
	-isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = $(WARNINGS) -fvisibility=hidden $(WERROR)

PG_CONFIG ?= pg_config

# These start where there may be no PostgreSQL yet: they install it, and work in a copy of the source.
SANDBOXED = check test test-long test-on interop generate demo bench analyze deb check-deb check-upgrade check-valgrind dist
ifneq ($(filter-out $(SANDBOXED),$(or $(MAKECMDGOALS),all)),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) is not there: install PostgreSQL's headers (postgresql-server-dev-15), or give PG_CONFIG=)
endif
ifneq ($(shell pkg-config --atleast-version=7.87 libcurl && echo yes),yes)
$(error libcurl 7.87 or later is not found: install pkg-config and libcurl's headers (libcurl4-openssl-dev))
endif
include $(PGXS)

installcheck: $(if $(FLEX_SIMULATOR),,simulator)
else
# TEST="test/t/FOLDER/NAME.pl test/sql/NAME.sql ..." chooses.  PGXS has a recipe of this name, too.
check:
	@test/tools/packages
	@test/tools/sandbox test/tools/run-check $(TEST)
endif

$(OBJS): $(wildcard src/*/*.h) $(EXTENSION).control

sql/$(EXTENSION)--$(EXT_VERSION).sql: $(SQL_FILES) Makefile
	cat $(SQL_FILES) > $@

simulator:
	$(MAKE) -C test/simulator

# KEEP=1 leaves the copy and its logs behind.
# TESTS="test/t/FOLDER/NAME.pl ..." chooses.
export PG_CONFIG
test:
	@test/tools/packages
	@test/tools/sandbox test/tools/run-test $(TESTS)

# FLEX_CACHE is the folder where other servers are kept from one run to the next.
test-long:
	@test/tools/test-long

# GOALS are what to make there, such as "test"; without them, the tests of SQL and outbox.
test-on:
	@test/tools/test-on $(VERSION) $(GOALS)

interop:
	@test/tools/packages interop
	@test/tools/sandbox test/tools/run-check test/long/interop.pl test/long/interop_signatures.pl test/long/interop_recipes.pl test/t/documents/published_examples.pl

# FLEX_OPENAPI is the folder of the published documents.  What is made counts only if all of it is.
generate:
	@test/tools/packages
	@made=$$(mktemp) && test/tools/sandbox test/tools/generate >$$made && tar -x -o --no-same-permissions -f $$made && rm -f $$made

# The report stands in FLEX_DIST, or dist/.
# KEEP=1 leaves servers and simulator running, and says how to use and to stop them.
demo:
	@test/demo/run

# SECTIONS="calls lists ..." chooses; test/bench/run lists them.
bench:
	@test/tools/packages bench
	@test/tools/sandbox test/bench/run $(SECTIONS)

analyze:
	@test/tools/packages analyze
	@test/tools/sandbox test/tools/analyze

# TEST="test/t/FOLDER/NAME.pl ..." chooses.
check-valgrind:
	@test/tools/check-valgrind $(TEST)

dist:
	@test/package/make-dist

# In FLEX_DIST, or dist/.
deb:
	@test/package/make-deb $(VERSION)

check-deb:
	@test/package/check-deb $(VERSION)

# pg_upgrade from FROM to VERSION, in the Debian release that has the latter.
check-upgrade:
	@test/upgrade/between $(FROM) $(VERSION)

.PHONY: simulator $(SANDBOXED)
