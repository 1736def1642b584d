#include "daemon/write/names.h"

#include "lib/base/array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FRESH_KEPT = 4096 };

void tsd_names_init(struct tsd_names *names, uint32_t max, const char *overflow)
{
    *names = (struct tsd_names){.next = 1};
    ts_bounded_init(&names->known, max, overflow);
}

void tsd_names_deinit(struct tsd_names *names)
{
    ts_bounded_deinit(&names->known);
    free(names->items);
    free(names->fresh);
    free(names->place_of);
    names->items = NULL;
    names->fresh = NULL;
    names->place_of = NULL;
    names->cap = names->cap_fresh = names->cap_places = 0;
    names->n_fresh = 0;
}

static int grow_places(struct tsd_names *names, uint32_t n)
{
    size_t before = names->cap_places;
    int rc = TS_ARRAY_RESERVE(&names->place_of, &names->cap_places, n);
    if (!rc && names->cap_places > before)
        memset(names->place_of + before, 0, (names->cap_places - before) * sizeof(*names->place_of));
    return rc;
}

/* Makes room for one more name of this number (0: the next) in every array, so that adding it cannot fail half-way. */
static int make_room(struct tsd_names *names, uint32_t number)
{
    int rc = TS_ARRAY_RESERVE(&names->items, &names->cap, names->known.table.n + (size_t)1);
    if (!rc)
        rc = TS_ARRAY_RESERVE(&names->fresh, &names->cap_fresh, names->n_fresh + (size_t)1);
    return rc ? rc : grow_places(names, number > names->next ? number : names->next);
}

static void set(struct tsd_names *names, uint32_t id, uint32_t number, int64_t last)
{
    assert(number > 0 && number <= names->cap_places && id < names->cap);
    names->items[id] = (struct tsd_name){.number = number, .last = last};
    names->place_of[number - 1] = id + 1;
}

int tsd_names_load(struct tsd_names *names, uint32_t number, const struct ts_location *key, int64_t last)
{
    uint32_t id;
    int rc = make_room(names, number);
    if (!rc)
        rc = ts_bounded_load(&names->known, key, &id);
    if (rc)
        return rc;
    set(names, id, number, last);
    names->next = number + 1 > names->next ? number + 1 : names->next;
    return 0;
}

/* Numbers a name that was added to the table: with its number in the store, or as a fresh one. */
static int assign_number(struct tsd_names *names, uint32_t id)
{
    uint32_t number = 0;
    const struct ts_location *key = &names->known.table.items[id];
    if (names->find && names->not_held) {
        int rc = names->find(names->data, key, &number);
        if (!rc && number)
            rc = grow_places(names, number);
        if (rc)
            return rc;
    }
    if (number) {
        names->not_held--;
        set(names, id, number, INT64_MIN);
        return 0;
    }
    if (!names->n_fresh)
        names->first_fresh = names->next;
    assert(names->n_fresh < names->cap_fresh && names->first_fresh + names->n_fresh == names->next);
    names->fresh[names->n_fresh++] = *key;
    set(names, id, names->next++, INT64_MIN);
    return 0;
}

int tsd_names_number(struct tsd_names *names, const struct ts_location *key, bool unbounded, uint32_t *ret_number)
{
    uint32_t before = names->known.table.n;
    uint32_t id;
    int rc = make_room(names, 0);
    if (!rc)
        rc = unbounded ? ts_bounded_load(&names->known, key, &id) : ts_bounded_add(&names->known, key, &id);
    if (rc)
        return rc;
    if (names->known.table.n > before)
        names->items[id] = (struct tsd_name){0};
    /* Also a name that an earlier attempt added but could not number. */
    if (!names->items[id].number)
        rc = assign_number(names, id);
    if (!rc)
        *ret_number = names->items[id].number;
    return rc;
}

void tsd_names_used(struct tsd_names *names, uint32_t number, int64_t bucket, uint64_t commit)
{
    assert(number > 0);
    uint32_t place = number <= names->cap_places ? names->place_of[number - 1] : 0;
    if (!place)
        return;
    struct tsd_name *name = &names->items[place - 1];
    name->last = bucket > name->last ? bucket : name->last;
    name->used_at = commit;
}

const struct tsd_name *tsd_names_held(const struct tsd_names *names, uint32_t number)
{
    assert(number > 0);
    uint32_t place = number <= names->cap_places ? names->place_of[number - 1] : 0;
    assert(!place || names->items[place - 1].number == number);
    return place ? &names->items[place - 1] : NULL;
}

const struct ts_location *tsd_names_fresh(const struct tsd_names *names, uint32_t *ret_n, uint32_t *ret_first)
{
    *ret_n = names->n_fresh;
    *ret_first = names->n_fresh ? names->first_fresh : 0;
    return names->n_fresh ? names->fresh : NULL;
}

void tsd_names_committed(struct tsd_names *names)
{
    names->n_fresh = 0;
    if (names->cap_fresh > FRESH_KEPT) { /* the first profiles of an application bring many, later ones few */
        free(names->fresh);
        names->fresh = NULL;
        names->cap_fresh = 0;
    }
}

uint32_t tsd_names_count_before(const struct tsd_names *names, int64_t bucket)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < names->known.table.n; i++)
        n += names->items[i].number && names->items[i].last < bucket;
    return n;
}

int tsd_names_renew(struct tsd_names *names, tsd_names_keep_fn keep, void *data, bool in_store)
{
    struct tsd_names next;
    uint64_t removed = 0;
    assert(!names->n_fresh);
    tsd_names_init(&next, names->known.max, names->known.overflow);
    for (uint32_t i = 0; i < names->known.table.n; i++) {
        const struct tsd_name *name = &names->items[i];
        if (!name->number || !keep(data, name)) {
            removed += name->number != 0;
            continue;
        }
        int rc = tsd_names_load(&next, name->number, &names->known.table.items[i], name->last);
        if (rc) {
            tsd_names_deinit(&next);
            return rc;
        }
        next.items[next.known.table.n - 1].used_at = name->used_at;
    }
    next.next = names->next;
    next.not_held = names->not_held + (in_store ? removed : 0);
    next.find = names->find;
    next.data = names->data;
    tsd_names_deinit(names);
    *names = next;
    return 0;
}
