/* TensorBoard's event file: bytes against a golden record, and what appending does. That TensorBoard reads it is checked by
 * tests/peers/test_events.py. */
#include "base/file.h"
#include "report/events.h"
#include "report/folder.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The first record as TensorFlow's RecordWriter writes it for wall_time 1.5 (tools/golden/make_events.py prints it). */
static const uint8_t first_record[] = {0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f, 0x4b, 0x22, 0x09, 0x00,
                                       0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e,
                                       0x2e, 0x45, 0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32, 0x2a, 0x28, 0x64, 0x6c};
/* And that of an epoch. */
static const uint8_t epoch_record[] = {
    0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x96, 0x63, 0x37, 0xfd, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0c,
    0x40, 0x10, 0x01, 0x2a, 0x82, 0x01, 0x0a, 0x11, 0x0a, 0x0a, 0x6c, 0x6f, 0x73, 0x73, 0x2f, 0x74, 0x72, 0x61, 0x69, 0x6e,
    0x15, 0x00, 0x00, 0x00, 0x3f, 0x0a, 0x0f, 0x0a, 0x08, 0x6c, 0x6f, 0x73, 0x73, 0x2f, 0x76, 0x61, 0x6c, 0x15, 0x00, 0x00,
    0x80, 0x3e, 0x0a, 0x13, 0x0a, 0x0c, 0x61, 0x63, 0x63, 0x75, 0x72, 0x61, 0x63, 0x79, 0x2f, 0x76, 0x61, 0x6c, 0x15, 0x00,
    0x00, 0x60, 0x3f, 0x0a, 0x13, 0x0a, 0x0c, 0x6f, 0x70, 0x74, 0x69, 0x6d, 0x69, 0x7a, 0x65, 0x72, 0x2f, 0x6c, 0x72, 0x15,
    0x17, 0xb7, 0xd1, 0x38, 0x0a, 0x13, 0x0a, 0x0c, 0x74, 0x69, 0x6d, 0x65, 0x2f, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x73,
    0x15, 0x00, 0x00, 0x00, 0x40, 0x0a, 0x1d, 0x0a, 0x16, 0x74, 0x69, 0x6d, 0x65, 0x2f, 0x69, 0x6d, 0x61, 0x67, 0x65, 0x73,
    0x5f, 0x70, 0x65, 0x72, 0x5f, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x15, 0x00, 0x00, 0xc8, 0x42, 0xcd, 0xaa, 0x26, 0x95};

static const cxr_epoch epochs[] = {{1, 0.5, 0.25, 0.875, 1e-4, 2.0, 100.0},
                                   {2, 0.25, 0.125, 0.9375, 1e-4, 3.0, 200.0},
                                   {300, 0.1, (double)NAN, 1.0, 1e-5, 4.0, 300.0}};

static cxr_buf content(void)
{
    cxr_buf b;
    assert_int_equal(cxr_buf_read(&b, in_folder("events"), 100000, NULL), CXR_OK);
    return b;
}

static void write_epochs(size_t count, double now)
{
    assert_int_equal(cxr_events_write(in_folder("events"), epochs, count, now, NULL), CXR_OK);
}

static void bytes_are_tensorflows(void **state)
{
    (void)state;
    write_epochs(1, 3.5);
    cxr_buf b = content();
    assert_int_equal(b.len, sizeof first_record + sizeof epoch_record);
    assert_memory_equal(b.data, first_record, sizeof first_record);
    assert_memory_equal(b.data + sizeof first_record, epoch_record, sizeof epoch_record);
    cxr_buf_free(&b);
    assert_int_equal(remove(in_folder("events")), 0);
}

/* However often and from wherever it goes on, an epoch is in the file once, and what was there stays. */
static void only_what_is_missing_is_appended(void **state)
{
    (void)state;
    write_epochs(2, 6.5);
    cxr_buf two = content();
    write_epochs(1, 99.0); /* a resumed run is behind the file */
    write_epochs(2, 99.0);
    cxr_buf again = content();
    assert_int_equal(two.len, again.len);
    assert_memory_equal(two.data, again.data, two.len);
    write_epochs(3, 10.5);
    cxr_buf three = content();
    assert_true(three.len > two.len && memcmp(three.data, two.data, two.len) == 0);
    /* cut anywhere, it is made whole */
    for (size_t left = 0; left < three.len; left += left < 60 ? 1 : 37) {
        assert_int_equal(cxr_file_write(in_folder("events"), three.data, left, NULL), CXR_OK);
        write_epochs(3, 10.5);
        cxr_buf mended = content();
        assert_int_equal(mended.len, three.len);
        assert_memory_equal(mended.data, three.data, three.len);
        cxr_buf_free(&mended);
    }
    three.data[two.len + 20] ^= 1; /* a record that is not what its checksum says ends what counts */
    assert_int_equal(cxr_file_write(in_folder("events"), three.data, three.len, NULL), CXR_OK);
    write_epochs(3, 10.5);
    three.data[two.len + 20] ^= 1;
    cxr_buf mended = content();
    assert_memory_equal(mended.data, three.data, three.len);
    cxr_buf_free(&mended);
    cxr_buf_free(&two);
    cxr_buf_free(&again);
    cxr_buf_free(&three);
    assert_int_equal(remove(in_folder("events")), 0);
}

static void a_place_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    cxr_error err = {0};
    assert_int_equal(cxr_events_write(in_folder("none/events"), epochs, 1, 0.0, &err), CXR_ECREATE);
    assert_non_null(strstr(err.text, "none/events: cannot create"));
    assert_int_equal(cxr_events_write("/tmp", epochs, 1, 0.0, &err), CXR_EDATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_tensorflows),
        cmocka_unit_test(only_what_is_missing_is_appended),
        cmocka_unit_test(a_place_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
