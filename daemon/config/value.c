/* The types of configuration values. Only strings own memory. */
#include "daemon/config/value.h"

#include "daemon/config/grid.h"
#include "daemon/config/numbers.h"
#include "daemon/config/strings.h"

#include <assert.h>
#include <string.h>

enum storage { NUMBER, STRING, COMPOUND /* more than one field */ };

static const struct type {
    tsd_config_parse parse;
    enum storage storage;
    size_t size;            /* NUMBER */
    tsd_config_write write; /* NUMBER and STRING */
    void (*write_compound)(const struct tsd_config *config, struct ts_buf *out);
    bool (*equal_compound)(const struct tsd_config *a, const struct tsd_config *b);
} types[] = {
    [TSD_DURATION] = {tsd_config_parse_duration, NUMBER, sizeof(int64_t), tsd_config_write_duration, NULL, NULL},
    [TSD_DURATION_OR_OFF] = {tsd_config_parse_duration, NUMBER, sizeof(int64_t), tsd_config_write_duration, NULL, NULL},
    [TSD_COUNT] = {tsd_config_parse_count, NUMBER, sizeof(unsigned), tsd_config_write_count, NULL, NULL},
    [TSD_SIZE] = {tsd_config_parse_size, NUMBER, sizeof(uint64_t), tsd_config_write_size, NULL, NULL},
    [TSD_MODE] = {tsd_config_parse_mode, NUMBER, sizeof(unsigned), tsd_config_write_mode, NULL, NULL},
    [TSD_LEVEL] = {tsd_config_parse_level, NUMBER, sizeof(int), tsd_config_write_level, NULL, NULL},
    [TSD_DURABILITY] = {tsd_config_parse_durability, NUMBER, sizeof(bool), tsd_config_write_durability, NULL, NULL},
    [TSD_ADDRESS] = {tsd_config_parse_address, STRING, 0, tsd_config_write_or_off, NULL, NULL},
    [TSD_SOCKET_PATH] = {tsd_config_parse_path, STRING, 0, tsd_config_write_or_off, NULL, NULL},
    [TSD_FILE_PATH] = {tsd_config_parse_path, STRING, 0, tsd_config_write_or_off, NULL, NULL},
    [TSD_GROUP] = {tsd_config_parse_group, STRING, 0, tsd_config_write_or_empty, NULL, NULL},
    [TSD_HOSTS] = {tsd_config_parse_hosts, STRING, 0, tsd_config_write_or_empty, NULL, NULL},
    [TSD_START_TIME] = {tsd_config_parse_start_time, COMPOUND, 0, NULL, tsd_config_write_start_time,
                        tsd_config_equal_start_time},
    [TSD_RETENTION] = {tsd_config_parse_retention, COMPOUND, 0, NULL, tsd_config_write_retention,
                       tsd_config_equal_retention},
};
static_assert(sizeof(unsigned) == sizeof(uint32_t), "TSD_COUNT is stored in both");

static void *field_of(const struct tsd_config_key *key, struct tsd_config *config)
{
    return (char *)config + key->offset;
}

static const void *const_field_of(const struct tsd_config_key *key, const struct tsd_config *config)
{
    return (const char *)config + key->offset;
}

int tsd_value_parse(const struct tsd_config_key *key, const char *text, int64_t now_ns, struct tsd_config *config,
                    struct tsd_config_reason *ret_reason)
{
    const struct tsd_config_context context = {key, config, now_ns, ret_reason};
    for (const char *p = text; *p; p++) {
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7F)
            return tsd_config_reject(ret_reason, "the value has a control character, byte 0x%02x", (unsigned char)*p);
    }
    return types[key->type].parse(&context, text, field_of(key, config));
}

void tsd_value_write(const struct tsd_config_key *key, const struct tsd_config *config, struct ts_buf *out)
{
    const struct type *type = &types[key->type];
    if (type->storage == COMPOUND)
        type->write_compound(config, out);
    else
        type->write(const_field_of(key, config), out);
}

bool tsd_value_equal(const struct tsd_config_key *key, const struct tsd_config *a, const struct tsd_config *b)
{
    const struct type *type = &types[key->type];
    const void *x = const_field_of(key, a);
    const void *y = const_field_of(key, b);
    if (type->storage == COMPOUND)
        return type->equal_compound(a, b);
    if (type->storage == NUMBER)
        return !memcmp(x, y, type->size);
    const char *s = *(char *const *)x;
    const char *t = *(char *const *)y;
    return s && t ? !strcmp(s, t) : s == t;
}

bool tsd_value_is_list(const struct tsd_config_key *key)
{
    return key->type == TSD_RETENTION || key->type == TSD_HOSTS;
}

bool tsd_value_is_path(const struct tsd_config_key *key)
{
    return key->type == TSD_SOCKET_PATH || key->type == TSD_FILE_PATH;
}

char **tsd_value_string(const struct tsd_config_key *key, struct tsd_config *config)
{
    return types[key->type].storage == STRING ? field_of(key, config) : NULL;
}

void tsd_value_copy_number(const struct tsd_config_key *key, const struct tsd_config *from, struct tsd_config *to)
{
    assert(types[key->type].storage == NUMBER);
    memcpy(field_of(key, to), const_field_of(key, from), types[key->type].size);
}
