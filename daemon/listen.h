/* The sockets of the daemon: made from the configuration, or taken from systemd. Nothing is read here. */
#ifndef TSD_LISTEN_H
#define TSD_LISTEN_H

#include "daemon/base/state.h"
#include "daemon/config/config.h"
#include "daemon/ingest/thread.h"
#include "daemon/systemd.h"

struct tsd_sockets {
    struct tsd_thread_sockets threads[TSD_THREADS_MAX];
    unsigned n_threads;
    int control;
    int http;
    const char *made[2]; /* socket files of ingest that were made here; the configuration's strings */
    size_t n_made;
    const char *made_control;
};

struct tsd_listen_error {
    char message[512];
};

/*
 * Opens all that the configuration names, where `passed` has none, and writes down in state->listeners where. TS_EINVAL
 * with the reason in words: an address that is taken, a path that somebody listens on, a group that may not be given.
 */
int tsd_listen_open(const struct tsd_config *config, const struct tsd_passed *passed, struct tsd_state *state,
                    struct tsd_sockets *ret_sockets, struct tsd_listen_error *ret_error) TS_MUST_USE;

/* Remove the socket files that open made. To be called while the sockets are open: afterwards somebody else may have
   made one of the same name. */
void tsd_listen_unlink_ingest(struct tsd_sockets *sockets);
void tsd_listen_unlink_control(struct tsd_sockets *sockets);

/* Closes what is still open here (what was handed on is set to -1), and removes the socket files that open made. */
void tsd_listen_close(struct tsd_sockets *sockets);

#endif
