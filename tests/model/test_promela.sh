#!/usr/bin/env bash
# test_promela.sh MODEL [deep]: the Promela model in full, then each mutant, which must be found.
# The last line is "N passed, N failed".
set -u
model=$(readlink -f "${1:?usage: test_promela.sh MODEL [deep]}")
work=$(mktemp -d "${TMPDIR:-/tmp}/vdset-promela-XXXXXX")
trap 'cd /; rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0
failed=0
depth=2000000

# search DEFINES...: builds the verifier for these bounds and runs it; its words are in out.txt.
search() {
  rm -f pan* ./*.trail
  spin -a "$@" "$model" >spin.txt 2>&1 || { cat spin.txt; return 1; }
  cc -O1 -w -DSAFETY -DNOFAIR -DCOLLAPSE -DMEMLIM=6000 -o pan pan.c || return 1
  ./pan -m"$depth" >out.txt 2>&1
}
number() { grep -oE "$1" out.txt | grep -oE '[0-9]+' | head -1; }
judge() {  # judge GOOD WORDS...
  local good=$1; shift
  if [ "$good" = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  [ "$good" = 1 ] && echo "ok   $*" || { echo "FAIL $*"; head -8 out.txt; }
}

# is_whole: the search met no limit of its own. A depth that was too small or memory that ran out is
# a search in part, whatever its count of errors.
is_whole() {
  grep -q '^Full statespace search' out.txt &&
    ! grep -Eqi 'not completed|depth too small|out of memory|reached -DMEMLIM|aborting' out.txt
}

# holds DEFINES...: no error in the full state space.
holds() {
  local good=0
  search "$@" && is_whole && [ "$(number 'errors: [0-9]+')" = 0 ] &&
    [ "$(number '[0-9]+ states, stored')" -gt 1000 ] &&
    good=1
  judge $good "$* $(number '[0-9]+ states, stored') states, $(number 'errors: [0-9]+') errors"
}

# finds WHAT KIND DEFINES...: the mutant is found, by an error of this kind.
finds() {
  local what=$1 kind=$2 good=0; shift 2
  search "$@" && grep -Eq "^pan:1: ($kind)" out.txt && [ "$(number 'errors: [0-9]+')" = 1 ] &&
    good=1
  judge $good "mutant, $what: $(grep -m1 '^pan:1:' out.txt)"
}

wrong='assertion violated' stuck='invalid end state'
if [ "${2-}" = deep ]; then
  holds -DLAPS=1 -DENDS=1 -DRIVAL=1
  holds -DLAPS=1 -DENDS=1 -DRIVAL=1 -DHANDOVER=1
  holds -DLAPS=3 -DENDS=1 -DRIVAL=0
  holds -DLAPS=1 -DENDS=2 -DRIVAL=0 -DHANDOVER=1
  holds -DLAPS=2 -DENDS=1 -DRIVAL=0 -DLEAVES=1
else
  holds -DLAPS=2 -DENDS=0 -DRIVAL=1
  holds -DLAPS=2 -DENDS=1 -DRIVAL=0
  holds -DLAPS=2 -DENDS=1 -DRIVAL=0 -DHANDOVER=1
  holds -DLAPS=1 -DENDS=1 -DRIVAL=0 -DLEAVES=1
  finds "results without a claim" "$wrong" -DLAPS=1 -DENDS=0 -DMUTANT=1
  finds "take without the recheck" "$wrong" -DLAPS=2 -DENDS=0 -DMUTANT=2
  finds "wake without a bump" "$stuck" -DLAPS=2 -DENDS=0 -DRIVAL=0 -DMUTANT=3
  finds "what the dead finished is lost" "$wrong|$stuck" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=4
  finds "take though evicted" "$wrong" -DLAPS=2 -DENDS=1 -DRIVAL=0 -DLEAVES=1 -DMUTANT=5
  finds "the agent hears of no death" "$stuck" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=6
  finds "fields after the sequence" "$wrong" -DLAPS=2 -DENDS=0 -DRIVAL=0 -DMUTANT=7
  finds "results after DONE" "$wrong" -DLAPS=1 -DENDS=0 -DRIVAL=0 -DMUTANT=8
  finds "sleep without a look" "$stuck" -DLAPS=1 -DENDS=0 -DRIVAL=0 -DMUTANT=9
  finds "offered without a flag" "$wrong" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DHANDOVER=1 -DMUTANT=10
  finds "queued is passed over" "$stuck" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=11
  finds "nothing is taken back" "$wrong" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=12
  finds "decided and not said is offered again" "$wrong" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=13
  # A search that was cut short must not pass for a whole one.
  depth=100
  search -DLAPS=2 -DENDS=0 -DRIVAL=0 || true
  if is_whole; then judge 0 "cut short, taken for whole"; else judge 1 "cut short, and noticed"; fi
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
