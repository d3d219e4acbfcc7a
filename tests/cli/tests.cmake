# The command line against a stand-in for the library, under the program's own name.
add_executable(cxr_fake ${PROJECT_SOURCE_DIR}/cli/main.c cli/fake_library.c ${PROJECT_SOURCE_DIR}/src/base/status.c)
target_link_libraries(cxr_fake PRIVATE cxr_cli)
set_target_properties(cxr_fake PROPERTIES OUTPUT_NAME cxr RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/fake)

set(cli_tests ${CMAKE_CURRENT_SOURCE_DIR}/cli)
add_test(NAME cli/usage COMMAND env CASES_FOLDERS=d bash ${cli_tests}/run_cases.sh $<TARGET_FILE_DIR:cxr_fake> ${cli_tests}/usage.cases)
add_test(NAME cli/verbs COMMAND env CASES_FOLDERS=d bash ${cli_tests}/run_cases.sh $<TARGET_FILE_DIR:cxr_fake> ${cli_tests}/verbs.cases)
add_test(NAME cli/help COMMAND bash ${cli_tests}/check_help.sh $<TARGET_FILE_DIR:cxr_fake>)
add_test(NAME cli/completion COMMAND bash ${cli_tests}/check_completion.sh $<TARGET_FILE_DIR:cxr_fake> ${PROJECT_SOURCE_DIR})
add_test(NAME cli/documents COMMAND bash ${cli_tests}/check_documents.sh $<TARGET_FILE_DIR:cxr_fake> ${PROJECT_SOURCE_DIR})
add_test(NAME cli/manual COMMAND bash ${cli_tests}/check_manual.sh $<TARGET_FILE:cxr_describe> ${PROJECT_SOURCE_DIR})
set(cli_names cli/usage cli/verbs cli/help cli/completion cli/documents cli/manual cli/bad_input cli/interrupt)

# The program itself.
add_test(NAME cli/bad_input COMMAND bash ${cli_tests}/run_real.sh $<TARGET_FILE_DIR:cxr> ${PROJECT_SOURCE_DIR}
  ${cli_tests}/bad_input.cases ${cli_tests}/environment.cases)
add_library(cxr_signal_at MODULE cli/signal_at.c)
target_compile_definitions(cxr_signal_at PRIVATE _GNU_SOURCE)
target_compile_options(cxr_signal_at PRIVATE -Wall -Wextra)
add_test(NAME cli/interrupt COMMAND bash ${cli_tests}/check_interrupt.sh $<TARGET_FILE_DIR:cxr> $<TARGET_FILE:cxr_signal_at>)
if(NOT CXR_SANITIZE)
  add_test(NAME cli/install COMMAND bash ${cli_tests}/check_install.sh ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
  list(APPEND cli_names cli/install)
endif()
set_tests_properties(${cli_names} PROPERTIES LABELS cli TIMEOUT 900)
