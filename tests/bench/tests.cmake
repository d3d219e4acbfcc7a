add_test(NAME bench/program COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/bench/check_bench.sh $<TARGET_FILE_DIR:cxr>)
set_tests_properties(bench/program PROPERTIES LABELS bench TIMEOUT 900)
