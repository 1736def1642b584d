#include "daemon/control/slot.h"

#include <assert.h>

int tsd_slot_init(struct tsd_slot *slot)
{
    *slot = (struct tsd_slot){.reader = NULL};
    return uv_mutex_init(&slot->lock) ? TS_ENOMEM : 0;
}

void tsd_slot_deinit(struct tsd_slot *slot)
{
    assert(!slot->used);
    tsd_slot_close_reader(slot);
    uv_mutex_destroy(&slot->lock);
}

int tsd_slot_reader(struct tsd_slot *slot, const char *path, struct ts_reader **ret_reader,
                    struct ts_store_error *ret_error)
{
    if (!slot->reader) {
        struct ts_reader *reader = NULL;
        int rc = ts_reader_open(path, &reader, ret_error);
        if (rc)
            return rc;
        uv_mutex_lock(&slot->lock);
        slot->reader = reader;
        uv_mutex_unlock(&slot->lock);
    }
    *ret_reader = slot->reader;
    return 0;
}

void tsd_slot_close_reader(struct tsd_slot *slot)
{
    uv_mutex_lock(&slot->lock);
    struct ts_reader *reader = slot->reader;
    slot->reader = NULL;
    uv_mutex_unlock(&slot->lock);
    ts_reader_close(reader);
}

void tsd_slot_interrupt(struct tsd_slot *slot)
{
    uv_mutex_lock(&slot->lock);
    if (slot->reader)
        ts_reader_interrupt(slot->reader);
    uv_mutex_unlock(&slot->lock);
}
