/// Convolution on a GPU. Way 0 takes any shape; way 1 is for every channel by itself, way 2 for many weights, ways 3 and 4 for bf16 and tf32 on tensor cores, those above for bf16 and 3x3 of stride 1.
#pragma once
#include "conv_general.hpp"
#include "conv_taps.hpp"
#include "conv_tensor.hpp"
#include "conv_tiles.hpp"
#include "depthwise.hpp"
