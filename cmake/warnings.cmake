# Flags that no user of the library inherits.
add_library(adamcore_development INTERFACE)
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options(adamcore_development INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  if(ADAMCORE_WERROR)
    target_compile_options(adamcore_development INTERFACE -Werror)
  endif()
endif()
if(ADAMCORE_SANITIZE)
  target_compile_options(adamcore_development INTERFACE -fsanitize=${ADAMCORE_SANITIZE}
                                                        -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(adamcore_development INTERFACE -fsanitize=${ADAMCORE_SANITIZE})
endif()
