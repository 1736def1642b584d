/* Reloading: which keys change, and which are only reported. */
#include "config_load.h"

#include "daemon/config/reload.h"

struct changes {
    char reloaded[1000];
    char restart[1000];
};

static void note_change(void *data, const char *key, bool reloadable)
{
    struct changes *changes = data;
    char *list = reloadable ? changes->reloaded : changes->restart;
    strcat(strcat(list, key), " ");
}

static const char reloadable_keys[] =
    "aggregation.max_future aggregation.max_locations aggregation.max_label_sets ingest.max_message "
    "ingest.max_connections ingest.memory_limit control.allowed_hosts store.flush_interval store.ack_interval "
    "store.client_expiry log.level ";

static void test_reload(void **state)
{
    (void)state;
    struct changes changes = {"", ""};
    struct tsd_config config = loaded("", NULL);
    struct tsd_config next = loaded(all_changed, "store.client_expiry=8d");
    char *before = printed_config(&next);
    assert_int_equal(tsd_config_reload(&config, &next, note_change, &changes), 0);
    assert_string_equal(changes.reloaded, reloadable_keys);
    assert_string_equal(changes.restart,
                        "aggregation.time_slice aggregation.start_time aggregation.retention ingest.udp ingest.tcp "
                        "ingest.unix_stream ingest.unix_datagram ingest.socket_mode ingest.threads "
                        "ingest.receive_buffer control.socket control.socket_mode control.socket_group control.http "
                        "store.path store.durability ");
    /* Only reloadable keys have new values. */
    struct tsd_config old = loaded("", NULL);
    for (size_t i = 0; i < TSD_CONFIG_KEYS; i++) {
        const struct tsd_config_key *key = &tsd_config_keys[i];
        char *now = value_of(&config, key->name);
        char *expected = value_of(key->reloadable ? &next : &old, key->name);
        assert_string_equal(now, expected);
        free(now);
        free(expected);
    }
    /* The next configuration is unchanged and shares no memory. */
    char *after = printed_config(&next);
    assert_string_equal(before, after);
    assert_ptr_not_equal(config.control.allowed_hosts, next.control.allowed_hosts);
    free(before);
    free(after);
    tsd_config_deinit(&next);
    assert_string_equal(config.control.allowed_hosts, "a.example, b-2.example");
    /* No difference, no call. */
    changes = (struct changes){"", ""};
    assert_int_equal(tsd_config_reload(&old, &old, note_change, &changes), 0);
    assert_string_equal(changes.reloaded, "");
    assert_string_equal(changes.restart, "");
    tsd_config_deinit(&old);
    tsd_config_deinit(&config);
}

static void reload_between(const char *set_before, const char *set_after, const char *restart_keys)
{
    struct changes changes = {"", ""};
    struct tsd_config config = loaded("", set_before);
    struct tsd_config next = loaded("", set_after);
    if (next.aggregation.start_time_is_now)
        next.aggregation.start_time += 3600 * S; /* read an hour later */
    assert_int_equal(tsd_config_reload(&config, &next, note_change, &changes), 0);
    assert_string_equal(changes.restart, restart_keys);
    tsd_config_deinit(&config);
    tsd_config_deinit(&next);
}

/* Values that are equal although written differently, or at another time. */
static void test_reload_compares_values(void **state)
{
    (void)state;
    reload_between("aggregation.start_time=now", "aggregation.start_time=now", "");
    reload_between("aggregation.start_time=now", "aggregation.start_time=1732272009", "aggregation.start_time ");
    reload_between("aggregation.start_time=0", "aggregation.start_time=1970-01-01", "");
    reload_between("aggregation.retention=10s:1d", "aggregation.retention=10s:24h", "");
    reload_between("aggregation.retention=10s:1d", "aggregation.retention=10s:25h", "aggregation.retention ");
    reload_between("aggregation.retention=10s:1d 1m:2d", "aggregation.retention=10s:1d 20s:2d",
                   "aggregation.retention ");
    reload_between("ingest.udp=127.0.0.1:0", "ingest.udp=localhost:0", "");
    reload_between("ingest.udp=off", "ingest.udp=localhost:0", "ingest.udp ");
    reload_between("ingest.udp=localhost:0", "ingest.udp=off", "ingest.udp ");
    reload_between("ingest.udp=off", "ingest.udp=off", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_compares_values),
    };
    return cmocka_run_group_tests_name("config reload", tests, set_up, tear_down);
}
