# What the tests of ranks that are processes share: NAME.sh [PROGRAM MPIRUN ...] works in an empty folder that goes when it ends, with the program as $ranks.
set -euo pipefail
export LC_ALL=C
if [[ $# -lt 2 ]]; then
  echo "skipped: no MPI here"
  exit 77
fi
ranks=$(realpath "$1") mpirun=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Open MPI: as any user, and more ranks than cores
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

fail() {
  echo "$(basename "$0"): $*"
  head -n 60 said
  exit 1
}
