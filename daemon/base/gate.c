#include "daemon/base/gate.h"

#include "daemon/base/clock.h"

#include <assert.h>

int tsd_gate_init(struct tsd_gate *gate)
{
    *gate = (struct tsd_gate){.inside = 0};
    if (uv_mutex_init(&gate->lock))
        return TS_ENOMEM;
    if (!uv_cond_init(&gate->changed))
        return 0;
    uv_mutex_destroy(&gate->lock);
    return TS_ENOMEM;
}

void tsd_gate_deinit(struct tsd_gate *gate)
{
    assert(!gate->inside && !gate->closed);
    uv_cond_destroy(&gate->changed);
    uv_mutex_destroy(&gate->lock);
}

void tsd_gate_enter(struct tsd_gate *gate)
{
    uv_mutex_lock(&gate->lock);
    while (gate->closed)
        uv_cond_wait(&gate->changed, &gate->lock);
    gate->inside++;
    uv_mutex_unlock(&gate->lock);
}

void tsd_gate_leave(struct tsd_gate *gate)
{
    uv_mutex_lock(&gate->lock);
    assert(gate->inside > 0);
    if (!--gate->inside)
        uv_cond_broadcast(&gate->changed);
    uv_mutex_unlock(&gate->lock);
}

bool tsd_gate_close(struct tsd_gate *gate, int64_t max_wait)
{
    int64_t end = tsd_clock_mono() + max_wait;
    int64_t left = max_wait;
    uv_mutex_lock(&gate->lock);
    assert(!gate->closed);
    gate->closed = true;
    while (gate->inside && left > 0) {
        uv_cond_timedwait(&gate->changed, &gate->lock, (uint64_t)left);
        left = end - tsd_clock_mono();
    }
    bool empty = !gate->inside;
    uv_mutex_unlock(&gate->lock);
    return empty;
}

void tsd_gate_open(struct tsd_gate *gate)
{
    uv_mutex_lock(&gate->lock);
    assert(gate->closed);
    gate->closed = false;
    uv_cond_broadcast(&gate->changed);
    uv_mutex_unlock(&gate->lock);
}
