// bindings/vdi/common.cpp: see common.hpp.
#include "common.hpp"
#include <stdio.h>
#include <string.h>

namespace sqlvdi {

int64_t timeout_ns(time_t timeout, int64_t unit_ns) {
  constexpr time_t windows_infinite = 0xFFFFFFFF;
  if (timeout < 0 || timeout >= windows_infinite) return VDSET_INFINITE;
  return static_cast<int64_t>(timeout) * unit_ns;
}

int64_t get_command_unit_ns() {
  const char* const unit = getenv("VDSET_VDI_GETCOMMAND_UNIT");
  return unit != nullptr && strcmp(unit, "ms") == 0 ? millisecond_ns : second_ns;
}

/// "VD_E_OPEN" for VDSET_E_OPEN.
static const char* code_name(int32_t result) {
  const char* const name = vdset_error_name(result);
  const char* const tail = strchr(name, '_');
  return tail != nullptr ? tail + 1 : name;
}

int give(const char* what, int32_t result) {
  if (result == VDSET_E_NOTOPEN) result = VDSET_E_PROTOCOL;
  // Ordinary answers are no failures.
  const bool ordinary =
      result == VDSET_OK || result == VDSET_E_TIMEOUT || result == VDSET_E_CLOSE || result == 1;
  if (ordinary || getenv("VDSET_VDI_DIAGNOSTICS") == nullptr) return result;
  fprintf(stderr, "sqlvdi: %s: VD_%s (0x%08X): %s\n", what, code_name(result),
          static_cast<unsigned>(result), vdset_last_error());
  return result;
}

}  // namespace sqlvdi
