# lamina_add_portable_executable(NAME SOURCE...): a program that runs on any processor and uses what it finds there. It is compiled once for each level of x86-64 and NAME
# itself only runs the one beside it that fits: the kernels are inlined into their users, so that code for two processors in one program would have two definitions of the
# same functions, of which the linker takes any. Link libraries other than Lamina to NAME-x86-64, NAME-x86-64-v3 and NAME-x86-64-v4. Elsewhere it is one program.
function(lamina_add_portable_executable name)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    add_executable(${name} ${ARGN})
    target_link_libraries(${name} PRIVATE lamina::lamina)
    return()
  endif()
  add_executable(${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/portable.cpp)
  target_compile_features(${name} PRIVATE cxx_std_20)
  foreach(level x86-64 x86-64-v3 x86-64-v4)
    add_executable(${name}-${level} ${ARGN})
    target_link_libraries(${name}-${level} PRIVATE lamina::lamina)
    target_compile_options(${name}-${level} PRIVATE -march=${level})
    add_dependencies(${name} ${name}-${level})
  endforeach()
endfunction()
