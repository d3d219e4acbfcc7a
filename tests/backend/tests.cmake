# The CPU backend's kernels for machines without AVX-512. Passive waiting keeps teams of two fair to tests running beside them.
foreach(isa AVX2 SSE41)
  foreach(what ops grey)
    add_test(NAME backend/test_onednn_${what}_${isa} COMMAND test_onednn_${what})
    set_tests_properties(backend/test_onednn_${what}_${isa} PROPERTIES TIMEOUT 900 LABELS backend
      ENVIRONMENT "ONEDNN_MAX_CPU_ISA=${isa};OMP_WAIT_POLICY=passive")
  endforeach()
endforeach()
set_tests_properties(backend/test_onednn_ops backend/test_onednn_grey backend/test_onednn_network
  backend/test_onednn_bf16 backend/test_onednn_bf16_training backend/test_onednn_choice backend/test_onednn_int8 PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)
