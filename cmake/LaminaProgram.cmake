# lamina_program(NAME SOURCE...): one of Lamina's own programs, with the warnings and the processor that only those get.
function(lamina_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE lamina::lamina)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wpedantic $<$<BOOL:${LAMINA_WERROR}>:-Werror> $<$<BOOL:${LAMINA_NATIVE}>:-march=native>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 warns of its own library: of "text" + std::string (GCC bug 105651) and, with AVX-512, of _mm512_undefined_ps (105593).
    target_compile_options(${name} PRIVATE -Wno-restrict $<$<BOOL:${LAMINA_NATIVE}>:-Wno-uninitialized;-Wno-maybe-uninitialized>)
  endif()
endfunction()

# lamina_cuda_program(NAME SOURCE...): the same, compiled by nvcc. What nvcc makes of a pointer to a member has parentheses of its own.
function(lamina_cuda_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE lamina::cuda)
  target_compile_options(${name} PRIVATE -Xcompiler=-Wall,-Wextra,-Wno-parentheses $<$<BOOL:${LAMINA_WERROR}>:-Werror=all-warnings>)
endfunction()

# What lamina::lamina gives a user's compiler, as a file of options for the checks that call a compiler themselves.
set(lamina_options_file ${PROJECT_BINARY_DIR}/lamina.options)
set(includes $<FILTER:$<REMOVE_DUPLICATES:$<TARGET_PROPERTY:lamina,INTERFACE_INCLUDE_DIRECTORIES>>,EXCLUDE,^/usr/include$>)
file(GENERATE OUTPUT ${lamina_options_file} CONTENT "-std=c++20
-I$<JOIN:${includes},\n-I>
-D$<JOIN:$<TARGET_PROPERTY:lamina,INTERFACE_COMPILE_DEFINITIONS>,\n-D>
")
