# The nightly visits ETL. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.SILENT:
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON3 ?= python3
PYTHON := .venv/bin/python
# Installed is only what a lock names, from files with the hashes that stand there. Nothing is built.
LOCKED := --require-hashes --only-binary :all: --no-deps
install = echo "Installing the packages of $(2) ..."; $(PYTHON) -m pip --python $(1) install --quiet --disable-pip-version-check $(LOCKED)$(if $(3), $(3)) -r $(2)
LAY_OUT := cp sftp-server/data-backup/report_*.txt sftp-server/data/
# Local nights see cron's bare environment, so that nothing of a real installation leaks into them.
BARE := env -i $${HOME:+HOME="$$HOME"} $${JAVA_HOME:+JAVA_HOME="$$JAVA_HOME"} PATH=/usr/bin:/bin ENV_FILE=.local/testing.env
# What looks at an installation looks at the one that .env describes; without one, at what `make testing` left.
LOOK := ETL_ASKED_BY=make $(if $(wildcard .env),,$(if $(wildcard .local/testing.env),ENV_FILE="$${ENV_FILE:-.local/testing.env}")) $(PYTHON) etl

# What somebody types behind a target's name is text, not make's language: FILE='$(shell ...)' is the name of a file.
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(TYPED),$(eval override export $(name) := $$(value $(name))))
# An option for such a text, not for the environment's; the shell sees it as one word.
given = $(if $(filter $(1),$(TYPED)),$(2)="$$$(1)")
# The answer to a command that asks before it changes anything.
YES_TYPED = $(if $(filter YES,$(TYPED)),$(if $(filter 1,$(YES)),--yes))
# A cron line, or units of systemd; below DESTDIR, as for every make install.
SYSTEMD_TYPED = $(if $(filter SYSTEMD,$(TYPED)),$(if $(filter 1,$(SYSTEMD)),--systemd $(call given,DESTDIR,--destdir)))
# The engine of make testing, and what it needs.
ENGINE_TYPED = $(if $(filter ENGINE,$(TYPED)),$(or $(filter postgres spark,$(ENGINE)),unknown))
SPARK = $(if $(filter spark,$(ENGINE_TYPED)),.venv/spark)
export PYTHON3

.PHONY: help etl-setup lake-setup postgres-setup sftp-setup testing lake-sql lake-import lake-maintain psql postgres-stop check notify-test report status history explain verify-backups restore-drill prune undo reload rejects replay forget schedule unschedule test \
        crash-test bench lint lock sbom clean

help: ## List the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

etl-setup: .venv/etl ## Make the virtual environment and install the pinned packages
	echo "The ETL is installed. Next: cp .env.example .env, fill it in, then make postgres-setup."

lake-setup: .venv/spark ## Install what ENGINE=spark needs beside Java
	echo "Spark is installed. Next: ENGINE=spark in .env, or make testing ENGINE=spark."

postgres-setup: .venv/etl ## Create or update the schema: in your database if one is set, else in an embedded one
	own=$$($(PYTHON) etl own-database)
	if [ "$$own" = no ]; then
		echo "No DATABASE_URL or PG* is set: using the embedded PostgreSQL under .local/."
		[ .venv/postgres -nt sql/requirements.lock ] || { $(call install,.venv,sql/requirements.lock); touch .venv/postgres; }
		export ENV_FILE=/dev/null DATABASE_URL
		DATABASE_URL=$$($(PYTHON) sql/local-postgres.py start)
	fi
	$(PYTHON) etl migrate

sftp-setup: .venv/etl ## Lay out the sample reports for the mock SFTP server
	$(LAY_OUT)
	echo "$$(ls sftp-server/data/report_*.txt | wc -l) reports are in sftp-server/data/. To serve them: $(PYTHON) sftp-server/sftp-mock.py"

testing: .venv/etl .venv/postgres $(SPARK) ## Run a real night here: embedded PostgreSQL, mock SFTP server, sample reports; ENGINE=spark
	umask 077; mkdir -p .local
	[ -O .local ] || { echo "The folder .local belongs to another user: a night here would take the database away from that user." >&2; exit 2; }
	exec 9> .local/testing.lock
	flock -n 9 || { echo "Another make testing is at work in this folder. Wait for its end, then try again." >&2; exit 11; }
	trap 'echo "Interrupted. The next run continues from here." >&2; exit 130' INT
	$(LAY_OUT)
	url=$$(trap '' INT; $(PYTHON) sql/local-postgres.py start 9>&-) # Ctrl-C counts when this second is over
	ENV_FILE=/dev/null DATABASE_URL=$$url $(PYTHON) etl migrate
	: > .local/sftp_mock.out # or the port of the run before might be read
	$(PYTHON) sftp-server/sftp-mock.py --port 0 >> .local/sftp_mock.out 9>&- & mock=$$!
	trap 'kill $$mock 2> /dev/null || true' EXIT
	until grep -qs Serving .local/sftp_mock.out; do kill -0 $$mock; sleep 0.1; done
	port=$$(sed -nE 's|.*sftp://127.0.0.1:([0-9]+)/.*|\1|p' .local/sftp_mock.out)
	sed -e "s|@PORT@|$$port|" -e "s|@URL@|$$url|" -e "s|@ENGINE@|$(ENGINE_TYPED)|" tests/kit/testing.env > .local/testing.env
	echo "Running bash etl/etl.sh ..."
	status=0; $(BARE) bash etl/etl.sh || status=$$?
	case $$status in 2 | 11 | 130) exit $$status ;; esac # no run of ours is in the load log
	$(BARE) $(PYTHON) etl last-run
	[ "$(ENGINE_TYPED)" != spark ] || { echo "Look at the tables: make lake-sql (for example: select * from visitor;)"; exit $$status; }
	echo "Look at the tables: make psql (for example: select * from campaign_summary;)"
	exit $$status

lake-sql: .venv/etl .venv/spark ## Open the tables of ENGINE=spark
	$(LOOK) lake-sql

lake-import: .venv/etl .venv/spark ## Bring the history from Postgres into the tables of ENGINE=spark
	$(LOOK) lake-import

lake-maintain: .venv/etl .venv/spark ## Join small files of these tables, drop old snapshots
	$(LOOK) lake-maintain

psql: .venv/postgres ## Open the embedded database
	$(PYTHON) sql/local-postgres.py psql

postgres-stop: .venv/postgres ## Stop the embedded database
	$(PYTHON) sql/local-postgres.py stop

check: .venv/etl ## Verify the installation: settings, servers, rights, folders, channels, schedule
	$(LOOK) check

notify-test: .venv/etl ## Send a test message through every channel that is set
	$(LOOK) try-channels

report: .venv/etl .venv/monthly ## Report a month: MONTH=2013-02, or last month; REPORT="--mail --csv"
	$(LOOK) report $(call given,MONTH,--month) $${REPORT-}

status: .venv/etl ## Show how things stand, on one screen
	$(LOOK) status

history: .venv/etl ## Show the last nights, or all that happened to one report: FILE=report_8.txt
	$(LOOK) history $(call given,FILE,--file)

explain: .venv/etl ## Explain a visitor: EMAIL=a@b.com; or a line: FILE=report_8.txt LINE=17
	$(LOOK) explain $(call given,EMAIL,--email) $(call given,FILE,--file) $(call given,LINE,--line)

verify-backups: .venv/etl ## Compare every backup zip with its manifest and the load log
	$(LOOK) verify-backups

restore-drill: .venv/etl ## Load all backups into a scratch database and compare it with the live one
	$(LOOK) restore-drill

prune: .venv/etl ## Remove what BACKUP_KEEP_DAYS and ERRORS_KEEP_DAYS no longer keep; YES=1 answers the question
	$(LOOK) prune $(YES_TYPED)

undo: .venv/etl ## Take a loaded report back: FILE=report_8.txt or ID=12; YES=1 answers for scripts
	$(LOOK) undo $(call given,FILE,--file) $(call given,ID,--id) $(YES_TYPED)

reload: .venv/etl ## Load a report again from its zip, if it is undone, refused or quarantined: FILE= or ID=
	$(LOOK) reload $(call given,FILE,--file) $(call given,ID,--id) $(YES_TYPED)

rejects: .venv/etl ## Write a report's rejected lines to LOG_DIR, to be corrected: FILE= or ID=
	$(LOOK) rejects $(call given,FILE,--file) $(call given,ID,--id)

replay: .venv/etl ## Load the corrected lines of such a file: REJECTS=logs/report_8.txt.rejects.csv
	$(LOOK) replay $(call given,REJECTS,--rejects) $(YES_TYPED)

forget: .venv/etl ## Erase a person from everything but the zips: EMAIL=a@b.com
	$(LOOK) forget $(call given,EMAIL,--email) $(YES_TYPED)

schedule: .venv/etl ## Start the night every day at 00:02, or HOUR=6: by cron; SYSTEMD=1 by systemd
	ETL_ASKED_BY=make $(PYTHON) etl schedule $(call given,HOUR,--hour) $(SYSTEMD_TYPED)

unschedule: .venv/etl ## Remove the cron line, or the units of systemd
	$(PYTHON) etl unschedule

test: .venv/etl .venv/postgres .venv/tests ## Run the tests
	$(PYTHON) -m pytest

crash-test: .venv/etl .venv/postgres .venv/tests ## Kill the night everywhere, run it again, compare (minutes)
	PYTHONPATH=etl:tests $(PYTHON) tests/measure/crash.py

bench: .venv/etl .venv/postgres .venv/tests ## Measure the night against a hand-written script (seven minutes or more; BENCH=--large: twice that; BENCH=--lake: Spark)
	PYTHONPATH=etl:tests $(PYTHON) tests/measure/bench.py $${BENCH-}

lint: .venv/etl .venv/postgres .venv/tests ## Check style, types and shell scripts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	command -v shellcheck > /dev/null || { echo "shellcheck is missing. Install it: sudo apt install shellcheck" >&2; exit 1; }
	shellcheck etl/*.sh .ci/run

lock: .local/tools/installed ## Renew the lock files from the lists of packages (requirements.txt)
	lock() { echo "Writing $$1/requirements.lock ..."; .local/tools/bin/uv pip compile --quiet --output-file "$$1/requirements.lock" "$${@:2}"; }
	lock etl requirements.txt
	lock sql sql/requirements.txt -c etl/requirements.lock
	lock etl/commands/monthly etl/commands/monthly/requirements.txt -c etl/requirements.lock
	lock etl/spark etl/spark/requirements.txt --no-binary pyspark $(patsubst %,-c %/requirements.lock,etl sql etl/commands/monthly)
	lock tests tests/requirements.txt $(patsubst %,-c %/requirements.lock,etl sql etl/commands/monthly)
	lock tests/tools tests/tools/requirements.txt

sbom: .local/tools/installed ## Write what a night installs to .local/: a CycloneDX SBOM and the licences
	$(PYTHON) -m venv --clear --without-pip .local/night
	$(call install,.local/night,etl/requirements.lock)
	.local/tools/bin/cyclonedx-py environment --output-reproducible --output-file .local/sbom.json .local/night
	$(PYTHON) tests/tools/licences.py .local/sbom.json > .local/licences.md
	echo "Written: .local/sbom.json and .local/licences.md"

clean: ## Remove what local runs made, the embedded database included; not where the night is installed
	if [ -e .env ]; then found="the settings file .env"
	elif [ -x $(PYTHON) ] && $(PYTHON) etl schedule --show > /dev/null 2>&1; then found="a line in your crontab, or a timer of systemd"
	elif crontab -l 2> /dev/null | grep -F etl/etl.sh | grep -qF "$${PWD##*/}"; then found="a line in your crontab"
	else found=; fi
	if [ -n "$$found" ]; then
		echo "The night is installed here: there is $$found. Nothing was removed." >&2
		echo "To take the night down: make unschedule, move .env away, then make clean." >&2
		exit 2
	fi
	[ ! -x $(PYTHON) ] || [ ! -e .local/postgres ] || $(PYTHON) sql/local-postgres.py stop
	rm -rf .local .venv logs/*.log* sftp-server/data/report_*

.venv/python:
	command -v "$$PYTHON3" > /dev/null || { echo "Python is missing. Install it: sudo apt install python3 python3-venv" >&2; exit 1; }
	"$$PYTHON3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$("$$PYTHON3" --version) is too old: 3.11 or later is needed. Name another: make PYTHON3=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	"$$PYTHON3" -c 'import ensurepip, venv' 2> /dev/null || { echo "Python's venv module is missing. Install it: sudo apt install python3-venv" >&2; exit 1; }
	"$$PYTHON3" -m venv .venv
	touch $@

.venv/etl: etl/requirements.lock
.venv/monthly: etl/commands/monthly/requirements.lock
.venv/postgres: sql/requirements.lock
.venv/tests: tests/requirements.lock .venv/etl .venv/monthly
.venv/etl .venv/monthly .venv/postgres .venv/tests: .venv/python
	$(call install,.venv,$(filter %.lock,$^))
	touch $@

# pyspark 3.5 comes as source only: it alone is built. pip has two long warnings about that: --quiet again leaves errors alone.
.venv/spark: etl/spark/requirements.lock .venv/etl
	$(call install,.venv,$<,--no-binary pyspark --quiet)
	touch $@

.local/tools/installed: tests/tools/requirements.lock .venv/python
	$(PYTHON) -m venv --clear --without-pip .local/tools
	$(call install,.local/tools,$<)
	touch $@
