# The CPU backend's kernels for machines without AVX-512. Passive waiting keeps teams of two fair to tests running beside them.
foreach(isa AVX2 SSE41)
  add_test(NAME backend/test_onednn_ops_${isa} COMMAND test_onednn_ops)
  set_tests_properties(backend/test_onednn_ops_${isa} PROPERTIES TIMEOUT 900 LABELS backend
    ENVIRONMENT "ONEDNN_MAX_CPU_ISA=${isa};OMP_WAIT_POLICY=passive")
endforeach()
set_tests_properties(backend/test_onednn_ops backend/test_onednn_network backend/test_onednn_bf16_training PROPERTIES ENVIRONMENT OMP_WAIT_POLICY=passive)
