/* The sockets of the daemon: opened as configured, or passed by systemd. Reading them is left to others. */
#ifndef TSD_LISTEN_H
#define TSD_LISTEN_H

#include "daemon/activation.h"
#include "daemon/base/state.h"
#include "daemon/config/config.h"
#include "daemon/ingest/thread.h"
#include "daemon/socket.h"

enum { TSD_INGEST_FILES_MAX = 2 }; /* unix_stream and unix_datagram */

struct tsd_sockets {
    struct tsd_thread_sockets threads[TSD_THREADS_MAX];
    unsigned n_threads;
    int control; /* -1: none */
    int http;
    const char *ingest_files[TSD_INGEST_FILES_MAX]; /* socket files to remove; strings of the configuration */
    size_t n_ingest_files;
    const char *control_file; /* likewise; NULL: none */
};

/* No sockets. */
void tsd_listen_init(struct tsd_sockets *sockets);

/*
 * Opens every configured socket that was not passed, and fills state->listeners with the addresses. TS_EINVAL with
 * ret_error if a restart does not help (an address of no interface, a missing folder); TS_EUNAVAILABLE with ret_error
 * for what may pass (in use, no descriptors). It closes what it opened.
 */
int tsd_listen_open(const struct tsd_config *config, const struct tsd_passed *passed, struct tsd_state *state,
                    struct tsd_sockets *ret_sockets, struct tsd_socket_error *ret_error) TS_MUST_USE;

/* Remove the socket files created by tsd_listen_open(). Call them while the sockets are open: later, a file of this
   name may belong to another process. */
void tsd_listen_unlink_ingest(struct tsd_sockets *sockets);
void tsd_listen_unlink_control(struct tsd_sockets *sockets);

/* Closes the sockets that were not handed over (set to -1), and removes the socket files. Twice is safe. */
void tsd_listen_close(struct tsd_sockets *sockets);

#endif
