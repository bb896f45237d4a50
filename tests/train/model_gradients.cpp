// Whole networks: gradients of every parameter against finite differences, and fused against unfused.
#include <lamina/lamina.hpp>

#include "../support/check_model.hpp"
#include "../support/nets.hpp"

using namespace lamina;
using namespace lamina_test;

TEST_CASE_TEMPLATE("gradients, and fused is unfused", Net, SmallLeaf, SmallRes, Branchy, Overlap) {
  check_model<Net, Cpu>(Cpu(2)), check_model<Net, Unfused<Cpu>>();
  check_same<Net, Cpu, Unfused<Cpu>>(1e-12, Cpu(2), Unfused<Cpu>(1));
}
