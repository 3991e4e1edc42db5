# Flags that users of the library do not inherit.
add_library(adamcore_development INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  if(ADAMCORE_WERROR)
    list(APPEND warnings -Werror)
    # Only nvcc's own warnings, because those of the host compiler are about nvcc's output.
    target_compile_options(adamcore_development
                           INTERFACE $<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-Werror=all-warnings>)
  endif()
  target_compile_options(adamcore_development INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${warnings}>")
endif()
if(ADAMCORE_SANITIZE)
  set(sanitize -fsanitize=${ADAMCORE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(adamcore_development INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${sanitize}>")
  target_link_options(adamcore_development INTERFACE -fsanitize=${ADAMCORE_SANITIZE})
  target_compile_definitions(adamcore_development INTERFACE ADAMCORE_SANITIZED)
endif()
