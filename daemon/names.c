#include "daemon/names.h"

#include <stdlib.h>

void tsd_names_init(struct tsd_names *names, uint32_t max, const char *overflow)
{
    *names = (struct tsd_names){.next = 1};
    ts_bounded_init(&names->known, max, overflow);
}

void tsd_names_deinit(struct tsd_names *names)
{
    ts_bounded_deinit(&names->known);
    free(names->numbers);
    names->numbers = NULL;
    names->cap = 0;
}

static int make_room(struct tsd_names *names)
{
    uint32_t n = names->known.table.n;
    if (n < names->cap)
        return 0;
    uint32_t cap = names->cap ? names->cap * 2 : 128;
    uint32_t *numbers = realloc(names->numbers, cap * sizeof(*numbers));
    if (!numbers)
        return TS_ENOMEM;
    names->numbers = numbers;
    names->cap = cap;
    return 0;
}

int tsd_names_load(struct tsd_names *names, uint32_t number, const struct ts_location *key)
{
    uint32_t id;
    int rc = make_room(names);
    if (!rc)
        rc = ts_bounded_load(&names->known, key, &id);
    if (rc)
        return rc;
    names->numbers[id] = number;
    names->stored = names->known.table.n;
    names->next = number + 1;
    return 0;
}

int tsd_names_number(struct tsd_names *names, const struct ts_location *key, bool unbounded, uint32_t *ret_number)
{
    uint32_t before = names->known.table.n;
    uint32_t id;
    int rc = make_room(names);
    if (!rc)
        rc = unbounded ? ts_bounded_load(&names->known, key, &id) : ts_bounded_add(&names->known, key, &id);
    if (rc)
        return rc;
    if (names->known.table.n > before)
        names->numbers[id] = names->next++;
    *ret_number = names->numbers[id];
    return 0;
}

const struct ts_location *tsd_names_fresh(const struct tsd_names *names, uint32_t *ret_n, uint32_t *ret_first)
{
    *ret_n = names->known.table.n - names->stored;
    *ret_first = *ret_n ? names->numbers[names->stored] : 0;
    return *ret_n ? names->known.table.items + names->stored : NULL;
}

void tsd_names_committed(struct tsd_names *names)
{
    names->stored = names->known.table.n;
}
