/// The networks of the tables of speed.
#include "leaf.hpp"
#include "networks.hpp"

bench::Made bench::leaf(int size, lamina::Index batch, lamina::Cpu device) { return one_of<Leaf<64>, Leaf<128>, Leaf<256>>(size, batch, device); }
