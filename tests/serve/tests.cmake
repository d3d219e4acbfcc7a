# Tests of the server as it is run: a process of its own, over loopback.
foreach(name test_locked)
  target_compile_definitions(${name} PRIVATE CXR_PROGRAM="$<TARGET_FILE:cxr>")
  add_dependencies(${name} cxr)
endforeach()
