/* Whom a request on TCP may be meant for. A browser that was lured to a name which resolves to this machine says that
 * name in Host; it must not be answered. */
#ifndef TSD_CONTROL_HOST_H
#define TSD_CONTROL_HOST_H

#include <stdbool.h>

/* host: the header's value, NULL where there is none. True for an address literal, localhost, or a name in `allowed`
 * (separated by spaces or commas), each with or without a port. */
bool tsd_host_allowed(const char *host, const char *allowed);

#endif
