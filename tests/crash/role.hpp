// tests/crash/role.hpp: what the roles of the crash sweep have in common.
#pragma once
#include <vdset.h>
#include <cstddef>
#include "tests/crash/book.hpp"

namespace vdset::crash {

/// The process this program is: its place in the book, its phase, its complaints.
class Self {
 public:
  Self(Book& book, Who who, int progress, const char* directory);

  Book& book() { return book_; }
  RoleBook& log() { return book_.of(who_); }
  Who who() const { return who_; }
  const char* directory() const { return directory_; }
  const Plan& plan() const { return book_.plan; }

  void enter(Phase phase) { log().phase = static_cast<std::uint32_t>(phase); }
  /// The first command is about to be sent or waited for.
  void begin_work();
  /// Tells the driver that something in the book has changed.
  void announce(Cell& cell);
  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...);
  void end(End how, std::int32_t code = VDSET_OK);
  void end_aborted(const vdset_abort_reason& reason);
  /// From here on this process and what is in flight in it may stop at any access.
  void die_in(std::uint64_t accesses);
  /// Whether a system call was made to fail in this process.
  bool may_fail() const;

 private:
  Book& book_;
  Who who_;
  int progress_;
  const char* directory_;
};

/// The whole program.
int run_role(int count, char** words);

void run_server(Self& self);
void run_primary(Self& self);
void run_secondary(Self& self);

/// Sleeps until a pollable descriptor has something to say.
void wait_readable(int descriptor);
/// Contents that tell device, command and every position.
void fill(void* data, std::size_t bytes, std::uint32_t seed);
bool is_filled(const void* data, std::size_t bytes, std::uint32_t seed);
inline std::uint32_t seed_of(std::uint32_t device, std::uint32_t index, bool client) {
  return device * 1000 + index + (client ? 500'000 : 0);
}
/// Even commands are Writes, odd ones Reads; the last of the second device are large.
inline bool is_write(const Plan& plan, std::uint32_t index) {
  return index % 2 == 0 || plan.read_only;
}
/// None where one who hung up goes on looking: it could not ask for the new class.
inline bool is_large(const Plan& plan, std::uint32_t device, std::uint32_t index) {
  return !plan.hangs_up && device == 1 && index >= commands_max - large_buffers;
}

}  // namespace vdset::crash
