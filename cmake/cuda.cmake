# Decides whether CUDA is built, and with which nvcc. Sets ADAMCORE_HAS_CUDA and enables the language. It is included at the
# top level, because any target that links kernels needs the language and CUDA::cudart_static in its own scope.
# Environment variables with the names of the options are their defaults. In this way they reach a build by pip.
set(default AUTO)
if(NOT ADAMCORE_IS_WHOLE)
  set(default OFF) # a parent project would have to enable the language itself
elseif(NOT "$ENV{ADAMCORE_CUDA}" STREQUAL "")
  set(default $ENV{ADAMCORE_CUDA})
endif()
set(ADAMCORE_CUDA ${default} CACHE STRING "Build for CUDA: AUTO (if an nvcc works), ON or OFF")
set_property(CACHE ADAMCORE_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ADAMCORE_CUDA_ARCHITECTURES "$ENV{ADAMCORE_CUDA_ARCHITECTURES}"
    CACHE STRING "For example 80;90: machine code for each, PTX for the last. Empty: all that this nvcc and adamcore support")
set(ADAMCORE_CUDA_LIBRARY "$ENV{ADAMCORE_CUDA_LIBRARY}"
    CACHE FILEPATH "A libadamcore_cuda.a, built from these sources for ADAMCORE_CUDA_ARCHITECTURES, to use instead of nvcc")
if(NOT ADAMCORE_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "ADAMCORE_CUDA must be AUTO, ON or OFF, got ${ADAMCORE_CUDA}")
endif()

# All candidates for nvcc: the one that the user names, or else the system's, followed by those of pip's packages.
function(adamcore_list_nvcc result)
  if(CMAKE_CUDA_COMPILER)
    set(found ${CMAKE_CUDA_COMPILER})
  elseif(NOT "$ENV{CUDACXX}" STREQUAL "")
    set(found $ENV{CUDACXX})
  else()
    find_program(ADAMCORE_NVCC nvcc PATHS ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
    mark_as_advanced(ADAMCORE_NVCC)
    find_package(Python3 QUIET COMPONENTS Interpreter)
    if(Python3_EXECUTABLE)
      execute_process(COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/pip_nvcc.py OUTPUT_VARIABLE found)
      string(REGEX REPLACE "\n$" "" found "${found}")
      string(REPLACE "\n" ";" found "${found}")
    endif()
    if(ADAMCORE_NVCC)
      list(INSERT found 0 ${ADAMCORE_NVCC})
    endif()
  endif()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

# enable_language() ends the configuration if it fails, so a kernel and an empty project are tried first. The result is ""
# or the reason.
function(adamcore_try_nvcc nvcc result)
  set(dir ${PROJECT_BINARY_DIR}/CMakeFiles/adamcore_nvcc)
  file(REMOVE_RECURSE ${dir})
  file(WRITE ${dir}/CMakeLists.txt "cmake_minimum_required(VERSION 3.20)\nproject(probe LANGUAGES CUDA)\n")
  file(WRITE ${dir}/probe.cu "#if __CUDACC_VER_MAJOR__ < 12
#error CUDA 12 or newer is needed
#endif
#include <cuda_bf16.h>
#include <cuda_fp16.h>
__global__ void kernel(__half* p, __nv_bfloat16* q) { *q = __float2bfloat16(__half2float(*p)); }
int main() {
  kernel<<<1, 1>>>(nullptr, nullptr);
  return cudaDeviceSynchronize();
}
")
  separate_arguments(flags NATIVE_COMMAND "${CMAKE_CUDA_FLAGS} $ENV{CUDAFLAGS}")
  set(kernel ${nvcc} -ccbin ${CMAKE_CUDA_HOST_COMPILER} ${flags} -std=c++17 probe.cu -o probe)
  set(project ${CMAKE_COMMAND} -S . -B build -G ${CMAKE_GENERATOR} -DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}
              -DCMAKE_CUDA_COMPILER=${nvcc} -DCMAKE_CUDA_HOST_COMPILER=${CMAKE_CUDA_HOST_COMPILER}
              -DCMAKE_CUDA_FLAGS=${CMAKE_CUDA_FLAGS})
  foreach(try IN ITEMS kernel project)
    execute_process(COMMAND ${${try}} WORKING_DIRECTORY ${dir} TIMEOUT 120 RESULT_VARIABLE status
                    OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status STREQUAL "0")
      string(SUBSTRING "${output}" 0 1000 output) # an error in a header may go on for pages
      string(STRIP "${status}: ${output}" reason)
      set(${result} "${reason}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${result} "" PARENT_SCOPE)
endfunction()

# Machine code runs on later minor versions of the same major version, so one of each is enough. PTX of the last is for
# future devices. 110 exists only with ARM processors.
function(adamcore_choose_architectures result)
  set(wanted 70 75 80 90 100 120)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(wanted 70 75 80 90 100 110 120)
  endif()
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known)
  set(chosen)
  foreach(architecture IN LISTS wanted)
    if(known MATCHES "compute_${architecture}\n")
      list(APPEND chosen ${architecture})
    endif()
  endforeach()
  set(${result} ${chosen} PARENT_SCOPE)
endfunction()

set(ADAMCORE_HAS_CUDA OFF)
if(NOT ADAMCORE_CUDA OR (ADAMCORE_CUDA STREQUAL "AUTO" AND CMAKE_CROSSCOMPILING))
  return()
endif()

string(REPLACE "," ";" architectures "${ADAMCORE_CUDA_ARCHITECTURES}")
# Sets ADAMCORE_CUDA_ARCHITECTURES_TEXT, which build_info() shows.
macro(adamcore_name_architectures)
  string(REGEX REPLACE "-(real|virtual)" "" text "${architectures}")
  list(REMOVE_DUPLICATES text)
  string(REPLACE ";" "," ADAMCORE_CUDA_ARCHITECTURES_TEXT "${text}")
endmacro()

if(ADAMCORE_CUDA_LIBRARY)
  if(NOT EXISTS ${ADAMCORE_CUDA_LIBRARY} OR NOT architectures)
    message(FATAL_ERROR "ADAMCORE_CUDA_LIBRARY must be a file, got ${ADAMCORE_CUDA_LIBRARY}, and "
                        "ADAMCORE_CUDA_ARCHITECTURES must list the architectures that it was built for")
  endif()
  get_filename_component(folder ${ADAMCORE_CUDA_LIBRARY} DIRECTORY)
  if(EXISTS ${folder}/libcudart_static.a) # that of the nvcc which built it
    find_package(Threads REQUIRED)
    add_library(CUDA::cudart_static STATIC IMPORTED GLOBAL)
    set_target_properties(
      CUDA::cudart_static PROPERTIES IMPORTED_LOCATION ${folder}/libcudart_static.a
                                     INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};rt")
  else()
    find_package(CUDAToolkit 12 REQUIRED)
  endif()
  if(NOT TARGET CUDA::cudart_static)
    message(FATAL_ERROR "ADAMCORE_CUDA_LIBRARY needs libcudart_static.a, which was not found")
  endif()
  adamcore_name_architectures()
  set(ADAMCORE_HAS_CUDA ON)
  message(STATUS "adamcore is built with ${ADAMCORE_CUDA_LIBRARY} for ${ADAMCORE_CUDA_ARCHITECTURES_TEXT}")
  return()
endif()

# The host code of kernels is compiled with the same compiler as everything else.
if(NOT CMAKE_CUDA_HOST_COMPILER)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  if(NOT "$ENV{CUDAHOSTCXX}" STREQUAL "")
    set(CMAKE_CUDA_HOST_COMPILER $ENV{CUDAHOSTCXX})
  endif()
endif()

adamcore_list_nvcc(candidates)
set(failures "no nvcc found")
foreach(nvcc IN LISTS candidates)
  if(NOT nvcc STREQUAL ADAMCORE_NVCC_THAT_WORKS)
    adamcore_try_nvcc(${nvcc} failure)
    if(failure)
      string(APPEND failures "\n${nvcc}: ${failure}")
      continue()
    endif()
    set(ADAMCORE_NVCC_THAT_WORKS ${nvcc} CACHE INTERNAL "")
  endif()
  set(CMAKE_CUDA_COMPILER ${nvcc})
  set(ADAMCORE_HAS_CUDA ON)
  break()
endforeach()

if(NOT ADAMCORE_HAS_CUDA)
  string(REPLACE "no nvcc found\n" "" failures "${failures}")
  if(ADAMCORE_CUDA STREQUAL "AUTO")
    message(STATUS "adamcore is built without CUDA: ${failures}")
    return()
  endif()
  message(FATAL_ERROR "ADAMCORE_CUDA is ON, but no nvcc works. Install NVIDIA's CUDA toolkit, 12 or newer, or\n"
                      "  pip install nvidia-cuda-nvcc nvidia-cuda-cccl\n"
                      "or name an nvcc with -DCMAKE_CUDA_COMPILER=... or the environment variable CUDACXX. Tried:\n${failures}")
endif()
enable_language(CUDA)

# pip's toolkit lacks the plain libcudart.so that FindCUDAToolkit looks for. We use the static library in the same folder.
get_filename_component(toolkit ${CMAKE_CUDA_COMPILER} DIRECTORY)
file(GLOB cudart ${toolkit}/../lib/libcudart.so.*)
if(cudart AND NOT EXISTS ${toolkit}/../lib/libcudart.so)
  list(GET cudart 0 cudart)
  set(CUDA_CUDART ${cudart} CACHE FILEPATH "")
endif()
find_package(CUDAToolkit QUIET)
if(NOT TARGET CUDA::cudart_static)
  set(mode FATAL_ERROR)
  if(ADAMCORE_CUDA STREQUAL "AUTO")
    set(mode STATUS)
  endif()
  message(${mode} "adamcore is built without CUDA: no libcudart_static.a was found for ${CMAKE_CUDA_COMPILER}")
  set(ADAMCORE_HAS_CUDA OFF)
  return()
endif()

if(NOT architectures)
  adamcore_choose_architectures(architectures)
endif()
adamcore_name_architectures()
# In CMake, 80 means machine code and PTX; keep this for the last one.
list(POP_BACK architectures last)
list(TRANSFORM architectures APPEND -real REGEX "^[0-9]+[af]?$")
set(CMAKE_CUDA_ARCHITECTURES ${architectures} ${last})
message(NOTICE "adamcore is also compiled for CUDA, which takes minutes: with ${CMAKE_CUDA_COMPILER} "
               "(${CMAKE_CUDA_COMPILER_VERSION}) for ${ADAMCORE_CUDA_ARCHITECTURES_TEXT}. To build without CUDA, set "
               "ADAMCORE_CUDA=OFF in the environment or as a CMake option. One architecture, such as "
               "ADAMCORE_CUDA_ARCHITECTURES=90, takes a fraction of the time.")
