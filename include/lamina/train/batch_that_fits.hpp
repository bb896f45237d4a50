/// How large a batch may be where memory is short.
#pragma once
#include <algorithm>
#include <string>

#include "../core/device.hpp"
#include "../core/error.hpp"

namespace lamina::detail {

/// The batch, if the device's kernels can take so many samples and so many pixels through these steps, and if a device that says how much memory it has free has enough: `what` takes needed(n)
/// bytes for n samples. Throws Error otherwise, with the largest batch that fits.
template <Device D, class Rows, class Needed> [[gnu::cold]] Index batch_that_fits(const D& device, const char* what, Index batch, const Rows& steps, const Needed& needed) {
  if constexpr (requires { D::most_samples; }) {
    Index pixels = 1;                      // of one sample
    for (const auto& r : steps) pixels = std::max({pixels, Index(r.in.h) * r.in.w, Index(r.out.h) * r.out.w});
    if (const Index most = std::min(D::most_samples, D::most_pixels / pixels); batch > most)
      throw Error("a ", what, " for batches of ", batch, " samples: the kernels of a GPU take at most ", D::most_samples, " samples and ", D::most_pixels, " pixels at once, which are ", most, " of these");
  }
  if constexpr (requires { device.free_bytes(); }) {
    const Index free = device.free_bytes(), all = needed(batch);
    if (all <= free) return batch;
    Index fits = 0;
    for (Index more = batch; more > 0; more /= 2)
      while (needed(fits + more) <= free) fits += more;
    throw Error("a ", what, " for batches of ", batch, " samples needs ", all >> 20, " MiB and ", device.name(), " has ", free >> 20, " MiB free: ",
                fits ? "the largest batch that fits is " : "not one sample fits, take a smaller network", fits ? std::to_string(fits) : "");
  } else return batch;
}

}  // namespace lamina::detail
