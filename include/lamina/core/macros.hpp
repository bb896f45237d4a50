/// Every macro of the library that is not its version.
#pragma once

#if defined(__CUDACC__)
#define LAMINA_HD __host__ __device__
#else
#define LAMINA_HD
#endif
