/*
 * The decoder as a program, for the tests written in Python. Standard input is messages, each with its length before
 * it, four bytes, big endian; standard output is one line of JSON for each. Times are integers in nanoseconds.
 */
#include "lib/base/buf.h"
#include "lib/base/text.h"
#include "lib/profile/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_string(struct ts_buf *out, const char *member, struct ts_str string)
{
    ts_buf_printf(out, "\"%s\": ", member);
    if (string.data)
        ts_put_json_string(out, string.data, string.len);
    else
        ts_buf_puts(out, "null");
}

static void write_profile(struct ts_buf *out, const struct ts_profile *profile)
{
    ts_buf_printf(out, "{\"ok\": {\"timestamp\": %" PRId64 ", \"total_tt\": %" PRId64 ", \"exact\": %s",
                  profile->timestamp, profile->total_tt, profile->exact ? "true" : "false");
    if (profile->part_count)
        ts_buf_printf(out, ", \"part\": [%" PRId64 ", %" PRId64 "]", profile->part_index, profile->part_count);
    if (profile->has_seq)
        ts_buf_printf(out, ", \"seq\": %" PRId64, profile->seq);
    ts_buf_puts(out, ", \"labels\": [");
    for (size_t i = 0; i < profile->n_labels; i++) {
        const struct ts_label *label = &profile->labels[i];
        ts_buf_puts(out, i ? ", [" : "[");
        ts_put_json_string(out, label->key.data, label->key.len);
        ts_buf_puts(out, ", ");
        ts_put_json_string(out, label->value.data, label->value.len);
        ts_buf_putc(out, ']');
    }
    ts_buf_puts(out, "], \"entries\": [");
    for (size_t i = 0; i < profile->n_entries; i++) {
        const struct ts_entry *entry = &profile->entries[i];
        ts_buf_puts(out, i ? ", {" : "{");
        write_string(out, "raw_name", entry->raw_name);
        ts_buf_puts(out, ", ");
        write_string(out, "file_name", entry->file_name);
        ts_buf_printf(out,
                      ", \"line_number\": %" PRId32 ", \"cumtime\": %" PRId64 ", \"tottime\": %" PRId64
                      ", \"ncalls\": %" PRId64 ", \"pcalls\": %" PRId64 "}",
                      entry->line_number, entry->cumtime, entry->tottime, entry->ncalls, entry->pcalls);
    }
    ts_buf_puts(out, "]}}\n");
}

static void write_fault(struct ts_buf *out, int code, const struct ts_fault *fault)
{
    ts_buf_printf(out, "{\"reject\": {\"code\": \"%s\", \"offset\": %zu, \"message\": ",
                  code == TS_HELLO ? "hello" : ts_reject_name(code), fault->offset);
    ts_put_json_string(out, fault->message, strlen(fault->message));
    ts_buf_puts(out, "}}\n");
}

/* 1: a message, in *ret_bytes, which the caller frees; 0: the end of the input; negative: an error. */
static int read_message(char **ret_bytes, size_t *ret_len)
{
    unsigned char head[4];
    size_t got = fread(head, 1, sizeof(head), stdin);
    if (got == 0 && feof(stdin))
        return 0;
    if (got != sizeof(head))
        return TS_EINVAL;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    /* Exactly as long as the message, so that a sanitizer detects a read beyond its end. */
    char *bytes = malloc(len ? len : 1);
    if (!bytes)
        return TS_ENOMEM;
    if (fread(bytes, 1, len, stdin) != len) {
        free(bytes);
        return TS_EINVAL;
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 1;
}

static int decode_one(struct ts_decoder *decoder, struct ts_buf *out, const char *bytes, size_t len)
{
    const struct ts_profile *profile = NULL;
    struct ts_fault fault;
    int rc = ts_decode(decoder, bytes, len, &profile, &fault);
    if (rc < 0)
        return rc;
    ts_buf_reset(out);
    if (rc)
        write_fault(out, rc, &fault);
    else
        write_profile(out, profile);
    if (ts_buf_failed(out))
        return TS_ENOMEM;
    return fwrite(out->data, 1, out->len, stdout) == out->len ? 0 : TS_EINVAL;
}

int main(void)
{
    struct ts_decoder *decoder = ts_decoder_new();
    if (!decoder)
        return 1;
    struct ts_buf out;
    ts_buf_init(&out);
    char *bytes;
    size_t len;
    int rc;
    while ((rc = read_message(&bytes, &len)) > 0) {
        rc = decode_one(decoder, &out, bytes, len);
        free(bytes);
        if (rc)
            break;
    }
    if (!rc && fflush(stdout))
        rc = TS_EINVAL;
    if (rc)
        fprintf(stderr, "decode: %s\n", ts_strerror(rc));
    ts_buf_deinit(&out);
    ts_decoder_free(decoder);
    return rc ? 1 : 0;
}
