/* One line of a stream: what it is, what becomes of it, what is answered. No I/O. */
#ifndef TSD_STREAM_LINE_H
#define TSD_STREAM_LINE_H

#include "daemon/framer.h"
#include "daemon/ingest.h"

struct tsd_line_result {
    const char *code; /* NULL: accepted, nothing to say */
    bool ends;        /* no further line of this connection can be taken */
    struct ts_fault fault;
};

/* frame: LINE, TOO_LARGE (line is its beginning) or NO_MEMORY. number: of the line, from 1. */
void tsd_line_take(struct tsd_ingest *ingest, enum tsd_frame frame, const char *line, size_t len, uint64_t number,
                   size_t max_message, const struct tsd_peer *peer, struct tsd_line_result *ret_result);

/* Appends {"error": {...}} and a newline. */
void tsd_line_answer(struct ts_buf *out, const struct tsd_line_result *result, uint64_t number);

#endif
