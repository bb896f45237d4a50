/// Every layer and kernel of the CPU: replicas end with the bits of one model.
#include <doctest/doctest.h>

#include <lamina/cpu/batch_norm_pool.hpp>
#include <lamina/cpu/conv_relu_pool.hpp>
#include <lamina/cpu/dense.hpp>
#include <lamina/cpu/pool.hpp>
#include <lamina/train/adam.hpp>

#include "../support/nets.hpp"
#include "../support/own_layer.hpp"
#include "replicas_train.hpp"

using namespace lamina;
using namespace lamina_test;

namespace {
struct Own : Network<Input<5, 4, 3>, Scale, Conv<6, 3>, Scale, ReLU, Flatten, Dense<3>> {};
/// 3x3 by Winograd with few weights and with many, which end in pooling or do not; 1x1, strides, large kernels, all in vectors.
struct Winograd : Network<Input<19, 14, 3>, Conv<32, 3>, ReLU, MaxPool<2>, Conv<32, 3>, ReLU, Conv<64, 3>, ReLU, MaxPool<2>, Conv<160, 3>, ReLU, Conv<32, 1>, ReLU, Conv<16, 5, 2>, ReLU, Flatten, Dense<32>, ReLU,
                          Dropout<20>, Dense<7>> {};
/// Batch norms of large maps, which the steps before measure, and of small ones; with pooling behind, or a sum.
struct Norms : Network<Input<20, 18, 3>, Conv<32, 3>, BatchNorm, ReLU, MaxPool<2>, Conv<32, 3>, BatchNorm, ReLU, Equal<32>, Down<48>, KerasBatchNorm, SiLU, Flatten, Dense<64>, BatchNorm, ReLU, Dense<5>> {};
struct Mobile : Network<Input<12, 9, 3>, ConvNorm<16, 3>, ReLU6, zoo::InvertedResidual<16, 16>, zoo::InvertedResidual<16, 24, 2>, Conv<24, 3, 1, 1, true, 4>, ReLU, AvgPool<2>, GlobalAvgPool, Dense<30>, ReLU, Dense<9>> {};
}  // namespace

TEST_CASE_TEMPLATE("replicas end with the bits of one model", Net, SmallLeaf, SmallRes, Branchy, Overlap, Own, Winograd, Norms, Mobile) { check_replicas<Net, float>(); }
TEST_CASE_TEMPLATE("replicas end with the bits of one model, in double", Net, SmallLeaf, SmallRes, Own, Mobile) { check_replicas<Net, double>(); }
