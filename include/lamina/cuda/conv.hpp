/// Convolution on a GPU. Way 0 takes any shape; way 1 is for every channel by itself, ways 2 and 3 for bf16 on tensor cores.
#pragma once
#include "conv_general.hpp"
#include "conv_tensor.hpp"
#include "depthwise.hpp"
