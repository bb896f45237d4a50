/// Everything a program on the CPU needs. Pictures that are not files in folders are beside it: data/idx.hpp, data/cifar10.hpp, data/image_archive.hpp.
#pragma once
#include "cpu/batch_norm_pool.hpp"
#include "cpu/conv_relu_pool.hpp"
#include "cpu/dense.hpp"
#include "cpu/pool.hpp"
#include "data/iterator.hpp"
#include "nn/network.hpp"
#include "nn/zoo.hpp"
#include "train/adagrad.hpp"
#include "train/adam.hpp"
#include "train/fit.hpp"
#include "train/model.hpp"
#include "train/predictor.hpp"
#include "train/rmsprop.hpp"
#include "train/sgd.hpp"
#include "version.hpp"

// What runs once in an epoch need not be fast: g++ is done a twelfth earlier with the whole.
#if defined(__OPTIMIZE__) && !defined(__clang__) && !defined(__CUDACC__)
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif
#include "data/channel_statistics.hpp"
#include "data/image_folder.hpp"
#include "io/checkpoint.hpp"
#include "nn/summary.hpp"
#include "train/callbacks.hpp"
#if defined(__OPTIMIZE__) && !defined(__clang__) && !defined(__CUDACC__)
#pragma GCC pop_options
#endif
