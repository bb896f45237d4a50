/// MobileNetV2 for pictures of 64 x 64; bench/peers has it for any size.
#include "networks.hpp"

template <int Size> using Net = lamina::zoo::MobileNetV2<Size, bench::classes>;
bench::Made bench::mobilenetv2(int size, lamina::Index batch, lamina::Cpu device) { return one_of<Net, 64>(size, batch, device); }
