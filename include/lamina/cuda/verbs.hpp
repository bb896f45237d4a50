/// All verbs of a GPU.
#pragma once
#include "batch_norm.hpp"
#include "batch_norm_add.hpp"
#include "batch_norm_pool.hpp"
#include "conv.hpp"
#include "conv_relu_pool.hpp"
#include "conv_relu_pool_general.hpp"
#include "dense.hpp"
#include "dense_update.hpp"
#include "loss.hpp"
#include "optimizer.hpp"
#include "pool.hpp"
#include "sum.hpp"
