// tests/model/fiber.hpp: a stack of its own for each modelled thread, and the switch between two.
// x86-64 switches in a dozen instructions; elsewhere ucontext does it, with two system calls.
#pragma once
#include <cstddef>
#include <memory>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace vdset::model {

/// Saved registers of something that can be switched to: a modelled thread, or the explorer itself.
class Fiber {
 public:
  /// The next switch to this fiber calls `entry`, which must never return.
  void prepare(void (*entry)());

  /// Saves the caller in `from` and goes on in `to`. Returns when somebody switches to `from`.
  static void change(Fiber& from, Fiber& to);

 private:
  static constexpr std::size_t stack_bytes = 128 * 1024;

  std::unique_ptr<std::byte[]> stack_;
#ifdef __x86_64__
  void* stack_pointer_ = nullptr;
#else
  ucontext_t context_{};
#endif
};

}  // namespace vdset::model
