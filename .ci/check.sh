# Counts the checks of a shell test, which sources this file.
#   check WHAT COMMAND...   one check: passes when the command succeeds, else shows what it printed
#   finish                  prints `N passed, N failed`; fails when a check failed or none was made
#   first_of COMMAND...     the first that there is; else the first, so that its checks fail
passed=0
failed=0

check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$what"
    [[ -z $output ]] || sed 's/^/  /' <<<"$output"
  fi
}

first_of() {
  local command
  for command in "$@"; do
    if command -v "$command" >/dev/null; then
      echo "$command"
      return
    fi
  done
  echo "$1"
}

finish() {
  echo "$passed passed, $failed failed"
  ((passed > 0 && failed == 0))
}
