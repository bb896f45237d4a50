/// `tomato train` with several replicas.
#pragma once
#include <string>

#include "settings.hpp"

namespace tomato {

/// Whether the training has replicas: threads of this program, or programs that mpirun or srun have started, of which this is one. Throws lamina::Error if the options do not go together.
bool has_replicas(const TrainSettings& s);

/// In a source of its own, since a training with replicas is compiled once more. Returns the program's exit code. Throws lamina::Error.
int train_replicas(const TrainSettings& s, const std::string& command);

}  // namespace tomato
