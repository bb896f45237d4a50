#include <lamina/lamina.hpp>

#include "shared.hpp"

Seen second() { return seen(); }
