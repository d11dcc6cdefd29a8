// tests/process/role_faults.cpp: a kernel without a feature, for the twin library: VDSET_FAULT
// names calls and the errno each fails with, as in `futex_waitv:38,peerpidfd:92`.
#include <cstdlib>
#include <cstring>
#include "abi/port/posix/sys.hpp"

namespace vdset::port {
namespace {

struct Named {
  const char* name;
  Call call;
};
constexpr Named known[] = {{"futex_waitv", Call::futex_waitv},
                           {"peerpidfd", Call::peerpidfd},
                           {"passrights", Call::passrights},
                           {"noexec_seal", Call::noexec_seal},
                           {"proc", Call::proc},
                           {"future_write_seal", Call::future_write_seal}};

/// The errno of each call; an unknown name ends the process, so that no run tests nothing.
struct Faults {
  int error[static_cast<std::size_t>(Call::count)] = {};

  Faults() {
    const char* at = std::getenv("VDSET_FAULT");
    while (at != nullptr && *at != 0) {
      const std::size_t length = std::strcspn(at, ":");
      bool found = false;
      for (const Named& one : known) {
        if (std::strlen(one.name) != length || std::strncmp(one.name, at, length) != 0) continue;
        error[static_cast<std::size_t>(one.call)] = std::atoi(at + length + 1);
        found = true;
      }
      if (!found) std::abort();
      at = std::strchr(at, ',');
      if (at != nullptr) ++at;
    }
  }
};

}  // namespace

int next_fault(Call call) {
  static const Faults faults;
  return faults.error[static_cast<std::size_t>(call)];
}

}  // namespace vdset::port
