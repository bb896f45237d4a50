/// What both translation units look at.
#pragma once

struct SmallNet : lamina::Network<lamina::Input<8, 8, 3>, lamina::Conv<4, 3>, lamina::ReLU, lamina::MaxPool<2>, lamina::Flatten, lamina::Dense<2>> {};
using SmallModel = lamina::Model<SmallNet, lamina::Cpu>;

/// Addresses of a variable and of a function of the library, and a constant of the network.
struct Seen {
  const lamina::Version* version;
  const float* (SmallModel::*forward)(const float*, lamina::Index);
  lamina::Index parameters;
};
inline Seen seen() { return {&lamina::version, &SmallModel::forward, SmallModel::parameter_count}; }
