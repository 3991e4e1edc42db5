# The rooms that the modules for the CPU and for CUDA share, and that the emulation of CUDA compiles too.
set(adamcore_shared_bindings)
foreach(room IN ITEMS runtime gate regions structures state checkpoint schedules guards trends groups optimizer calls)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${room}/*.cpp)
  list(APPEND adamcore_shared_bindings ${sources})
endforeach()
