# Enables C++, or says in one line what to install. CMake's own message about a missing compiler is pages long. The test is
# a separate project, because enable_language() ends the configuration if it fails.
if(NOT CMAKE_CXX_COMPILER_LOADED AND NOT DEFINED CMAKE_CXX_COMPILER)
  include(CheckLanguage)
  check_language(CXX)
  if(NOT CMAKE_CXX_COMPILER)
    set(install "Install one: 'apt install g++' (Debian, Ubuntu), 'dnf install gcc-c++' (Fedora), 'xcode-select --install' \
(macOS), or the Build Tools for Visual Studio (Windows)")
    if(NOT "$ENV{CXX}" STREQUAL "")
      set(install "The environment variable CXX is '$ENV{CXX}', which does not work; change or unset it. ${install}")
    endif()
    unset(CMAKE_CXX_COMPILER CACHE) # it may be there next time
    # CMake wraps the lines of an error that is not indented.
    message(FATAL_ERROR " adamcore needs a C++17 compiler. ${install}\n")
  endif()
  unset(CMAKE_CXX_COMPILER) # so that enable_language() finds it as usual
  unset(CMAKE_CXX_COMPILER CACHE)
endif()
enable_language(CXX)
