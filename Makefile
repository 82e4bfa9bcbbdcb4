# flex_api: a PostgreSQL extension.
#
#   make, make install, make installcheck    as with any PGXS extension
#   make test                                everything, on throw-away servers
#   make demo                                the main job, before your eyes
#   make bench                               speed, beside a raw libcurl program
#
# PG_CONFIG chooses the PostgreSQL to build for.

EXTENSION = flex_api
EXT_VERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

MODULE_big = flex_api
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
SHLIB_LINK = $(shell pkg-config --libs libcurl json-c)

# The definitions by topic, in the order in which they need each other.
SQL_PARTS = prologue catalogue interactions webchats users configuration \
	plugins plugin_configurations insights insights_questionnaires \
	channels flows web_channels privileges
SQL_FILES = $(SQL_PARTS:%=sql/install/%.sql)
DATA_built = sql/$(EXTENSION)--$(EXT_VERSION).sql
DATA = $(wildcard sql/upgrade/*.sql)

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test

EXTRA_CLEAN = sql/$(EXTENSION)--*.sql

# The server's headers come as system headers: they are not written for -Wextra.
WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-declaration-after-statement
PG_CPPFLAGS = -DFLEX_API_VERSION='"$(EXT_VERSION)"' $(shell pkg-config --cflags libcurl json-c) \
	-isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = $(WARNINGS) -fvisibility=hidden $(WERROR)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.h) $(EXTENSION).control

sql/$(EXTENSION)--$(EXT_VERSION).sql: $(SQL_FILES) Makefile
	cat $(SQL_FILES) > $@
