/// A fiber: a function on a stack of its own that can be left anywhere and gone on with later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include "../sanitized.hpp"
#if defined(LAMINA_TEST_SANITIZED)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace lamina::simt {

/// Where a stack was left.
#if defined(__x86_64__)
class Context {
 public:
  /// The first switch to it begins `entry`, which must never return.
  void start(std::byte* stack, std::size_t bytes, void (*entry)()) {
    auto* top = reinterpret_cast<void**>((reinterpret_cast<std::uintptr_t>(stack) + bytes) & ~std::uintptr_t{15});
    *--top = nullptr;  // where a return address would be: the ABI wants rsp % 16 == 8 at a function's first instruction
    *--top = reinterpret_cast<void*>(entry);
    for (int saved_register = 0; saved_register < 6; ++saved_register) *--top = nullptr;
    top_ = top;
  }
  static void change(Context& leave, Context& enter) { change_stack(&leave.top_, enter.top_); }

 private:
  // Puts the callee-saved registers on the running stack, notes where, and takes up the other stack.
  // It leaves by a jump: a return would be predicted from the calls that were, and those were on the other stack. ucontext does the same with two system calls for the signal mask.
  [[gnu::naked, gnu::noinline]] static void change_stack(void** /*leave: rdi*/, void* /*enter: rsi*/) {
    asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "movq %rsp, (%rdi); movq %rsi, %rsp\n"
        "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; popq %rcx; jmpq *%rcx");
  }
  void* top_ = nullptr;
};
#else
class Context {
 public:
  void start(std::byte* stack, std::size_t bytes, void (*entry)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack;
    context_.uc_stack.ss_size = bytes;
    makecontext(&context_, entry, 0);
  }
  static void change(Context& leave, Context& enter) { swapcontext(&leave.context_, &enter.context_); }

 private:
  ucontext_t context_;
};
#endif

class Fiber {
 public:
  /// The next resume() begins `entry`, which calls arrived() first, and must never return: it leaves by yield(). `number` tells apart fibers that run in turn.
  void start(void (*entry)(), std::size_t number) {
    if (!stack_) stack_ = std::make_unique<std::byte[]>(stack_bytes + number % 32 * 192);  // stacks that ended alike modulo a page would meet in the same lines of the cache
    bytes_ = stack_bytes + number % 32 * 192;
#if defined(LAMINA_TEST_SANITIZED)
    __asan_unpoison_memory_region(stack_.get(), bytes_);  // the last run's frames were left, never unwound
#endif
    inside_.start(stack_.get(), bytes_, entry);
  }
  void resume() {
#if defined(LAMINA_TEST_SANITIZED)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_.get(), bytes_);
#endif
    Context::change(outside_, inside_);
#if defined(LAMINA_TEST_SANITIZED)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }
  void arrived() {
#if defined(LAMINA_TEST_SANITIZED)
    __sanitizer_finish_switch_fiber(nullptr, &outside_stack_, &outside_bytes_);
#endif
  }
  void yield([[maybe_unused]] bool for_good = false) {
#if defined(LAMINA_TEST_SANITIZED)
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake, outside_stack_, outside_bytes_);
#endif
    Context::change(inside_, outside_);
#if defined(LAMINA_TEST_SANITIZED)
    __sanitizer_finish_switch_fiber(fake, &outside_stack_, &outside_bytes_);
#endif
  }

 private:
  static constexpr std::size_t stack_bytes = 32 * 1024;
  std::unique_ptr<std::byte[]> stack_;
  std::size_t bytes_ = 0;
  Context inside_, outside_;
#if defined(LAMINA_TEST_SANITIZED)
  const void* outside_stack_ = nullptr;
  std::size_t outside_bytes_ = 0;
#endif
};

}  // namespace lamina::simt
