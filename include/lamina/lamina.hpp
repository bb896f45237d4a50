/// Everything a program on the CPU needs.
#pragma once
#include "cpu/batch_norm.hpp"
#include "cpu/conv_relu_pool.hpp"
#include "cpu/dense.hpp"
#include "cpu/pool.hpp"
#include "nn/network.hpp"
#include "train/model.hpp"
#include "version.hpp"
