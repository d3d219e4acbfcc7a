/* classify MODEL IMAGE...: the library in use. Build: cc classify.c $(pkg-config --cflags --libs cxr) -o classify */
#include <cxr/cxr.h>
#include <stdio.h>

static void show(void *user, const cxr_prediction *p)
{
    const cxr_model *model = user;
    if (p->status != CXR_OK)
        printf("%s: %s\n", p->path, p->reason);
    else
        printf("%s: %s (%.1f %%)\n", p->path, cxr_model_class_name(model, p->predicted),
               100.0 * (double)p->probabilities[p->predicted]);
}

int main(int argc, char **argv)
{
    cxr_error err = {0};
    cxr_model *model = NULL;
    cxr_run_opts opts;
    if (argc < 3) {
        printf("usage: classify MODEL IMAGE...\ncxr %s\n", cxr_version());
        return 2;
    }
    cxr_run_opts_default(&opts);
    cxr_status st = cxr_model_open(&model, argv[1], &err);
    if (st == CXR_OK) st = cxr_predict(model, (const char *const *)argv + 2, (size_t)argc - 2, &opts, NULL, show, model, &err);
    if (st != CXR_OK) fprintf(stderr, "%s\n", err.text);
    cxr_model_close(&model);
    return st != CXR_OK;
}
