/*
 * Splits and decodes the target of a request, "/path?name=value&name". No I/O.
 *
 * Stricter than libmicrohttpd, which cuts at %00, accepts "%zz" and does not check UTF-8: the query would read another
 * text than the client sent.
 */
#ifndef TSD_CONTROL_URL_H
#define TSD_CONTROL_URL_H

#include "lib/query/query.h"

enum { TSD_URL_PARAMS_MAX = 256 };

struct tsd_url {
    char *text; /* decoded: path and params point into it */
    const char *path;
    size_t n_params;
    struct ts_query_param params[TSD_URL_PARAMS_MAX];
};

/* Percent-escapes decoded, "+" in the query is a space; empty pieces between "&" are nothing. TS_EINVAL or TS_ENOMEM
 * with ret_error. */
int tsd_url_parse(const char *target, struct tsd_url *ret_url, struct ts_query_error *ret_error) TS_MUST_USE;
void tsd_url_deinit(struct tsd_url *url); /* twice is safe */

#endif
