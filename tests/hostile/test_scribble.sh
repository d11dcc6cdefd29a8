#!/usr/bin/env bash
# Scribbled rounds: 30 seconds of them, or with VDSET_TEST_DEEP=N 100,000 N of them (decision 6.4).
set -euo pipefail
deep=${VDSET_TEST_DEEP:-0}
if ((deep > 0)); then
  exec "$1" rounds $((100000 * deep)) "${VDSET_TEST_SEED:-20051}"
fi
exec "$1" seconds 30 "${VDSET_TEST_SEED:-20051}"
