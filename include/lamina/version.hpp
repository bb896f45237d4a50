/// The version of Lamina: the only place that says it. The build systems read it from here.
#pragma once

#define LAMINA_VERSION_MAJOR 0
#define LAMINA_VERSION_MINOR 1
#define LAMINA_VERSION_PATCH 0

namespace lamina {

struct Version { int major, minor, patch; };
inline constexpr Version version{LAMINA_VERSION_MAJOR, LAMINA_VERSION_MINOR, LAMINA_VERSION_PATCH};

}  // namespace lamina
