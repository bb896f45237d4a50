/// What ranks say to each other without their hosts: operations on the queues of their devices.
#pragma once
#include <cstddef>

#include "../core/shape.hpp"

namespace lamina {

/// Operations on memory of a device, done in the order in which its queue was given them and all else. All ranks call the same ones, in the same order and with as many numbers, of which nothing
/// is compared: who calls them has agreed with the other ranks on what they do. The host does not wait, so what goes wrong is thrown here or where it waits for the device.
class QueuedRanks {
 public:
  virtual ~QueuedRanks() = default;
  /// What the device calls its queue.
  virtual const void* queue() const = 0;
  /// Each x[i] becomes the sum of the x[i] of all ranks. exact: in the order of tree_sum(); else in any, and with bits that follow from the ranks and how they are connected.
  virtual void all_reduce(float* x, Index count, bool exact) = 0;
  virtual void all_reduce(double* x, Index count, bool exact) = 0;
  /// The same beside the queue, behind what the devices of follow() were given: x is left alone until join().
  virtual void begin(float* x, Index count, bool exact) = 0;
  virtual void begin(double* x, Index count, bool exact) = 0;
  /// What begin() is told from now on comes after all that this device was given so far: the one that it works on, a copy or a fork of it.
  virtual void follow(void* device) = 0;
  /// What the queue is given from now on comes after all that was begun.
  virtual void join() = 0;
  /// Each byte becomes that of rank 0.
  virtual void broadcast(void* x, std::size_t bytes) = 0;
  /// (bytes) of each rank -> (size, bytes), the same on all.
  virtual void all_gather(const void* mine, std::size_t bytes, void* all) = 0;
};

}  // namespace lamina
