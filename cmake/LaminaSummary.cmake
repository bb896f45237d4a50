# What is going to be built, and which optional libraries this machine has. Nothing depends on the latter.
mark_as_advanced(LAMINA_CCACHE)

message(STATUS "Lamina ${PROJECT_VERSION}: ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}; "
  "tests ${LAMINA_TESTS}, examples ${LAMINA_EXAMPLES}, bench ${LAMINA_BENCH}, native ${LAMINA_NATIVE}, warnings are errors ${LAMINA_WERROR}")
set(stb "compiled along")
if(LAMINA_STB_LIBRARY)
  set(stb "linked from libstb")
endif()
set(jpeg "libjpeg-turbo absent, stb_image decodes JPEGs")
if(LAMINA_TURBOJPEG_INCLUDE AND LAMINA_TURBOJPEG_LIBRARY)
  set(jpeg "libjpeg-turbo decodes JPEGs")
endif()
message(STATUS "Optional parts: ${jpeg}; stb_image ${stb}; ${lamina_cuda_summary}; ${lamina_cudnn_summary}; ${lamina_nccl_summary}; ${lamina_mpi_summary}")
