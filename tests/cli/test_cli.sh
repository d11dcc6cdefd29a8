#!/bin/bash
# test_cli.sh VDSET PRELOAD: runs the shell command as a user would, with real databases and real
# processes. One line per check; the last line is "N passed, N failed". Needs the sqlite3 shell.
set -u

here=$(dirname "$(readlink -f "$0")")
preload=$(readlink -f "${2:?usage: $0 VDSET PRELOAD}")  # kill_at_naming.c
source "$here/tools.sh"
source "$here/cases_roundtrip.sh"
source "$here/cases_input.sh"
source "$here/cases_safety.sh"
source "$here/cases_damage.sh"
source "$here/cases_death.sh"
source "$here/cases_leavings.sh"

summed
