// failure.cpp: the wording of failures, in one place.
#include "failure.hpp"

#include <fmt/core.h>
#include <vdset.h>

#include <cerrno>
#include <cstring>

namespace cli {

void fail(ExitCode code, std::string_view what, std::string_view where, std::string_view remedy) {
  throw Failure(code, fmt::format("{}: {}; {}", what, where, remedy));
}

namespace {

struct ErrnoAdvice {
  int error_number;
  ExitCode code;
  const char* remedy;
};

constexpr ErrnoAdvice errno_advice[] = {
    {ENOSPC, ExitCode::storage, "free some space or choose another place"},
    {EDQUOT, ExitCode::storage, "raise the quota or choose another place"},
    {EFBIG, ExitCode::storage, "choose a file system (or a limit) that takes files this big"},
    {EIO, ExitCode::storage, "check the disk and the kernel log"},
    {ENOENT, ExitCode::bad_input, "check the path"},
    {ENOTDIR, ExitCode::bad_input, "check the path"},
    {EISDIR, ExitCode::bad_input, "give a file, not a directory"},
    {ELOOP, ExitCode::bad_input, "check the symbolic links"},
    {ENAMETOOLONG, ExitCode::bad_input, "give a shorter path"},
    {EACCES, ExitCode::bad_input, "check the permissions"},
    {EPERM, ExitCode::bad_input, "check the permissions"},
    {EROFS, ExitCode::bad_input, "choose a place that can be written to"},
    {ENOMEM, ExitCode::no_memory, "free some memory, then run it again"},
    {EMFILE, ExitCode::no_memory, "raise the limit of open files (ulimit -n)"},
    {EAGAIN, ExitCode::no_memory, "raise the limit of processes (ulimit -u)"},
};

}  // namespace

void fail_errno(int error_number, std::string_view doing, std::string_view where) {
  const std::string what = fmt::format("{} ({})", doing, std::strerror(error_number));
  for (const ErrnoAdvice& advice : errno_advice) {
    if (advice.error_number == error_number) fail(advice.code, what, where, advice.remedy);
  }
  fail(ExitCode::storage, what, where, "check the device and the kernel log");
}

namespace {

/// The library calls every lack E_MEMORY; its words tell which, and may have the remedy already.
std::string advise_on_lack(const std::string& reason) {
  if (reason.find("ulimit -n") != std::string::npos) return reason;
  const bool lacks_descriptors = reason.find(std::strerror(EMFILE)) != std::string::npos ||
                                 reason.find(std::strerror(ENFILE)) != std::string::npos;
  return reason + (lacks_descriptors ? "; raise the limit of open files (ulimit -n)"
                                     : "; ask for fewer or smaller buffers");
}

}  // namespace

void fail_vdset(std::int32_t result, std::string_view doing, std::string_view where) {
  const char* detail = vdset_last_error();
  const std::string reason = detail[0] != '\0' ? detail : "no detail given";
  const std::string what = fmt::format("{} ({})", doing, vdset_error_name(result));
  switch (result) {
    case VDSET_E_ABORT:
      throw Failure(ExitCode::aborted,
                    fmt::format("{}: {}; look for the process that ended first", what, where),
                    Cause::consequence);
    case VDSET_E_MEMORY:
      throw Failure(ExitCode::no_memory,
                    fmt::format("{}: {}; {}", what, where, advise_on_lack(reason)));
    case VDSET_E_SECURITY:
      throw Failure(ExitCode::bad_input, fmt::format("{}: {}; {}", what, where, reason));
    default: throw Failure(ExitCode::internal, fmt::format("{}: {}; {}", what, where, reason));
  }
}

void fail_in_child(std::int32_t result, std::string_view doing, std::string_view where) {
  const bool is_own = result == VDSET_E_MEMORY || result == VDSET_E_SECURITY;
  if (is_own || result == VDSET_E_ABORT) fail_vdset(result, doing, where);
  throw Failure(
      ExitCode::aborted,
      fmt::format("{} ({}): {}; {}", doing, vdset_error_name(result), where, vdset_last_error()),
      Cause::consequence);
}

}  // namespace cli
