#!/usr/bin/env bash
# Goal: whoever types `man vdset_set_create` gets a clean page that says what the header says.
# Method: mandoc's lint and groff's warnings over every page, and the header's words looked up in
# the rendered text. usage: test_man.sh FOLDER_OF_PAGES HEADER
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/check.sh"
folder=$(realpath "$1")
header=$(realpath "$2")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/man3" "$scratch/man1"
cp "$folder"/*.3 "$scratch/man3/"
cp "$folder"/*.1 "$scratch/man1/"
cd "$scratch"

declared() { grep -oP '^VDSET_API\b[^(]*\b\K\w+(?=\()' "$header" | sort; }

lint() { ! mandoc -Tlint -Wwarning "$1" 2>&1 | grep .; }

groff_silent() {  # groff_silent PAGE: as man would set it, with every warning on.
  local words
  words=$(MANWIDTH=100 man -M "$scratch" --warnings=w -l -E UTF-8 "$1" 2>&1 >/dev/null) || return 1
  [[ -z $words ]] || { echo "$words"; return 1; }
}

shown() { mandoc -Tascii -Owidth=200 "$1" | col -bx | tr -s ' \n' ' '; }

# The page of this name, perhaps a link to another, names and declares the call.
page_of() {
  local page=man3/$1.3
  [[ -f $page ]] || return 1
  if grep -q '^\.so ' "$page"; then page=$(sed 's/^\.so //' "$page"); fi
  [[ -f $page ]] && grep -qx "\.Fo $1" "$page" && grep -qx "\.Ss $1" "$page"
}

found_by_name() { man -M "$scratch" -w "$1" >/dev/null; }

# Words of the header, one sentence of each kind of comment, reach the reader.
says() { shown "man3/$1.3" | grep -F "$2" >/dev/null; }

enough() { (($(declared | wc -l) > 40 && $(grep -L '^\.so ' man3/*.3 | wc -l) >= 10)); }

for page in $(grep -L '^\.so ' man3/*.3) man1/*.1; do
  check "$page: mandoc's lint" lint "$page"
  check "$page: groff's warnings" groff_silent "$page"
done
for call in $(declared); do check "a page for $call" page_of "$call"; done
check "there are calls and pages" enough
check "man finds a call" found_by_name vdset_set_create
check "man finds the tool" found_by_name vdset
check "a call's comment" says vdset_set "Makes a set under"
check "a field's comment" says vdset_set "private bytes of the client just before"
check "a code's comment" says vdset_error "the time is up; state unchanged, call again"
check "a section's words" says vdset_descriptor "once the object has ended"
check "what holds for every call" says vdset "No signal ends a wait"
check "the README's example" says vdset "example DATABASE BACKUP"
finish
