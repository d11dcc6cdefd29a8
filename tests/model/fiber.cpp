// tests/model/fiber.cpp: see fiber.hpp.
#include "tests/model/fiber.hpp"

#ifdef __x86_64__
extern "C" void vdset_model_change_stack(void** saved, void* next);

// Pushes what the System V convention lets a callee keep, changes the stack, pops the same.
asm(R"(
.text
.globl vdset_model_change_stack
.type vdset_model_change_stack, @function
vdset_model_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size vdset_model_change_stack, .-vdset_model_change_stack
)");
#endif

namespace vdset::model {

#ifdef __x86_64__

void Fiber::prepare(void (*entry)()) {
  if (stack_ == nullptr) stack_ = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  constexpr std::size_t saved_registers = 6;
  auto top = reinterpret_cast<std::uintptr_t>(stack_.get() + stack_bytes) & ~std::uintptr_t{15};
  void** place = reinterpret_cast<void**>(top);
  *--place = nullptr;  // Where `entry` would return to; keeps its frame aligned.
  *--place = reinterpret_cast<void*>(entry);
  for (std::size_t i = 0; i < saved_registers; ++i) *--place = nullptr;
  stack_pointer_ = place;
}

void Fiber::change(Fiber& from, Fiber& to) {
  vdset_model_change_stack(&from.stack_pointer_, to.stack_pointer_);
}

#else

void Fiber::prepare(void (*entry)()) {
  if (stack_ == nullptr) stack_ = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = stack_bytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
}

void Fiber::change(Fiber& from, Fiber& to) { swapcontext(&from.context_, &to.context_); }

#endif

}  // namespace vdset::model
