# lamina_program(NAME SOURCE...): one of Lamina's own programs.
function(lamina_program name)
  add_executable(${name} ${ARGN})
  lamina_own(${name})
endfunction()

# lamina_own(TARGET): the library, with the warnings and the processor that only its own programs get.
function(lamina_own name)
  target_link_libraries(${name} PRIVATE lamina::lamina)
  set(options)
  if(LAMINA_NATIVE)
    list(APPEND options -march=native)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 warns of its own library: of "text" + std::string (GCC bug 105651) and, with AVX-512, of _mm512_undefined_ps (105593).
    list(APPEND options -Wno-restrict)
    if(LAMINA_NATIVE)
      list(APPEND options -Wno-uninitialized -Wno-maybe-uninitialized)
    endif()
  endif()
  # nvcc writes C++ that is not pedantic, and has parentheses of its own around pointers to members.
  set(by_cxx -Wall -Wextra -Wpedantic $<$<BOOL:${LAMINA_WERROR}>:-Werror> ${options})
  set(by_nvcc -Wall -Wextra ${options} -Wno-parentheses)
  list(TRANSFORM by_nvcc PREPEND -Xcompiler=)
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${by_cxx}>" "$<$<COMPILE_LANGUAGE:CUDA>:${by_nvcc};$<$<BOOL:${LAMINA_WERROR}>:-Werror=all-warnings>>")
endfunction()

# lamina_cuda_program(NAME SOURCE...): the same, of files that nvcc compiles.
function(lamina_cuda_program name)
  lamina_program(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE lamina::cuda)
endfunction()

# What lamina::lamina gives a user's compiler, as a file of options for the checks that call a compiler themselves.
set(lamina_options_file ${PROJECT_BINARY_DIR}/lamina.options)
set(includes $<FILTER:$<REMOVE_DUPLICATES:$<TARGET_PROPERTY:lamina,INTERFACE_INCLUDE_DIRECTORIES>>,EXCLUDE,^/usr/include$>)
file(GENERATE OUTPUT ${lamina_options_file} CONTENT "-std=c++20
-I$<JOIN:${includes},\n-I>
-D$<JOIN:$<TARGET_PROPERTY:lamina,INTERFACE_COMPILE_DEFINITIONS>,\n-D>
")
