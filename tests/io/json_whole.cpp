// The same with the headers of nlohmann-json as one file, as some systems install them.
#define LAMINA_WHOLE_NLOHMANN_JSON
#include "json.cpp"
