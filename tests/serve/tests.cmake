# Tests of the server as it is run: a process of its own, over loopback. serve_soak is everything at once, for a while; bench/soak.sh
# runs it for longer.
set(serve_names test_locked test_hostile test_drain serve_soak)
add_executable(serve_soak serve/soak.c)
target_link_libraries(serve_soak PRIVATE cxr_test_tools PkgConfig::CMOCKA)
foreach(name ${serve_names})
  target_compile_definitions(${name} PRIVATE CXR_PROGRAM="$<TARGET_FILE:cxr>" $<$<BOOL:${CXR_SANITIZE}>:CXR_SANITIZED>)
  add_dependencies(${name} cxr)
endforeach()
target_sources(test_hostile PRIVATE serve/hostile.c)
target_sources(serve_soak PRIVATE serve/hostile.c)
add_test(NAME serve/soak COMMAND serve_soak $<TARGET_FILE:cxr> ${CMAKE_CURRENT_SOURCE_DIR}/fixtures 10)
set_tests_properties(serve/soak PROPERTIES TIMEOUT 300 LABELS serve)
