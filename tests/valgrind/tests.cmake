if(TARGET cxr AND NOT CXR_SANITIZE)
  add_test(NAME valgrind/train_and_predict COMMAND ${CMAKE_CURRENT_LIST_DIR}/run.sh $<TARGET_FILE:cxr>)
  set_tests_properties(valgrind/train_and_predict PROPERTIES TIMEOUT 900 LABELS valgrind SKIP_RETURN_CODE 77)
endif()
