#include "args.h"

extern const cxr_command cxr_command_train, cxr_command_evaluate, cxr_command_compare, cxr_command_predict, cxr_command_explain,
    cxr_command_serve, cxr_command_calibrate, cxr_command_quantize, cxr_command_export, cxr_command_summary,
    cxr_command_fetch_weights, cxr_command_phantom, cxr_command_bench, cxr_command_tune, cxr_command_inspect, cxr_command_runs;

const cxr_command *const cxr_commands[] = {
    &cxr_command_inspect,
    &cxr_command_train,
    &cxr_command_tune,
    &cxr_command_runs,
    &cxr_command_evaluate,
    &cxr_command_compare,
    &cxr_command_predict,
    &cxr_command_explain,
    &cxr_command_serve,
    &cxr_command_calibrate,
    &cxr_command_quantize,
    &cxr_command_export,
    &cxr_command_summary,
    &cxr_command_fetch_weights,
    &cxr_command_phantom,
    &cxr_command_bench,
    NULL,
};
