/*
 * All stream connections of one ingest thread (struct tsd_connections). Not thread-safe.
 */
#ifndef TSD_INGEST_CONNECTIONS_H
#define TSD_INGEST_CONNECTIONS_H

#include "daemon/ingest/connection.h"

int tsd_connections_init(struct tsd_connections *set) TS_MUST_USE;
void tsd_connections_deinit(struct tsd_connections *set); /* twice is safe */

/* See stream.h. */
void tsd_connections_tick(struct tsd_connections *set);
void tsd_connections_update(struct tsd_connections *set);
void tsd_connections_pause(struct tsd_connections *set, bool paused);
void tsd_connections_close(struct tsd_connections *set);

#endif
