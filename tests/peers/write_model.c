/* write_model OUT [FOREIGN]: writes a random model, its backbone from FOREIGN when given, for a peer to read. */
#include "model/model.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    static const char *const names[2] = {"NORMAL", "PNEUMONIA"};
    const cxr_train_opts o = {.arch = "resnet18",
                              .preprocess = {CXR_RESIZE_SQUASH, 128, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
                              .head = {256, 128},
                              .head_count = 2,
                              .dropout = 0.5f,
                              .freeze = "backbone",
                              .seed = 11};
    cxr_model *m = NULL;
    cxr_error err = {0};
    if (argc < 2 || argc > 3) return 2;
    cxr_status st = cxr_model_build(&m, &o, names, 2, &err);
    if (st == CXR_OK && argc == 3) st = cxr_model_load_backbone(m, argv[2], NULL, NULL, &err);
    if (st == CXR_OK) st = cxr_model_write(m, argv[1], NULL, 0, NULL, 0, &err);
    if (st != CXR_OK) (void)fprintf(stderr, "%s\n", err.text);
    cxr_model_close(&m);
    return st != CXR_OK;
}
