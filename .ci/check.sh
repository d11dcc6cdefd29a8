# Counts the checks of a shell test, which sources this file.
#   check WHAT COMMAND...   one check: passes when the command succeeds, else shows what it printed
#   finish                  prints `N passed, N failed`; fails when a check failed or none was made
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

finish() {
  echo "$passed passed, $failed failed"
  ((passed > 0 && failed == 0))
}
