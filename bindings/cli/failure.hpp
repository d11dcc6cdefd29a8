// failure.hpp: what went wrong, as one line for people and one exit code for scripts.
// Thrown inside a process; crosses to the parent as a control message (control.hpp).
#pragma once
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace cli {

/// The documented exit codes of vdset. Numbers never change.
enum class ExitCode : int {
  ok = 0,
  internal = 1,     // A bug, or the system refused something nobody expects it to.
  usage = 2,        // A bad option or a bad size.
  bad_input = 3,    // No such file, not a database, not a backup, a device file missing.
  damaged = 4,      // The stream or the database is damaged.
  storage = 5,      // No space, or an I/O error.
  aborted = 6,      // Interrupted, or a process died.
  name_in_use = 7,  // Another set has this name.
  in_use = 8,       // A backup is there already, or the target database is in use.
  no_memory = 9,    // Not enough memory for the buffers.
};

/// Who is to be blamed in the one line the user sees: of several failures the lowest wins.
enum class Cause : std::uint32_t {
  death = 0,        // A process died, or a signal asked us to stop.
  root = 1,         // The process that reports it found it itself.
  consequence = 2,  // It only felt somebody else's failure.
};

class Failure : public std::exception {
 public:
  Failure(ExitCode code, std::string text, Cause cause = Cause::root)
      : code_(code), cause_(cause), text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  ExitCode code() const { return code_; }
  Cause cause() const { return cause_; }
  const std::string& text() const { return text_; }

 private:
  ExitCode code_;
  Cause cause_;
  std::string text_;
};

/// A failure that is part of a report which has been printed: only its line and its code are left
/// to give.
class ReportedFailure : public Failure {
 public:
  explicit ReportedFailure(const Failure& failure) : Failure(failure) {}
};

/// Throws Failure with the text "WHAT: WHERE; REMEDY".
[[noreturn]] void fail(ExitCode code, std::string_view what, std::string_view where,
                       std::string_view remedy);

/// The same for a system call that left `error_number` in errno; chooses the exit code by it.
[[noreturn]] void fail_errno(int error_number, std::string_view doing, std::string_view where);

/// The same for a call of the library that returned `result`.
[[noreturn]] void fail_vdset(std::int32_t result, std::string_view doing, std::string_view where);

/// The same in a child: the set that its parent made is gone or says no, which is somebody else's
/// failure, unless memory or rights are missing here.
[[noreturn]] void fail_in_child(std::int32_t result, std::string_view doing,
                                std::string_view where);

}  // namespace cli
