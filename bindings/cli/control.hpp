// control.hpp: what a child process tells its parent, over a socket pair made at its birth. One
// packet is one message; a closed socket is not yet a death (the parent has the child's pidfd for
// that).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "failure.hpp"
#include "memory_use.hpp"

namespace cli {

/// Descriptors of every child; anything else is closed.
inline constexpr int control_descriptor = 3;
inline constexpr int link_descriptor = 4;

enum class ControlKind : std::uint32_t {
  plan = 1,      // The engine knows what is to be done: count = bytes.
  note = 2,      // A line the user should see.
  progress = 3,  // count = bytes done. May be lost.
  failure = 4,   // code, cause, text.
  done = 5,      // The work is complete; counts and memory.
};

/// What a child has done, for the report.
struct Counts {
  std::uint64_t payload_bytes = 0;  // Engine: database bytes. Agent: bytes of its device's stream.
  std::uint64_t stored_bytes = 0;   // Bytes in the device's file, without frames.
  std::uint64_t commands = 0;
  std::uint64_t handles = 0;
  /// Went through memory of the process's own between the set's buffers and the other side: a file,
  /// or SQLite (a backup's engine). What a codec makes of them is no copy.
  std::uint64_t copied_bytes = 0;
};

struct ControlMessage {
  ControlKind kind = ControlKind::note;
  std::int32_t code = 0;
  std::uint32_t cause = 0;
  std::uint32_t flags = 0;  // plan: 1 writers go on (WAL).
  std::uint64_t count = 0;
  Counts counts;
  MemoryUse memory;
  char text[512] = {};
};

/// What an engine tells whoever runs it; any of its threads may.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  /// How many bytes there are to be moved. `writers_go_on`: during a backup, of its database.
  virtual void plan(std::uint64_t bytes, bool writers_go_on) = 0;
  virtual void note(std::string_view text) = 0;
  virtual void progress(std::uint64_t bytes) = 0;
  virtual void done(const Counts& counts) = 0;
};

/// The child's end.
class ControlSender final : public EngineObserver {
 public:
  explicit ControlSender(int descriptor) : descriptor_(descriptor) {}
  void plan(std::uint64_t bytes, bool writers_go_on) override;
  void note(std::string_view text) override;
  /// Drops the message when the parent is busy.
  void progress(std::uint64_t bytes) override;
  void failure(const Failure& failure);
  /// Measures memory now: the set must still be open.
  void done(const Counts& counts) override;

 private:
  void send(const ControlMessage& message, int flags);
  int descriptor_;
};

}  // namespace cli
