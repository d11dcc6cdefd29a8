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

# search DEFINES...: builds the verifier for these bounds and runs it; its words are in out.txt.
search() {
  rm -f pan* ./*.trail
  spin -a "$@" "$model" >spin.txt 2>&1 || { cat spin.txt; return 1; }
  cc -O1 -w -DSAFETY -DNOFAIR -DCOLLAPSE -DMEMLIM=6000 -o pan pan.c || return 1
  ./pan -m2000000 >out.txt 2>&1
}
number() { grep -oE "$1" out.txt | grep -oE '[0-9]+' | head -1; }
judge() {  # judge GOOD WORDS...
  local good=$1; shift
  if [ "$good" = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  [ "$good" = 1 ] && echo "ok   $*" || { echo "FAIL $*"; head -8 out.txt; }
}

# holds DEFINES...: no error in the full state space.
holds() {
  local good=0
  search "$@" && grep -q '^Full statespace search' out.txt && ! grep -q 'not completed' out.txt &&
    [ "$(number 'errors: [0-9]+')" = 0 ] && [ "$(number '[0-9]+ states, stored')" -gt 1000 ] &&
    good=1
  judge $good "$* $(number '[0-9]+ states, stored') states, $(number 'errors: [0-9]+') errors"
}

# finds WHAT DEFINES...: the mutant is found.
finds() {
  local what=$1 good=0; shift
  search "$@" && [ "$(number 'errors: [0-9]+')" = 1 ] && good=1
  judge $good "mutant, $what: $(grep -m1 '^pan:1:' out.txt)"
}

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
  finds "results without a claim" -DLAPS=1 -DENDS=0 -DMUTANT=1
  finds "take without the recheck" -DLAPS=2 -DENDS=0 -DMUTANT=2
  finds "wake without a bump" -DLAPS=2 -DENDS=0 -DRIVAL=0 -DMUTANT=3
  finds "what the dead finished is lost" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=4
  finds "take though evicted" -DLAPS=2 -DENDS=1 -DRIVAL=0 -DLEAVES=1 -DMUTANT=5
  finds "the agent hears of no death" -DLAPS=1 -DENDS=1 -DRIVAL=0 -DMUTANT=6
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
