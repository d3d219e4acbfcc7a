/* Tensors of kept images: bytes in the layout that a program gives, whatever type and order that is. The batch is the outermost
 * dimension of every layout, so an image's bytes lie together and do not depend on the batch's size. */
#include "backend/onednn_choice.h"
#include "base/mem.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static size_t image_bytes(const dnnl_memory_desc_t *md)
{
    const dnnl_memory_desc_t one = cxr_md_images(*md, 1);
    return dnnl_memory_desc_get_size(&one);
}

void cxr_keep_form(const cxr_program *p, cxr_form *out)
{
    const dnnl_memory_desc_t *md = &p->out.md;
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    const dnnl_version_t *v = dnnl_version();
    size_t used =
        (size_t)snprintf(out->name, sizeof out->name, "oneDNN %d.%d.%d isa %#x computes %d gives %d strides", v->major,
                         v->minor, v->patch, (unsigned)dnnl_get_effective_cpu_isa(), (int)p->type, (int)md->data_type);
    for (int i = 1; i < md->ndims && used < sizeof out->name; i++)
        used += (size_t)snprintf(out->name + used, sizeof out->name - used, " %" PRId64, b->strides[i]);
    for (int i = 0; i < b->inner_nblks && used < sizeof out->name; i++)
        used += (size_t)snprintf(out->name + used, sizeof out->name - used, " block %" PRId64 " of %" PRId64, b->inner_blks[i],
                                 b->inner_idxs[i]);
    const uint64_t chosen = cxr_choices_digest(p->choices);
    if (chosen != 0 && used < sizeof out->name)
        (void)snprintf(out->name + used, sizeof out->name - used, " kernels %" PRIx64, chosen);
    out->image_bytes = image_bytes(md);
}

cxr_status cxr_keep_new(cxr_tensor **out, const cxr_program *p, cxr_error *err)
{
    *out = NULL;
    cxr_tensor *t = cxr_mem_new(1, sizeof *t);
    if (t == NULL) return cxr_mem_fail(err, "a tensor");
    *t = (cxr_tensor){.backend = p->backend,
                      .type = CXR_F32,
                      .shape = p->out.shape,
                      .max_batch = p->o.max_batch,
                      .md = cxr_md_images(p->out.md, p->o.max_batch)};
    t->data = cxr_mem_new_aligned((size_t)t->max_batch, image_bytes(&t->md));
    if (t->data == NULL) {
        cxr_mem_free(t);
        return cxr_mem_fail(err, "a tensor");
    }
    *out = t;
    return CXR_OK;
}

cxr_status cxr_keep_save(const cxr_tensor *t, const cxr_tensor *like, void *images, cxr_error *err)
{
    if (t->n < 1 || t->n > like->max_batch)
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: %d images cannot be kept in a tensor of %d", t->n, like->max_batch);
    const dnnl_memory_desc_t md = cxr_md_images(like->md, t->n);
    if (!cxr_md_same(&t->md, &md)) return cxr_tensor_reorder(t, &md, images, err);
    memcpy(images, t->data, (size_t)t->n * image_bytes(&md));
    return CXR_OK;
}

cxr_status cxr_keep_load(cxr_tensor *t, int n, const void *images, cxr_error *err)
{
    if (n < 1 || n > t->max_batch)
        return cxr_fail(err, CXR_EINTERNAL, "cpu backend: %d images do not fit a tensor of %d", n, t->max_batch);
    t->n = n;
    t->md = cxr_md_images(t->md, n);
    memcpy(t->data, images, (size_t)n * image_bytes(&t->md));
    return CXR_OK;
}
