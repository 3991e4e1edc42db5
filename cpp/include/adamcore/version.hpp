#pragma once

/// The one version of the library; CMake and pyproject.toml read it from this line.
#define ADAMCORE_VERSION "0.1.0"
