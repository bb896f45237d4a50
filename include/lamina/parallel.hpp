/// Replicas of a network that divide each batch: as threads of one program, or with mpi.hpp as many programs.
#pragma once
#include "parallel/any_communicator.hpp"
#include "parallel/data_parallel.hpp"
#include "parallel/local_group.hpp"
#include "parallel/solo.hpp"
