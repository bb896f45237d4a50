/// Two translation units that include everything are one program: what they share is one thing, not two.
#include <cstdio>
#include <lamina/lamina.hpp>

#include "shared.hpp"

Seen second();

int main() {
  const Seen a = seen(), b = second();
  if (a.version == b.version && a.forward == b.forward && a.parameters == b.parameters) return 0;
  std::puts("two translation units hold two copies of what should be one");
  return 1;
}
