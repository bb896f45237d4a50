# For which GPUs a project compiles that has the language CUDA and links lamina::cuda: for LAMINA_CUDA_ARCHITECTURES, unless it says so itself. CMake would take what nvcc
# falls back on, and Lamina's kernels need 80 or later.
if(CMAKE_CUDA_COMPILER)
  set(architectures 80-real 90-real 100)
  if(CMAKE_CUDA_ARCHITECTURES_NATIVE)
    set(architectures native)
  elseif(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
    set(architectures 80-real 90)
  endif()
  set(LAMINA_CUDA_ARCHITECTURES "${architectures}" CACHE STRING "GPUs to compile for: native, or compute capabilities as in 80;90;100")
  if(CMAKE_CUDA_ARCHITECTURES MATCHES "^[5-7][0-9]$")
    set(CMAKE_CUDA_ARCHITECTURES ${LAMINA_CUDA_ARCHITECTURES})
  endif()
endif()
