/// Everything included, nothing used.
#include <lamina/lamina.hpp>
int main() {}
