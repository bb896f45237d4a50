/// Whether a program runs under AddressSanitizer: a macro, for what must not be compiled there or takes ten times as long.
#pragma once
#if defined(__SANITIZE_ADDRESS__)
#define LAMINA_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMINA_TEST_SANITIZED 1
#endif
#endif
