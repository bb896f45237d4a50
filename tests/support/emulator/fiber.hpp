/// A fiber: a function on a stack of its own that can be left anywhere and gone on with later. x86-64, System V.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace lamina::simt {

// Puts the callee-saved registers on the running stack, notes where, and takes up the other stack.
// ucontext does the same with two system calls for the signal mask: 7.5 ns against 225 (test/switch_cost.cpp).
[[gnu::naked, gnu::noinline]] inline void switch_stack(void** /*leave: rdi*/, void* /*enter: rsi*/) {
  asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
      "movq %rsp, (%rdi); movq %rsi, %rsp\n"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}

class Fiber {
 public:
  /// The next resume() begins `entry`, which must never return: it leaves by yield().
  void start(void (*entry)()) {
    if (!stack_) stack_ = std::make_unique<std::byte[]>(stack_bytes);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stack_.get(), stack_bytes);  // the last run's frames were left, never unwound
#endif
    auto* top = reinterpret_cast<void**>((reinterpret_cast<std::uintptr_t>(stack_.get()) + stack_bytes) & ~std::uintptr_t{15});
    *--top = nullptr;  // where a return address would be: the ABI wants rsp % 16 == 8 at a function's first instruction
    *--top = reinterpret_cast<void*>(entry);
    for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
    inside_ = top;
  }
  void resume() { switch_stack(&outside_, inside_); }
  void yield() { switch_stack(&inside_, outside_); }

 private:
  static constexpr std::size_t stack_bytes = 32 * 1024;
  std::unique_ptr<std::byte[]> stack_;
  void* inside_ = nullptr;
  void* outside_ = nullptr;
};

}  // namespace simt
