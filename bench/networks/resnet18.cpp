/// ResNet-18 for pictures of 64 x 64; bench/peers has it for any size.
#include "networks.hpp"

bench::Made bench::resnet18(int size, lamina::Index batch, lamina::Cpu device) { return one_of<lamina::zoo::ResNet18<64, classes>>(size, batch, device); }
