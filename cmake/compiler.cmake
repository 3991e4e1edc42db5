# Enables C++, or says in a line what to install: CMake's own words for a missing compiler go on for pages. What tries is
# a project of its own, since enable_language() ends the configuration where it fails.
if(NOT CMAKE_CXX_COMPILER_LOADED AND NOT DEFINED CMAKE_CXX_COMPILER)
  include(CheckLanguage)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    set(install "Install one: 'apt install g++' (Debian, Ubuntu), 'dnf install gcc-c++' (Fedora), 'xcode-select --install' \
(macOS), or the Build Tools for Visual Studio (Windows)")
    if(NOT "$ENV{CXX}" STREQUAL "")
      set(install "The environment's CXX is '$ENV{CXX}', which does not work; name another or unset it. ${install}")
    endif()
    unset(CMAKE_CXX_COMPILER CACHE) # it may be there next time
    # CMake breaks the lines of an error that has no indent of its own.
    message(FATAL_ERROR " adamcore needs a C++17 compiler. ${install}\n")
  endif()
  unset(CMAKE_CXX_COMPILER) # enable_language() finds it as it would have
  unset(CMAKE_CXX_COMPILER CACHE)
endif()
enable_language(CXX)
