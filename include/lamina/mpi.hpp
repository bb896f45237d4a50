/// Ranks as processes, through the system's MPI.
#pragma once
#include "parallel/mpi.hpp"
